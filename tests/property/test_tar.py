"""Tar images of whole trees, before judges that we did not write."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import blockpack
from judges import tar_invariants
from judges.fat_tools import sevenzip_spelling
from judges.mirage_tar import MirageTar
from judges.tar_invariants import Rules
from judges.tar_tools import (
    Member,
    Members,
    bsdtar_read,
    busybox_read,
    gnu_tar_read,
    sevenzip_tar_read,
    tarfile_read,
)
from property.strategies import (
    EPOCH,
    DirectoryNode,
    FileNode,
    HardLinkNode,
    Spec,
    SymlinkNode,
    materialise,
    specs,
    times,
    tree_of,
    unix_names,
    utf8_names,
)

Options = dict[str, Any]

trees = specs(unix_names, times=times(0, 2**33 - 1), links=True, most_units=1500)


@st.composite
def option_sets(draw: st.DrawFn) -> Options:
    """Options that do not contradict each other."""
    options: Options = {
        "dialect": draw(st.sampled_from(("pax", "pax", "gnu"))),
        "align": draw(st.sampled_from(("auto", 512, 1024, 4096, 16384))),
        "mtime": draw(st.sampled_from(("fixed", "keep", "clamp"))),
        "sector_size": draw(st.sampled_from((512, 4096))),
    }
    room = draw(st.sampled_from(("exact", "free", "size")))
    if room == "free":
        options["free"] = draw(st.sampled_from((1, 4096, 1 << 20)))
    elif room == "size":
        options["size"] = 64 << 20
    return options


def scanned(spec: Spec, directory: Path) -> blockpack.Tree:
    """The tree, made on disk and scanned."""
    source = directory / "source"
    source.mkdir()
    materialise(spec, source)
    return blockpack.scan(source)


def written(layout: blockpack.Layout, directory: Path, jobs: int = 1) -> Path:
    """The image of `layout` in a file."""
    image = directory / "image.tar"
    blockpack.write(layout, image, jobs=jobs)
    return image


def expected_members(spec: Spec, options: Options) -> Members:
    """What every reader is to show: of several names of a file, the first is the file."""
    members: Members = {}
    first: dict[str, str] = {}
    for path in sorted(spec, key=lambda path: path.split("/")):
        node = spec[path]
        file = node.path if isinstance(node, HardLinkNode) else path
        origin = spec[file]
        assert not isinstance(origin, HardLinkNode)
        shown = {"fixed": EPOCH, "keep": origin.mtime, "clamp": min(origin.mtime, EPOCH)}
        mtime = shown[options["mtime"]]
        name = os.fsencode(path)
        if isinstance(origin, DirectoryNode):
            members[name] = Member("directory", b"", 0o755, mtime, b"")
        elif isinstance(origin, SymlinkNode):
            members[name] = Member("symlink", b"", 0o777, mtime, os.fsencode(origin.target))
        else:
            mode = 0o755 if origin.executable else 0o644
            data = origin.contents.data()
            earlier = first.setdefault(file, path)
            if earlier == path:
                members[name] = Member("file", data, mode, mtime, b"")
            else:
                members[name] = Member("hardlink", data, mode, mtime, os.fsencode(earlier))
    return members


def without_padded_directories(members: Members, image: Path) -> Members:
    """For GNU tar: `members` without the times of directories that it forgets.

    It sets a directory's time when it meets an entry elsewhere, and ``./`` in padding is one.
    """
    padded = {
        path[:at]
        for path, member in tar_invariants.check(image).items()
        if member.size and member.offset % 1024 == 0
        for at in range(len(path))
        if path[at : at + 1] == b"/"
    }
    return {
        path: member._replace(mtime=None) if path in padded else member
        for path, member in members.items()
    }


def canonical(members: Members) -> Members:
    """`members` with the first of several names of a file, byte by byte, as the file.

    Readers that extract cannot tell which name the archive had first, and trees are sorted by
    code point, where a byte that is not UTF-8 has a place of its own (PEP 383).
    """
    names: dict[bytes, list[bytes]] = {}
    for path, member in members.items():
        names.setdefault(member.linkname if member.kind == "hardlink" else path, []).append(path)
    found: Members = {}
    for group in names.values():
        first, *others = sorted(group, key=lambda path: path.split(b"/"))
        if not others:
            found[first] = members[first]
            continue
        found[first] = members[first]._replace(kind="file", linkname=b"")
        found |= {p: members[p]._replace(kind="hardlink", linkname=first) for p in others}
    return found


def without_times(members: Members) -> Members:
    """For busybox, which restores those of files alone."""
    return {
        path: member._replace(mtime=None) if member.kind in ("symlink", "directory") else member
        for path, member in members.items()
    }


@given(spec=trees, options=option_sets(), jobs=st.sampled_from((1, 3)))
@example(spec={}, options={"mtime": "fixed"}, jobs=1)
def test_every_judge_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, options: Options, jobs: int
) -> None:
    directory = tmp_path_factory.mktemp("tar")
    layout = blockpack.TarVolume(**options).plan(scanned(spec, directory))
    image = written(layout, directory, jobs)
    expected = expected_members(spec, options)

    checked = tar_invariants.check(image, Rules(ordered=True))
    assert {path: (member.kind, member.size) for path, member in checked.items()} == {
        path: (member.kind, len(member.content) if member.kind == "file" else 0)
        for path, member in expected.items()
    }
    align = options.get("align", "auto")
    least, boundary = (65536, 4096) if align == "auto" else (align, align)
    for path, member in checked.items():
        assert member.kind != "file" or member.size < least or not member.offset % boundary, path

    assert tarfile_read(image) == expected
    expected = canonical(expected)
    assert without_padded_directories(gnu_tar_read(image), image) == (
        without_padded_directories(expected, image)
    )
    assert bsdtar_read(image) == expected
    assert busybox_read(image) == without_times(expected)
    with blockpack.open_image(image) as ours:
        assert ours.verify() == []


@given(
    spec=specs(utf8_names, times=times(0, 2**33 - 1), links=True, most_units=1500),
    options=option_sets(),
)
def test_7_zip_reads_back_every_name_and_byte(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, options: Options
) -> None:
    directory = tmp_path_factory.mktemp("tar")
    image = written(blockpack.TarVolume(**options).plan(scanned(spec, directory)), directory)
    expected = expected_members(spec, options)
    expected = canonical(expected)
    found = sevenzip_tar_read(image)
    assert {path: (m.kind, m.content) for path, m in found.items()} == {
        os.fsencode(sevenzip_spelling(os.fsdecode(path))): (m.kind, m.content)
        for path, m in expected.items()
    }


@given(
    spec=specs(unix_names, links=False, most_units=250), align=st.sampled_from(("auto", 512, 4096))
)
def test_ustar_is_plain_or_refused(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, align: int | str
) -> None:
    """In the oldest dialect there is no extended header: what needs one is refused, by path."""
    tree = tree_of(spec)
    volume = blockpack.TarVolume(dialect="ustar", align=align)
    try:
        layout = volume.plan(tree)
    except blockpack.Problems as problems:
        for problem in problems.exceptions:
            assert isinstance(problem, blockpack.EntryError)
            assert len(os.fsencode(problem.path)) >= 100 and "ustar" in problem.rule
            if problem.path in tree:
                tree.remove(problem.path)
        layout = volume.plan(tree)
    image = written(layout, tmp_path_factory.mktemp("ustar"))
    kept = {entry.path: spec[entry.path] for entry in tree}
    expected = expected_members(kept, {"mtime": "fixed"})
    assert {member.type for member in every_member(image)} <= {b"0", b"5"}
    assert tarfile_read(image) == expected
    assert without_padded_directories(gnu_tar_read(image), image) == (
        without_padded_directories(expected, image)
    )
    assert busybox_read(image) == without_times(expected)


def every_member(image: Path) -> Iterator[tarfile.TarInfo]:
    """All headers as they stand in the archive: nothing is applied, nothing is passed over."""
    with open(image, "rb") as file:
        while any(block := file.read(512)):
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            yield member
            file.seek(-(-member.size // 512) * 512, os.SEEK_CUR)


@given(
    spec=specs(unix_names, links=True, most_units=480).map(
        lambda spec: {p: n for p, n in spec.items() if not isinstance(n, SymlinkNode)}
    ),
    sector_size=st.sampled_from((512, 4096)),
    align=st.sampled_from(("auto", 512, 4096)),
)
def test_mirage_finds_every_file(
    tmp_path_factory: pytest.TempPathFactory, spec: Spec, sector_size: int, align: int | str
) -> None:
    directory = tmp_path_factory.mktemp("mirage")
    tree = scanned(spec, directory)
    volume = blockpack.TarVolume(profile="mirage", sector_size=sector_size, align=align)
    try:
        layout = volume.plan(tree)
    except blockpack.Problems as problems:  # paths of more than 500 bytes
        for problem in problems.exceptions:
            assert isinstance(problem, blockpack.EntryError)
            assert "extended header" in problem.rule
            assert len(os.fsencode(problem.path)) > 480
            if problem.path in tree:
                tree.remove(problem.path)
        layout = volume.plan(tree)
    image = written(layout, directory)
    tar_invariants.check(image, Rules(extended_limit=512))
    kept = {entry.path: spec[entry.path] for entry in tree}
    for device in (512, sector_size):
        store = MirageTar(image, device)
        assert {path for path, _ in store.walk()} == {os.fsencode(path) for path in kept}
        for path, node in kept.items():
            origin = spec[node.path] if isinstance(node, HardLinkNode) else node
            if isinstance(origin, FileNode):
                assert store.get(os.fsencode(path)) == origin.contents.data()
