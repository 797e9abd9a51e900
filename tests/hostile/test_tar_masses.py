"""Masses in tar archives are read in bounded time and memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.ordeal import OF_MASSES, in_memory, in_time, undergo
from hostile.tar_images import (
    END,
    archive,
    base_256,
    directory,
    hardlink,
    header,
    member,
    pax,
    record,
    symlink,
)

MANY = 2_500


MASSES: dict[str, Callable[[], bytes]] = {
    "global headers of nothing": lambda: header(b"g", b"g") * MANY + archive(member(b"f", b"x")),
    "global headers, each with other keywords": lambda: archive(
        *(pax({b"k%d.%d" % (number, at): b"" for at in range(200)}, b"g") for number in range(100)),
        *(member(b"f%d" % number) for number in range(MANY // 2)),
    ),
    "extended headers of nothing": lambda: header(b"x", b"x") * MANY + archive(member(b"f", b"x")),
    "GNU names of nothing": lambda: header(b"L", b"L") * MANY + archive(member(b"f", b"x")),
    "one name over and over": lambda: archive(member(b"file") * MANY),
    "one directory over and over": lambda: archive(directory(b"dir") * MANY),
    "the root over and over": lambda: archive(directory(b"./") * MANY),
    "a long global name for everything": lambda: archive(
        pax({b"path": b"long/" * 20_000}, b"g"), header(b"f") * MANY
    ),
    "a path of a million characters": lambda: archive(
        pax({b"path": b"d/" * 500_000 + b"f"}), member(b"f", b"x")
    ),
    "an extended header of nothing but records": lambda: archive(
        pax(record(b"a", b"") * 20_000), member(b"f", b"x")
    ),
    "an extended header of one endless number": lambda: archive(
        pax(b"1" * (1 << 20)), member(b"f", b"x")
    ),
    "zeros without end": lambda: bytes(32 << 20),
    "symlinks in a long chain": lambda: archive(
        *(symlink(b"l%d" % number, b"l%d" % (number + 1)) for number in range(MANY // 2))
    ),
    "hard links to later ones": lambda: archive(
        *(hardlink(b"l%d" % number, b"l%d" % (number + 1)) for number in range(MANY // 2)),
        member(b"l%d" % (MANY // 2)),
    ),
    "files whose name comes again after a link to each": lambda: archive(
        *(member(b"f", b"x") + hardlink(b"l%d" % number, b"f") for number in range(MANY // 4))
    ),
    "headers without a size": lambda: archive(
        *(header(b"f%d" % number, size=b"none") for number in range(MANY // 2))
    ),
    "headers with wrong checksums": lambda: archive(
        *(header(b"f", checksum=1) + header(b"f%d" % number) for number in range(MANY // 4))
    ),
    "a sparse file of a hundred thousand pieces": lambda: archive(
        pax(
            {
                b"GNU.sparse.major": b"1",
                b"GNU.sparse.minor": b"0",
                b"GNU.sparse.realsize": b"9" * 18,
            }
        ),
        member(b"f", b"100000\n" + b"".join(b"%d\n1\n" % (2 * at) for at in range(100_000))),
    ),
    "hard links to hard links": lambda: archive(
        member(b"l0"),
        *(hardlink(b"l%d" % (number + 1), b"l%d" % number) for number in range(MANY // 2)),
    ),
}


@pytest.mark.parametrize("name", MASSES)
def test_masses_are_read_in_bounded_time_and_memory(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undergo(MASSES[name](), tmp_path, capsys, commands=OF_MASSES)


@pytest.mark.parametrize(("depth", "listed"), [(100, True), (1100, True), (1100, False)])
def test_deep_nesting_is_no_recursion(
    depth: int, listed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether or not the archive has an entry for every directory."""
    steps = range(1, depth + 1) if listed else ()
    members = [pax({b"path": b"d/" * step}) + directory(b"d") for step in steps]
    data = archive(*members, pax({b"path": b"d/" * depth + b"f"}), member(b"f", b"deep"))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.codes["ls"] == 0
    assert verdict.extracted


def test_a_path_longer_than_the_machines_is_read() -> None:
    path = "d/" * 5000 + "f"
    data = archive(pax({b"path": path.encode()}), member(b"f", b"deep"))
    with in_time(), in_memory(256 << 20), blockpack.open_image(data) as image:
        assert image.read(path) == b"deep"


def test_a_failure_deep_inside_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was made so far goes, however deep it is: here a second name is too long."""
    data = archive(
        pax({b"path": b"d/" * 1000 + b"f"}),
        member(b"f", b"deep"),
        pax({b"path": b"n" * 300}),
        member(b"n", b"too long"),
    )
    verdict = undergo(data, tmp_path, capsys)
    assert not verdict.extracted


def test_a_sparse_gigantic_archive_costs_nothing_to_list(tmp_path: Path) -> None:
    """A member of a TiB, that is there: its content is passed over."""
    path = tmp_path / "image"
    with open(path, "wb") as file:
        file.write(header(b"huge", size=base_256(1 << 40)))
        file.seek(512 + (1 << 40))
        file.write(END)
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        assert [(entry.path, entry.size) for entry in image.walk()] == [("huge", 1 << 40)]
        assert image.verify() == []
        with image.open("huge") as content:
            content.seek(1 << 39)
            assert content.read(10) == bytes(10)
