"""Git images of whole trees, before judges that we did not write."""

from __future__ import annotations

import hashlib
import io
import os
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import blockpack
from blockpack.formats.git.deflate import PIECE
from judges import docteur, git_kv, git_pack, git_tools
from judges.git_tools import Files
from property.strategies import (
    Contents,
    DirectoryNode,
    FileNode,
    HardLinkNode,
    Spec,
    SymlinkNode,
    git_names,
    materialise,
    specs,
    times,
    tree_of,
)

Options = dict[str, Any]

COMPRESSIONS = ("auto", 0, 1, 9)
CONTAINERS: tuple[Options, ...] = (
    {"container": "docteur"},
    {"container": "bundle"},
    {"container": "bundle", "object_format": "sha256"},
    {"container": "pack"},
    {"container": "pack", "object_format": "sha256"},
    {"container": "pack", "oneffs": True},
    {"container": "pack", "oneffs": True, "sector_size": 4096},
)
EXAMPLES = settings().max_examples

trees = specs(git_names, times=times(0, 2**33 - 1), links=True, most_units=1000)


@dataclass(frozen=True)
class Text(Contents):
    """`size` bytes that get smaller when they are deflated."""

    def data(self) -> bytes:
        return _text(self.seed)[: self.size]


@cache
def _text(seed: int) -> bytes:
    source = random.Random(seed)
    words = [source.randbytes(6).hex().encode() for _ in range(500)]
    return b" ".join(source.choices(words, k=(3 << 20) // 12))


SIZES = (0, 1, 1023, 1024, 1025, 65534, 65535, 65536, 65537, PIECE - 1, PIECE, PIECE + 1)
LARGE: Spec = {
    "dir": DirectoryNode(),
    **{f"dir/random {size}": FileNode(Contents(size, size + 1)) for size in SIZES},
    **{f"text {size}": FileNode(Text(size, 5), executable=True) for size in SIZES},
    "random": FileNode(Contents(3 << 20, 5)),
    "text": FileNode(Text(3 << 20, 6)),
    "twin": FileNode(Contents(PIECE + 77, 6)),
    "dir/twin": FileNode(Contents(PIECE + 77, 6)),
    "one": FileNode(Contents(PIECE + 99, 7)),
    "other": FileNode(Contents(PIECE + 99, 8)),
    "hollow": DirectoryNode(),
    "link": SymlinkNode("dir/twin"),
    "same as a link": FileNode(Contents(1, 2)),
}
"""Files of all sizes at which something changes."""


def expected_files(spec: Spec) -> Files:
    """What every reader is to find."""
    found: Files = {}
    for path, node in spec.items():
        origin = spec[node.path] if isinstance(node, HardLinkNode) else node
        if isinstance(origin, SymlinkNode):
            found[os.fsencode(path)] = b"120000", os.fsencode(origin.target)
        elif isinstance(origin, FileNode):
            mode = b"100755" if origin.executable else b"100644"
            found[os.fsencode(path)] = mode, origin.contents.data()
    return found


def scanned(spec: Spec, directory: Path) -> blockpack.Tree:
    """The tree, made on disk and scanned."""
    source = directory / "source"
    source.mkdir()
    materialise(spec, source)
    return blockpack.scan(source)


def image_of(layout: blockpack.Layout, directory: Path) -> Path:
    """The image in a file; through a pipe and read without being written it is the same."""
    image = directory / "image"
    blockpack.write(layout, image, jobs=1)
    data = image.read_bytes()
    stream = io.BytesIO()
    blockpack.write(layout, stream)
    assert stream.getvalue() == data
    with layout.open() as opened:
        assert opened.read() == data
        opened.seek(len(data) // 2)
        assert opened.read(99) == data[len(data) // 2 :][:99]
    return image


def judge(image: Path, layout: blockpack.Layout, options: Options, source: Path) -> Files:
    """What all judges agree on."""
    directory = image.parent
    algorithm = options.get("object_format", "sha1")
    data = image.read_bytes()
    offset, size = int(layout.geometry["pack_offset"]), int(layout.geometry["pack_size"])
    commit = str(layout.geometry["commit"])
    cut = data[offset : offset + size]
    pack = git_pack.read_pack(cut, algorithm)
    assert pack.size == size and len(pack.objects) == layout.geometry["objects"]
    assert all(found.base is None for found in pack.objects.values())
    files, seen = git_pack.reached(pack, bytes.fromhex(commit))
    unreachable = pack.objects.keys() - seen
    assert [oid for oid in pack.objects if oid not in unreachable][-1].hex() == commit
    assert [found.kind for found in pack.objects.values()].count(b"commit") == 1

    repository = git_tools.init(directory / "repository", algorithm)
    index = git_tools.index_pack(cut, repository).read_bytes()
    assert {*git_tools.fsck(repository, commit)} == {oid.hex() for oid in unreachable}
    assert git_tools.checkout(repository, commit, directory / "checkout") == files
    root = git_pack.commit_fields(pack.objects[bytes.fromhex(commit)].data)["tree"].decode()
    assert git_tools.write_tree(repository, source) == root
    if algorithm == "sha1":  # with SHA-256 dulwich 1.2 takes a tree's ids for shorter ones
        assert git_tools.dulwich_read(cut, commit, directory) == files

    assert len(data) % 4096 == 0
    if options["container"] == "docteur":
        checked = docteur.check(data)
        assert checked.files == files
        assert data[checked.index_offset :].rstrip(b"\0") == index.rstrip(b"\0")
    elif options["container"] == "bundle":
        assert len(data) == offset + size and len(unreachable) == 1
        git_tools.verify_bundle(repository, image)
        assert git_tools.clone(image, directory / "clone") == files
    elif options.get("oneffs"):
        assert git_kv.oneffs_read(data, options.get("sector_size", 512)) == cut
    else:
        assert offset == 0 and not any(data[size:])
    if options["container"] != "bundle":
        assert not unreachable
        assert algorithm != "sha1" or git_kv.restore(data[offset:])[0].hex() == commit
    return files


def our_files(image: Path) -> Files:
    """What our reader finds in a sound image."""
    kinds = {0o755: b"100755", 0o644: b"100644"}
    found: Files = {}
    with blockpack.open_image(image) as opened:
        assert opened.verify() == []
        for entry in opened.walk():
            path = os.fsencode(entry.path)
            if entry.kind == "symlink":
                found[path] = b"120000", os.fsencode(entry.target)
            elif entry.kind == "file":
                with opened.open(entry.path) as file:
                    found[path] = kinds[entry.mode], file.read()
                assert len(found[path][1]) == entry.size
    return found


@settings(max_examples=EXAMPLES)
@given(spec=trees, container=st.sampled_from(CONTAINERS), compression=st.sampled_from(COMPRESSIONS))
@example(spec={}, container=CONTAINERS[0], compression="auto")
@example(spec={}, container=CONTAINERS[1], compression="auto")
@example(spec={"a": SymlinkNode("b"), "b": DirectoryNode()}, container=CONTAINERS[3], compression=9)
def test_git_accepts_every_image(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, container: Options, compression: str | int
) -> None:
    directory = tmp_path_factory.mktemp("git")
    options = {**container, "compression": compression}
    layout = blockpack.GitVolume(**options).plan(scanned(spec, directory))
    image = image_of(layout, directory)
    expected = expected_files(spec)
    assert judge(image, layout, options, directory / "source") == expected
    assert our_files(image) == expected


@pytest.mark.parametrize(
    ("container", "compression"),
    [
        *((CONTAINERS[0], compression) for compression in COMPRESSIONS),
        *((container, "auto") for container in CONTAINERS[1:5]),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else str(value),
)
def test_files_of_every_size_are_read_back(
    tmp_path: Path, container: Options, compression: str | int
) -> None:
    options = {**container, "compression": compression}
    layout = blockpack.GitVolume(**options).plan(scanned(LARGE, tmp_path))
    image = image_of(layout, tmp_path)
    expected = expected_files(LARGE)
    assert judge(image, layout, options, tmp_path / "source") == expected
    assert our_files(image) == expected
    if not compression:
        assert image.stat().st_size > sum(len(content) for _, content in {*expected.values()})


@settings(max_examples=EXAMPLES)
@given(
    spec=specs(git_names, links=True, most_units=1000).map(
        lambda spec: {p: n for p, n in spec.items() if not isinstance(n, HardLinkNode)}
    ),
    container=st.sampled_from(CONTAINERS),
    compression=st.sampled_from(COMPRESSIONS),
)
@example(spec=LARGE, container=CONTAINERS[0], compression="auto")
@example(spec=LARGE, container=CONTAINERS[1], compression=0)
def test_where_the_content_comes_from_changes_no_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, container: Options, compression: str | int
) -> None:
    volume = blockpack.GitVolume(**container, compression=compression)
    from_disk = volume.plan(scanned(spec, tmp_path_factory.mktemp("git")))
    in_memory = volume.plan(tree_of(spec))
    assert from_disk.geometry == in_memory.geometry
    with from_disk.open() as first, in_memory.open() as second:
        assert first.read() == second.read()


def test_equal_contents_are_stored_once(tmp_path: Path) -> None:
    sizes = (10, 70_000, PIECE + 5, 3 << 20)
    once = {f"a{size}": FileNode(Contents(size, 1)) for size in sizes}
    again = {f"{above}{name}": node for above in ("x/", "y/z/") for name, node in once.items()}
    above = {path: DirectoryNode() for path in ("x", "y", "y/z")}
    volume = blockpack.GitVolume(container="pack")
    single = volume.plan(tree_of(once))
    many = volume.plan(scanned({**above, **once, **again}, tmp_path))
    # Trees: the root, y, and one that x and y/z share.
    assert (single.geometry["objects"], many.geometry["objects"]) == (4 + 2, 4 + 4)
    assert int(many.geometry["pack_size"]) - int(single.geometry["pack_size"]) < 1000


def test_equal_and_unlike_large_files_are_told_apart(tmp_path: Path) -> None:
    """By size alone nothing is known of them: one pair is the same, of the other just the size."""
    spec = {
        "equal 1": FileNode(Contents(PIECE + 1, 1)),
        "equal 2": FileNode(Contents(PIECE + 1, 1)),
        "unlike 1": FileNode(Contents(PIECE + 2, 1)),
        "unlike 2": FileNode(Contents(PIECE + 2, 2)),
        "alone": FileNode(Contents(PIECE + 3, 1)),
    }
    layout = blockpack.GitVolume().plan(scanned(spec, tmp_path))
    assert layout.geometry["objects"] == 4 + 2
    assert our_files(image_of(layout, tmp_path)) == expected_files(spec)


@pytest.mark.parametrize("pad", [512, 4096, 1 << 20])
@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_bundle_ends_with_a_sector_whatever_its_length(
    tmp_path: Path, pad: int, object_format: Literal["sha1", "sha256"]
) -> None:
    """Its last blob is as long as is missing, and that may be awkward near a boundary."""
    volume = blockpack.GitVolume(
        container="bundle", pad=pad, compression=0, object_format=object_format
    )
    for size in (*range(3300, 3900, 7), 65_000, 65_535):
        tree = blockpack.Tree()
        tree.add("file", bytes(size))
        layout = volume.plan(tree)
        with layout.open() as opened:
            data = opened.read()
        assert len(data) % pad == 0 and len(data) <= size + 4096 + 2 * pad
        end = len(data) - git_pack.OID_SIZES[object_format]
        digest = hashlib.new(object_format, data[int(layout.geometry["pack_offset"]) : end])
        assert data[end:] == digest.digest(), "the pack is not what ends the file"
    (tmp_path / "bundle").write_bytes(data)
    assert git_tools.clone(tmp_path / "bundle", tmp_path / "out") == {
        b"file": (b"100644", bytes(size))
    }
