"""Damage to a FAT file system is found and named, and all else is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hostile.fat_images import LONG_NAME, Fat, sound
from hostile.ordeal import undergo

ONE = b"ONE     BIN"


TWO = b"TWO     BIN"


EMPTY = b"EMPTY      "


DIR = b"DIR        "


SUB = b"SUB        "


HOLLOW = b"HOLLOW     "


INNER = b"INNER   TXT"


LONG = b"ANAMET~1HTM"


TYPES = (12, 16, 32)


END = 0x0FFFFFF8
FREE, BAD = 0, 0x0FFFFFF7


def mark(bits: int, value: int) -> int:
    """A special value of a FAT32 table's entry as FAT`bits` has it."""
    return value & (1 << bits) - 1


@pytest.mark.parametrize("bits", TYPES)
def test_a_sound_image_passes_the_ordeal(
    bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(sound(bits), tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.extracted
    assert (tmp_path / f"sandbox/below/out/{LONG_NAME}.html").is_file()


DAMAGES: dict[str, tuple[Callable[[Fat], object], str]] = {
    "a chain that loops": (
        lambda fat: fat.set_cell(fat.first(ONE) + 2, fat.first(ONE)),
        "ONE.BIN: its chain leads to cluster",
    ),
    "a cluster that follows itself": (
        lambda fat: fat.set_cell(fat.first(ONE), fat.first(ONE)),
        "which is taken already",
    ),
    "a chain that is too short": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, mark(fat.bits, END)),
        "ONE.BIN: its chain is shorter than its size",
    ),
    "a chain that is too long": (
        lambda fat: fat.set_size(ONE, 1000),
        "ONE.BIN: its chain goes on after its size",
    ),
    "a chain that leads into free clusters": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, FREE),
        "ONE.BIN: its chain leads to cluster 0",
    ),
    "a chain that leads to a bad cluster": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, mark(fat.bits, BAD)),
        "ONE.BIN: its chain is shorter than its size",
    ),
    "a chain that leads to reserved clusters": (
        lambda fat: fat.set_cell(fat.first(ONE), 1),
        "ONE.BIN: its chain leads to cluster 1,",
    ),
    "a chain that leads beyond the end": (
        lambda fat: fat.set_cell(fat.first(ONE), fat.clusters + 2),
        "ONE.BIN: its chain leads to cluster",
    ),
    "two files that share clusters": (
        lambda fat: fat.set_first(TWO, fat.first(ONE)),
        "TWO.BIN: its chain",
    ),
    "two files whose chains meet": (
        lambda fat: fat.set_cell(fat.first(TWO) + 3, fat.first(ONE) + 4),
        "TWO.BIN: its chain",
    ),
    "a file that is a directory's": (
        lambda fat: fat.set_first(INNER, fat.first(DIR)),
        "DIR/INNER.TXT: its chain leads to cluster",
    ),
    "a file without a cluster": (
        lambda fat: fat.set_first(ONE, 0),
        "ONE.BIN: its chain leads to cluster 0",
    ),
    "a file that begins beyond the end": (
        lambda fat: fat.set_first(ONE, fat.clusters + 2),
        "ONE.BIN: its chain leads to cluster",
    ),
    "a file that begins at the end of numbers": (
        lambda fat: fat.set_first(ONE, 0xFFFFFFFF),
        "ONE.BIN: its chain leads to cluster 65535",
    ),
    "an empty file with a cluster": (
        lambda fat: fat.set_size(ONE, 0),
        "ONE.BIN: is empty and has a cluster",
    ),
    "the largest size": (
        lambda fat: fat.set_size(ONE, 0xFFFFFFFF),
        "ONE.BIN: its chain is shorter than its size",
    ),
    "a size in an empty file": (
        lambda fat: fat.set_size(EMPTY, 1),
        "EMPTY: its chain leads to cluster 0",
    ),
    "a directory that is itself": (
        lambda fat: fat.set_first(SUB, fat.first(DIR)),
        "DIR/SUB: its chain leads to cluster",
    ),
    "two directories that are one": (
        lambda fat: fat.set_first(HOLLOW, fat.first(DIR)),
        "HOLLOW: its chain leads to cluster",
    ),
    "a directory without a cluster": (
        lambda fat: fat.set_first(HOLLOW, 0),
        "HOLLOW: its chain leads to cluster 0",
    ),
    "a directory beyond the end": (
        lambda fat: fat.set_first(DIR, fat.clusters + 100),
        "DIR: its chain leads to cluster",
    ),
    "a directory that loops": (
        lambda fat: fat.set_cell(fat.first(DIR), fat.first(DIR)),
        "DIR: its chain leads to cluster",
    ),
    "a directory that is a file": (
        lambda fat: fat.put(fat.entry(DIR) + 11, 0x20, 1),
        "DIR: is empty and has a cluster",
    ),
    "a file that is a directory": (
        lambda fat: fat.put(fat.entry(ONE) + 11, 0x10, 1),
        "ONE.BIN: does not begin with '.' and '..'",
    ),
    "a name with a slash": (
        lambda fat: fat.put(fat.entry(ONE), b"../../X BIN"),
        "the root directory: has an entry '../../X.BIN', which is not a valid name",
    ),
    "a name that is the parent": (
        lambda fat: fat.put(fat.entry(INNER), b"..      . T"),
        "",
    ),
    "a name that is the parent in two halves": (
        lambda fat: fat.put(fat.entry(INNER), b".       .  "),
        "",
    ),
    "a name with a NUL": (
        lambda fat: fat.put(fat.entry(ONE), b"A\0B     BIN"),
        "the root directory: has an entry 'A\\x00B.BIN', which is not a valid name",
    ),
    "a name of nothing": (
        lambda fat: fat.put(fat.entry(ONE), b" " * 11),
        "the root directory: has an entry '', which is not a valid name",
    ),
    "a name twice": (
        lambda fat: fat.put(fat.entry(TWO), ONE),
        "the root directory: holds ONE.BIN twice",
    ),
    "a long name with a slash": (
        lambda fat: fat.put(fat.entry(LONG) - 31, "../../bait".encode("utf-16-le")[:10]),
        "ANAMET~1.HTM: its long name '../..",
    ),
    "a long name that is the parent": (
        lambda fat: fat.put(fat.entry(LONG) - 31, b".\0.\0\0\0"),
        "ANAMET~1.HTM: its long name '..' is invalid",
    ),
    "a long name of nothing": (
        lambda fat: fat.put(fat.entry(LONG) - 31, b"\0\0"),
        "ANAMET~1.HTM: its long name '' is invalid",
    ),
    "a long name whose parts are swapped": (
        lambda fat: _swap(fat, fat.entry(LONG) - 64, fat.entry(LONG) - 32),
        "ANAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "a long name whose first part is missing": (
        lambda fat: fat.put(fat.entry(LONG) - 128, b"\xe5"),
        "ANAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "a long name whose last part is missing": (
        lambda fat: fat.put(fat.entry(LONG) - 32, b"\xe5"),
        "",
    ),
    "a long name with another's checksum": (
        lambda fat: fat.put(fat.entry(LONG), b"X"),
        "XNAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "a long name with two checksums": (
        lambda fat: fat.put(fat.entry(LONG) - 64 + 13, b"\xaa"),
        "ANAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "a long name of 63 parts": (
        lambda fat: fat.put(fat.entry(LONG) - 128, b"\x7f"),
        "ANAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "clusters that belong to nothing": (
        lambda fat: fat.put(fat.entry(ONE), b"\xe5"),
        "5 clusters are taken, and belong to nothing",
    ),
    "two copies of the table that differ": (
        lambda fat: fat.put(fat.fat_offset + fat.fat_size + 9, b"\x55"),
        "FAT 2 differs from the first",
    ),
    "a table without the media byte": (
        lambda fat: fat.put(fat.fat_offset, 0, 1).put(fat.fat_offset + fat.fat_size, 0, 1),
        "the FAT does not begin with the media byte",
    ),
}


