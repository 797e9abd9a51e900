"""Padding for Linux has no entry for the root: who extracts keeps the directory's own mode."""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from judges.fat_tools import assert_7zip_content
from judges.programs import run_silent

CONTENT = b"payload " * 9000
"""More than the size from which payloads are aligned."""


def planned(blocks: int, profile: str, dialect: str = "pax") -> blockpack.Layout:
    """An archive whose large payload comes after a member of so many blocks, and its header."""
    tree = blockpack.Tree()
    tree.add("a", b"x" * 512 * blocks)
    tree.add("large", CONTENT)
    tree.mkdir("private", mode=0o700)
    return blockpack.TarVolume(profile=profile, dialect=dialect, mode="keep").plan(tree)  # type: ignore[arg-type]


def gap(image: Path, blocks: int) -> int:
    """The padding before the large payload, in blocks."""
    with blockpack.open_image(image) as opened:
        offset = opened.get("large").offset
    assert offset is not None and offset % 4096 == 0
    return offset // 512 - 2 - blocks


def with_tarfile(image: Path, target: Path) -> None:
    with tarfile.open(image) as archive:
        assert "." not in archive.getnames()
        archive.extractall(target, filter="tar")


EXTRACTORS: dict[str, Callable[[Path, Path], object]] = {
    "GNU tar": lambda image, out: run_silent("tar", ["-xpf", image, "-C", out]),
    "bsdtar": lambda image, out: run_silent("bsdtar", ["-xpf", image, "-C", out]),
    "busybox": lambda image, out: run_silent("busybox", ["tar", "-xpf", image, "-C", out]),
    "tarfile": with_tarfile,
    "pax": lambda image, out: run_silent("pax", ["-r", "-p", "p", "-f", image], cwd=out),
    "7-Zip": lambda image, out: assert_7zip_content(
        run_silent("7z", ["x", "-ttar", "-bd", f"-o{out}", "--", image])
    ),
}

LISTERS: dict[str, list[str]] = {
    "tar": ["-tf"],
    "bsdtar": ["-tf"],
    "busybox": ["tar", "-tf"],
    "pax": ["-f"],
}


@pytest.mark.parametrize("dialect", ["pax", "gnu"])
@pytest.mark.parametrize("blocks", range(8))
def test_every_reader_is_silent_and_leaves_the_mode_of_the_directory(
    blocks: int, dialect: str, tmp_path: Path
) -> None:
    image = tmp_path / "x.tar"
    blockpack.write(planned(blocks, "linux", dialect), image)
    assert gap(image, blocks) in (-(blocks + 2) % 8, 9)
    assert b"./\0" not in image.read_bytes()
    for program, arguments in LISTERS.items():
        listed = run_silent(program, [*arguments, image]).decode().splitlines()
        assert [name.rstrip("/") for name in listed] == ["a", "large", "private"], program
    for name, extracted in EXTRACTORS.items():
        out = tmp_path / name
        out.mkdir(0o700)
        extracted(image, out)
        assert stat.S_IMODE(out.stat().st_mode) == 0o700, name
        assert (out / "large").read_bytes() == CONTENT, name
        assert stat.S_IMODE((out / "private").stat().st_mode) == 0o700, name


def test_no_comment_of_the_padding_is_longer_than_a_block(tmp_path: Path) -> None:
    """Debian's pax complains of longer ones; two in one header are silent everywhere."""
    for blocks in range(8):
        blockpack.write(planned(blocks, "linux"), tmp_path / "x.tar")
        data = (tmp_path / "x.tar").read_bytes()
        assert data.count(b"512 comment=") == data.count(b" comment=")


def test_gaps_are_odd_and_even_and_never_one_block(tmp_path: Path) -> None:
    gaps = []
    for blocks in range(8):
        blockpack.write(planned(blocks, "linux"), tmp_path / "x.tar")
        gaps.append(gap(tmp_path / "x.tar", blocks))
    assert sorted(gaps) == [0, 2, 3, 4, 5, 6, 7, 9]


@pytest.mark.parametrize(("profile", "dialect"), [("any", "pax"), ("linux", "ustar")])
def test_where_readers_know_no_long_padding_blocks_are_entries_for_the_root(
    profile: str, dialect: str, tmp_path: Path
) -> None:
    found = []
    for blocks in range(8):
        blockpack.write(planned(blocks, profile, dialect), tmp_path / "x.tar")
        odd = gap(tmp_path / "x.tar", blocks) % 2
        found.append((odd, b"./\0" in (tmp_path / "x.tar").read_bytes()))
    assert (1, True) in found
    assert (1, False) not in found
