"""Hostile and damaged FAT images: a clear error in bounded time and memory, nothing outside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.fat_images import LONG_NAME, Fat, short_entry, sound, volume
from hostile.ordeal import in_memory, in_time, undergo

ONE = b"ONE     BIN"
TWO = b"TWO     BIN"
EMPTY = b"EMPTY      "
DIR = b"DIR        "
SUB = b"SUB        "
HOLLOW = b"HOLLOW     "
INNER = b"INNER   TXT"
LAST = b"LAST    TXT"
LONG = b"ANAMET~1HTM"


def dots(own: int, parent: int = 0) -> bytes:
    """What every directory but the root begins with."""
    return short_entry(b".", directory=True, cluster=own) + short_entry(
        b"..", directory=True, cluster=parent
    )


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
        "ANAMET~1.HTM: its long name '..' is no name",
    ),
    "a long name of nothing": (
        lambda fat: fat.put(fat.entry(LONG) - 31, b"\0\0"),
        "ANAMET~1.HTM: its long name '' is no name",
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
    assert "no FAT file system" in problem
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


def _below(number: int) -> bytes:
    """What the directory at the cluster `number` begins with, below that at the one before."""
    return dots(number, number - 1 if number > 2 else 0)


def _nested(depth: int) -> bytes:
    """Each directory in the one before."""
    return volume(
        depth + 1,
        short_entry(b"D", directory=True, cluster=2),
        dict.fromkeys(range(2, depth + 3), 65535),
        {
            number: _below(number) + short_entry(b"D", directory=True, cluster=number + 1)
            for number in range(2, depth + 2)
        }
        | {depth + 2: _below(depth + 2)},
    )


@pytest.mark.parametrize("depth", [100, 1100, 5000])
def test_deep_nesting_is_no_recursion(
    depth: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(_nested(depth), tmp_path, capsys)
    if depth < 5000:
        assert verdict.problems == []
        assert verdict.extracted
    else:
        assert any("a path of 4,0" in problem for problem in verdict.problems)
        assert verdict.codes["extract"] == 6


def _shared_chain() -> bytes:
    """A thousand files, each with the same chain of thousands of clusters that lie apart."""
    clusters = 8000
    order = [*range(2, clusters, 2), *range(3, clusters, 2)]
    chains = dict(zip(order, [*order[1:], 0xFFFF], strict=True))
    size = 512 * len(order)
    root = b"".join(short_entry(b"F%d" % n, cluster=2, size=size) for n in range(4000))
    return volume(clusters, root, chains, {})


def _shared_directory() -> bytes:
    """Directories that begin within each other: every cluster of one chain is one's first."""
    clusters = 1000
    chains = {number: number + 1 for number in range(2, clusters)} | {clusters: 0xFFFF}
    names = iter(range(clusters * 16))
    contents = {
        number: b"".join(
            short_entry(b"D%d" % next(names), directory=True, cluster=2 + (number * 14 + at) % 990)
            for at in range(14)
        )
        for number in range(2, clusters)
    }
    contents = {number: dots(number) + content for number, content in contents.items()}
    return volume(clusters, short_entry(b"D", directory=True, cluster=2), chains, contents)


def _long_paths() -> bytes:
    """A directory of many entries below many of long names: each path is very long."""
    depth = 500
    chains = dict.fromkeys(range(2, depth + 2), 65535)
    contents = {}
    for number in range(2, depth + 2):
        contents[number] = _below(number) + _long_entry("n" * 150, b"N%d" % number, number + 1)
    contents[depth + 2] = _below(depth + 2) + b"".join(
        short_entry(b"F%d" % n) for n in range(16 * 1000 - 2)
    )
    last = range(depth + 2, depth + 2 + 1000)
    chains |= {number: number + 1 for number in last} | {last[-1]: 0xFFFF}
    root = _long_entry("n" * 150, b"N", 2)
    return volume(depth + 1010, root, chains, contents)


def _long_entry(name: str, short: bytes, cluster: int) -> bytes:
    total = 0
    for byte in short.ljust(11):
        total = ((total & 1) << 7 | total >> 1) + byte & 0xFF
    raw = (name + "\0").encode("utf-16-le")
    raw += b"\xff" * (-len(raw) % 26)
    slots = []
    count = len(raw) // 26
    for order in range(count, 0, -1):
        part = raw[26 * order - 26 : 26 * order]
        mark = order | (0x40 if order == count else 0)
        head = bytes([mark]) + part[:10] + b"\x0f\0" + bytes([total])
        slots.append(head + part[10:22] + b"\0\0" + part[22:])
    return b"".join(slots) + short_entry(short, directory=True, cluster=cluster)


def _fragments() -> bytes:
    """One file of thousands of pieces, none beside the next."""
    clusters = 20_000
    order = [*range(2, clusters, 2), *range(3, clusters, 2)]
    order[1::2] = reversed(order[1::2])
    chains = dict(zip(order, [*order[1:], 0xFFFF], strict=True))
    return volume(
        clusters, short_entry(b"PIECES", cluster=order[0], size=512 * len(order)), chains, {}
    )


def _orphans() -> bytes:
    """A directory of nothing but parts of long names."""
    slot = b"\x41" + b"n\0" * 5 + b"\x0f\0\0" + b"n\0" * 6 + b"\0\0" + b"n\0" * 2
    return volume(10, slot * 4000, {}, {})


MASSES: dict[str, tuple[Callable[[], bytes], str]] = {
    "files that share one long chain": (_shared_chain, "which is taken already"),
    "directories that begin within each other": (_shared_directory, "which is taken already"),
    "many very long paths": (_long_paths, "a path of 4,2"),
    "one file of many pieces": (_fragments, ""),
    "parts of long names without end": (_orphans, ""),
}


@pytest.mark.parametrize("name", MASSES)
def test_masses_are_read_in_bounded_time_and_memory(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = MASSES[name]
    verdict = undergo(make(), tmp_path, capsys)
    assert not expected or any(expected in problem for problem in verdict.problems)


def test_a_sparse_gigantic_image_costs_nothing_to_list(tmp_path: Path) -> None:
    """FAT32 of 100 GiB with clusters of 32 KiB, all of them free but the root directory's."""
    fat = Fat.of(32)
    sectors = (100 << 30) // 512
    per_fat = 25 << 10
    fat.put(13, 64, 1).put(32, sectors, 4).put(36, per_fat, 4).put(44, 2, 4)
    path = tmp_path / "image"
    with open(path, "wb") as file:
        file.write(fat.data[:512])
        file.seek(fat.fat_offset)
        file.write(b"\xf8\xff\xff\x0f" + b"\xff\xff\xff\x0f" * 2)
        file.truncate(100 << 30)
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        assert list(image.walk()) == []