def _swap(fat: Fat, one: int, other: int) -> None:
    first, second = bytes(fat.data[one : one + 32]), bytes(fat.data[other : other + 32])
    fat.put(one, second).put(other, first)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(
    name: str, bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = DAMAGES[name]
    fat = Fat.of(bits)
    change(fat)
    assert fat.data != sound(bits)
    if bits == 12 and ("beyond" in name or "numbers" in name):
        expected = expected.partition(" 65535")[0]
    verdict = undergo(bytes(fat.data), tmp_path, capsys)
    assert not expected or any(expected in problem for problem in verdict.problems), (
        verdict.problems
    )
    assert not expected or verdict.codes["verify"] == 6


@pytest.mark.parametrize(
    "name", ["a chain that loops", "two directories that are one", "a directory that loops"]
)
def test_damage_in_fat32_is_found_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_damage_is_found_and_named(name, 32, tmp_path, capsys)


FAT32_DAMAGES: dict[str, tuple[Callable[[Fat], object], str]] = {
    "no root directory": (
        lambda fat: fat.put(44, 0, 4),
        "the root directory: its chain leads to cluster 0",
    ),
    "a root directory beyond the end": (
        lambda fat: fat.put(44, 0x0FFFFFFF, 4),
        "the root directory: its chain leads to cluster 268435455",
    ),
    "a root directory that loops": (
        lambda fat: fat.set_cell(fat.number(44, 4), fat.number(44, 4)),
        "the root directory: its chain leads to cluster",
    ),
    "the root directory in itself": (
        lambda fat: fat.set_first(DIR, fat.number(44, 4)),
        "DIR: its chain leads to cluster",
    ),
    "a wrong number of free clusters": (
        lambda fat: fat.put(512 + 488, 7, 4),
        "FSInfo says 7 clusters are free",
    ),
    "an FSInfo sector that is none": (lambda fat: fat.put(512, 0, 4), "the FSInfo sector is not"),
    "an FSInfo sector beyond the end": (
        lambda fat: fat.put(48, 0xFFF0, 2).put(3072 + 48, 0xFFF0, 2),
        "the FSInfo sector is not",
    ),
    "another backup": (
        lambda fat: fat.put(3072 + 71, b"OTHER"),
        "the backup boot sector differs",
    ),
}


@pytest.mark.parametrize("name", FAT32_DAMAGES)
def test_damage_to_what_only_fat32_has_is_found_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = FAT32_DAMAGES[name]
    fat = Fat.of(32)
    change(fat)
    verdict = undergo(bytes(fat.data), tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert verdict.codes["verify"] == 6


BOOT_FIELDS = {
    "bytes per sector": (11, 2),
    "sectors per cluster": (13, 1),
    "reserved sectors": (14, 2),
    "number of FATs": (16, 1),
    "root entries": (17, 2),
    "total sectors": (19, 2),
    "sectors per FAT": (22, 2),
    "total sectors, 32 bits": (32, 4),
    "sectors per FAT, 32 bits": (36, 4),
    "root cluster": (44, 4),
    "FSInfo sector": (48, 2),
    "backup sector": (50, 2),
}


@pytest.mark.parametrize("value", [0, 1, 3, 0x7F, 0x80, 0xFFFFFFFF])
@pytest.mark.parametrize("name", BOOT_FIELDS)
def test_a_boot_sector_may_say_anything(
    name: str, value: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offset, size = BOOT_FIELDS[name]
    fat = Fat.of(12).put(offset, value & (1 << 8 * size) - 1, size)
    undergo(bytes(fat.data), tmp_path, capsys)


@pytest.mark.parametrize("byte", [0x00, 0x55, 0xFF])
def test_a_boot_sector_of_one_byte_is_none(
    byte: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fat = Fat.of(12).put(3, bytes([byte]) * 507)
    verdict = undergo(bytes(fat.data), tmp_path, capsys)
    [problem] = verdict.problems
    assert "not a tar archive, a FAT file system" in problem
    assert set(verdict.codes.values()) == {6}


@pytest.mark.parametrize("length", [1, 256, 511, 512, 513, 1024, 4095, 8192, 20_000, -513, -1])
def test_an_image_cut_short_anywhere_is_an_error(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(sound(16)[:length], tmp_path, capsys)
    assert "cut short" in verdict.problems[0] or "not a tar archive" in verdict.problems[0]
    assert verdict.codes["verify"] == 6


def test_all_damage_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fat = Fat.of(16)
    fat.set_size(ONE, 0xFFFFFFFF).set_first(TWO, 1).set_first(HOLLOW, fat.first(DIR))
    fat.put(fat.fat_offset + fat.fat_size + 50, b"\xff")
    verdict = undergo(bytes(fat.data), tmp_path, capsys)
    named = " ".join(verdict.problems)
    for word in ("ONE.BIN", "TWO.BIN", "HOLLOW", "FAT 2"):
        assert word in named


@pytest.mark.parametrize(
    "name", [b"BELL\x07   TXT", b"\x1b[2J    TXT", b"A\nB     TXT", b"\x7f\x01\x02     TXT"]
)
def test_names_that_would_harm_a_terminal_are_escaped(
    name: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fat = Fat.of(12)
    fat.put(fat.entry(ONE), name)
    fat.put(43, b"\x1b[31mLABEL\n")
    undergo(bytes(fat.data), tmp_path, capsys)
