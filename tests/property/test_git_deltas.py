"""Packs that git itself made, with deltas of both kinds, in each container by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.git_images import (
    BLOB,
    COMMIT,
    FILE,
    Pack,
    bundle,
    commit_data,
    delta,
    docteur,
    insert,
    object_id,
    oneffs,
    padded,
)
from judges import git_pack, git_tools
from judges.git_tools import Files

WRAPPERS: dict[str, Callable[[bytes, bytes, bytes, str], bytes]] = {
    "docteur": lambda commit, pack, index, _: docteur(commit, pack, index),
    "bundle": lambda commit, pack, _, algorithm: bundle(commit, pack, algorithm=algorithm),
    "pack": lambda _commit, pack, _index, _: padded(pack),
    "oneffs": lambda _commit, pack, _index, _: oneffs(pack),
}


def versions(root: Path, random_source: random.Random) -> Files:
    """Files of which many are nearly the same, so that git makes deltas, on top of one another."""
    lines = [random_source.randbytes(30).hex() for _ in range(400)]
    for number in range(60):
        lines[random_source.randrange(400)] = f"changed {number}"
        path = root / f"d{number % 5}" / f"version {number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    data = random_source.randbytes(300_000)
    for number in range(3):
        (root / f"large {number}").write_bytes(data[: 100_000 * number] + b"!" + data)
    for number in range(200):
        (root / f"d0/small {number}").write_bytes(b"%d" % number)
    (root / "run").write_bytes(b"#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("d0/version 0.txt")
    return git_tools.read_files(root)


@pytest.fixture(
    name="packed",
    scope="module",
    params=[(algorithm, kind) for algorithm in git_pack.OID_SIZES for kind in ("ofs", "ref")],
    ids=lambda param: "-".join(param),
)
def fixture_packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, bytes, bytes, str, str, Files]:
    """A commit, its pack, the index, the hash, the kind of delta, the files."""
    algorithm, kind = request.param
    directory = tmp_path_factory.mktemp("git")
    tree = directory / "tree"
    tree.mkdir()
    repository = git_tools.init(directory / "repository", algorithm)
    who = ("-c", "user.name=A", "-c", "user.email=a@b")
    files = versions(tree, random.Random(1))
    root = git_tools.write_tree(repository, tree)
    commit = git_tools.git(repository, *who, "commit-tree", root, "-m", "m").decode().strip()
    git_tools.git(repository, "update-ref", "HEAD", commit)
    if kind == "ofs":
        git_tools.git(repository, "repack", "-q", "-adf", "--depth=50", "--window=50")
        (path,) = (repository / "objects/pack").glob("*.pack")
        data, index = path.read_bytes(), path.with_suffix(".idx").read_bytes()
    else:
        oids = git_tools.git(repository, "rev-list", "--objects", "--no-object-names", commit)
        options = ("--stdout", "-q", "--window=50", "--depth=50", "--no-reuse-delta")
        data = git_tools.git(repository, "pack-objects", *options, stdin=oids)
        other = git_tools.init(directory / "other", algorithm)
        index = git_tools.index_pack(data, other).read_bytes()
    return bytes.fromhex(commit), data, index, algorithm, kind, files


Packed = tuple[bytes, bytes, bytes, str, str, Files]


def test_a_pack_with_deltas_is_read_in_each_container(packed: Packed, tmp_path: Path) -> None:
    commit, data, index, algorithm, _, expected = packed
    files = {path: content for path, (mode, content) in expected.items() if mode != b"120000"}
    image = tmp_path / "image"
    for container, wrap in WRAPPERS.items():
        if container == "docteur" and algorithm != "sha1":
            continue  # it knows no other
        image.write_bytes(wrap(commit, data, index, algorithm))
        with blockpack.open_image(image) as opened:
            assert opened.info()["commit"] == commit.hex()
            entries = [entry for entry in opened.walk() if entry.kind == "file"]
            assert {entry.path.encode(): opened.open(entry.path).read() for entry in entries} == (
                files
            )
            assert all(entry.size == len(files[entry.path.encode()]) for entry in entries)
            assert opened.get("link").target == "d0/version 0.txt"
        with blockpack.open_image(image) as opened:
            assert opened.verify() == []


def test_git_made_many_deltas_of_that_kind(packed: Packed) -> None:
    """Otherwise the test above would show nothing."""
    _, data, _, algorithm, kind, _ = packed
    pack = git_pack.read_pack(data, algorithm)
    bases = [found.base for found in pack.objects.values() if found.base is not None]
    assert len(bases) > 40
    assert all(isinstance(base, int if kind == "ofs" else bytes) for base in bases)


@pytest.mark.parametrize("position", [0, 1, 5000, 24_000])
def test_a_delta_is_read_from_anywhere(packed: Packed, position: int, tmp_path: Path) -> None:
    commit, data, _, algorithm, _, expected = packed
    image = tmp_path / "image"
    image.write_bytes(bundle(commit, data, algorithm=algorithm))
    with blockpack.open_image(image) as opened:
        for name in ("d1/version 31.txt", "large 2"):
            with opened.open(name) as file:
                file.seek(position)
                assert file.read(100) == expected[name.encode()][1][position : position + 100]
                file.seek(0)
                assert file.read(5) == expected[name.encode()][1][:5]


@pytest.mark.parametrize("wrap", ["pack", "oneffs"])
def test_the_commit_after_all_others_of_a_pack_is_what_git_kv_takes_for_its_head(
    wrap: str, tmp_path: Path
) -> None:
    who = b"A <a@b> 1700000000 +0000"
    pack = Pack()
    first = pack.commit(pack.tree((FILE, b"old", pack.blob(b"1"))))
    base = commit_data(pack.tree(), who, first)
    under = pack.add(COMMIT, base)
    second = commit_data(pack.tree((FILE, b"new", pack.blob(b"2"))), who, under)
    made = delta(len(base), len(second), *(insert(second[n : n + 99]) for n in (0, 99)))
    last = pack.add_delta(made, second, under, COMMIT)
    image = tmp_path / "image"
    image.write_bytes(WRAPPERS[wrap](first, pack.data(), b"", "sha1"))
    with blockpack.open_image(image) as opened:
        assert opened.info()["commit"] == last.hex()
        assert [entry.path for entry in opened.walk()] == ["new"]


def test_deltas_may_stand_before_their_bases_and_below_others(tmp_path: Path) -> None:
    """The base, named by its id, comes last, and by then a delta stands on what waits for it."""
    pack = Pack()
    base = object_id(BLOB, b"base")
    near = pack.add_delta(delta(4, 4, insert(b"near")), b"near", base)
    far = pack.add_delta(delta(4, 3, insert(b"far")), b"far", pack.places[near][0])
    top = pack.add_delta(delta(3, 3, insert(b"top")), b"top", far)
    pack.blob(b"base")
    files = ((FILE, b"far", far), (FILE, b"near", near), (FILE, b"top", top))
    commit = pack.commit(pack.tree(*files))
    for wrap in WRAPPERS.values():
        image = tmp_path / "image"
        image.write_bytes(wrap(commit, pack.data(), pack.index(), "sha1"))
        with blockpack.open_image(image) as opened:
            assert opened.verify() == []
            for _, name, _ in files:
                assert opened.open(name.decode()).read() == name
