"""FAT as others write it: what costs nothing is read all the same, and `verify` names it; what is
damaged is refused alone, and everything else is read.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from blockpack.errors import Deviation, ImageError
from blockpack.formats.fat.reader import FatReader
from hostile.fat_images import LONG_NAME, Fat, short_entry, sound, tree
from judges.programs import run, run_silent

ONE, TWO, EMPTY = b"ONE     BIN", b"TWO     BIN", b"EMPTY      "
DIR, HOLLOW, INNER = b"DIR        ", b"HOLLOW     ", b"INNER   TXT"
LONG = b"ANAMET~1HTM"
LONG_PATH = f"{LONG_NAME}.html"
TYPES = (12, 16, 32)

Contents = dict[str, bytes | None]


def contents() -> Contents:
    """What the sound image holds."""
    with FatVolumeImage(sound(16)) as image:
        return image.contents()


class FatVolumeImage:
    """An image, and what can be read in it."""

    def __init__(self, data: bytes) -> None:
        self.problems: list[ImageError] = []
        self.image = blockpack.open_image(data, report=self.problems.append)

    def __enter__(self) -> FatVolumeImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.image.close()

    def contents(self) -> Contents:
        """Everything that is not damaged; its extents are exact."""
        found: Contents = {}
        for entry in self.image:
            if entry.kind == "directory":
                found[entry.path] = None
            elif not entry.damage:
                assert sum(length for _, length in entry.extents) == entry.size
                found[entry.path] = self.image.read(entry.path)
        return found

    def damaged(self) -> set[str]:
        """The files that cannot be read."""
        return {entry.path for entry in self.image if entry.damage}


def renamed(old: str, new: str) -> Callable[[Contents], Contents]:
    return lambda before: {new if path == old else path: data for path, data in before.items()}


def same(before: Contents) -> Contents:
    return before


def boot(fat: Fat, offset: int) -> int:
    """The offset of a field behind the type's own, given that of FAT12 and FAT16."""
    return offset + 28 if fat.bits == 32 else offset


def strip_table(fat: Fat, copy: int) -> None:
    """Free all clusters in one copy of the table."""
    start = fat.fat_offset + copy * fat.fat_size
    fat.put(start + 12, bytes(fat.fat_size - 12))


DEVIATIONS: dict[str, tuple[Callable[[Fat], object], Callable[[Contents], Contents], str]] = {
    "no signature": (
        lambda fat: fat.put(510, b"\0\0"),
        same,
        "the boot sector does not end in 55 AA",
    ),
    "no jump": (
        lambda fat: fat.put(0, b"\x60\x1c\0"),
        same,
        "the boot sector does not begin with a jump",
    ),
    "neither": (
        lambda fat: fat.put(510, b"\0\0").put(0, b"\0\0\0"),
        same,
        "the boot sector does not end in 55 AA",
    ),
    "a chain that goes on": (
        lambda fat: fat.set_size(ONE, 1000),
        lambda before: before | {"ONE.BIN": (bytes(range(256)) * 10)[:1000]},
        "ONE.BIN: its chain goes on after its size",
    ),
    "a chain that goes on into another's": (
        lambda fat: fat.set_size(ONE, 1000).set_cell(fat.first(ONE) + 1, fat.first(TWO)),
        lambda before: before | {"ONE.BIN": (bytes(range(256)) * 10)[:1000]},
        "ONE.BIN: its chain goes on after its size",
    ),
    "a chain that ends in a free cluster": (
        lambda fat: fat.set_cell(fat.first(ONE) + 4, 0),
        same,
        "ONE.BIN: its chain goes on after its size",
    ),
    "an empty file with a cluster": (
        lambda fat: fat.set_size(ONE, 0),
        lambda before: before | {"ONE.BIN": b""},
        "ONE.BIN: is empty and has a cluster",
    ),
    "a long name whose entry was replaced": (
        lambda fat: fat.put(fat.entry(LONG), b"REPLACED   "),
        renamed(LONG_PATH, "REPLACED"),
        "REPLACED: its long name is damaged, or not its own",
    ),
    "a long name without its entry": (
        lambda fat: fat.put(fat.entry(LONG), b"\xe5"),
        lambda before: {path: data for path, data in before.items() if path != LONG_PATH},
        "the root directory: has 4 long-name entries that belong to no name",
    ),
    "a long name with half a surrogate pair": (
        lambda fat: fat.put(fat.entry(LONG) - 31, b"\x00\xd8"),
        renamed(LONG_PATH, "ANAMET~1.HTM"),
        "ANAMET~1.HTM: its long name is damaged, or not its own",
    ),
    "a month of 15": (
        lambda fat: fat.put(fat.entry(ONE) + 24, 15 << 5 | 1, 2),
        same,
        "ONE.BIN: its date 01E1 and time 0000 are invalid",
    ),
    "the 31st of February": (
        lambda fat: fat.put(fat.entry(ONE) + 24, 2 << 5 | 31, 2),
        same,
        "ONE.BIN: its date 005F and time 0000 are invalid",
    ),
    "an hour of 31": (
        lambda fat: fat.put(fat.entry(ONE) + 22, 31 << 11, 2),
        same,
        "ONE.BIN: its date 0021 and time F800 are invalid",
    ),
    "'..' that leads elsewhere": (
        lambda fat: fat.put(fat.entry(b".          ") + 32 + 26, 77, 2),
        same,
        "its '.' or '..' leads elsewhere",
    ),
    "another label in the root directory": (
        lambda fat: fat.put(fat.entry(b"DAMAGE     "), b"XP LABEL   "),
        same,
        "the boot sector has another label than the root directory",
    ),
    "tables that differ": (
        lambda fat: strip_table(fat, 1),
        same,
        "FAT 2 differs from the first",
    ),
}


@pytest.mark.parametrize("bits", TYPES)
@pytest.mark.parametrize("name", DEVIATIONS)
def test_what_costs_nothing_is_read_and_named(name: str, bits: int) -> None:
    change, expected, rule = DEVIATIONS[name]
    fat = Fat.of(bits)
    change(fat)
    with FatVolumeImage(bytes(fat.data)) as image:
        found = image.contents()
        assert found == expected(contents())
        assert image.problems == [] and image.damaged() == set()
        told = image.image.verify()
        assert any(str(problem).startswith(rule) or rule in str(problem) for problem in told)
        assert all(isinstance(problem, Deviation) for problem in told)


DAMAGES: dict[str, tuple[Callable[[Fat], object], set[str]]] = {
    "a chain that is too short": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, (1 << min(fat.bits, 28)) - 1),
        {"ONE.BIN"},
    ),
    "a chain that leads nowhere": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, 1),
        {"ONE.BIN"},
    ),
    "a chain that loops": (
        lambda fat: fat.set_cell(fat.first(ONE) + 1, fat.first(ONE)),
        {"ONE.BIN"},
    ),
    "no chain": (lambda fat: fat.set_first(ONE, 0), {"ONE.BIN"}),
    "two that begin alike": (
        lambda fat: fat.set_first(TWO, fat.first(ONE)),
        {"ONE.BIN", "TWO.BIN"},
    ),
    "two that meet": (
        lambda fat: fat.set_cell(fat.first(TWO), fat.first(ONE) + 3),
        {"ONE.BIN", "TWO.BIN"},
    ),
    "the first of two leads into the second": (
        lambda fat: fat.set_cell(fat.first(ONE), fat.first(TWO) + 2),
        {"ONE.BIN", "TWO.BIN"},
    ),
    "one that leads into a directory": (
        lambda fat: fat.set_cell(fat.first(ONE), fat.first(HOLLOW)),
        {"ONE.BIN"},
    ),
}


@pytest.mark.parametrize("bits", TYPES)
@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_is_refused_alone(name: str, bits: int) -> None:
    change, damaged = DAMAGES[name]
    fat = Fat.of(bits)
    change(fat)
    with FatVolumeImage(bytes(fat.data)) as image:
        expected = {path: data for path, data in contents().items() if path not in damaged}
        found = image.contents()
        if name != "one that leads into a directory":  # which may be read as empty
            assert found == expected
        assert image.damaged() == damaged
        assert {problem.path for problem in image.problems} >= damaged
        for path in damaged:
            with pytest.raises(ImageError):
                image.image.read(path)


def test_a_name_that_is_there_twice_hides_none_of_the_others() -> None:
    fat = Fat.of(16)
    fat.put(fat.entry(TWO), ONE)
    with FatVolumeImage(bytes(fat.data)) as image:
        expected = contents()
        del expected["TWO.BIN"]
        assert image.contents() == expected
        assert [str(problem) for problem in image.problems] == [
            "the root directory: holds ONE.BIN twice"
        ]


def test_of_two_long_names_alike_the_second_goes_by_its_short_one(tmp_path: Path) -> None:
    path = _filled(tmp_path, {"first long name.txt": b"1", "other long name.txt": b"2"})
    data = path.read_bytes()
    other, first = (name.encode("utf-16-le")[:10] for name in ("other", "first"))
    assert data.count(other) == 1
    with FatVolumeImage(data.replace(other, first)) as image:
        found = image.contents()
        assert found.pop("first long name.txt") == b"1"
        assert list(found.values()) == [b"2"] and "~" in next(iter(found))
        assert image.problems == [] and len(image.image.verify()) == 1


@pytest.mark.parametrize("bits", [12, 16])
def test_bytes_20_and_21_count_on_fat32_alone(bits: int) -> None:
    fat = Fat.of(bits)
    for short in (ONE, INNER, DIR, LONG):
        fat.put(fat.entry(short) + 20, 5, 2)
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.contents() == contents()
        named = {problem.path for problem in image.image.verify()}
        assert named == {"ONE.BIN", "DIR/INNER.TXT", "DIR", LONG_PATH}


@pytest.mark.parametrize("bits", TYPES)
@pytest.mark.parametrize(
    ("signature", "serial", "label"), [(0x29, True, True), (0x28, True, False), (0, False, False)]
)
def test_label_and_serial_count_by_the_boot_signature(
    bits: int, signature: int, serial: bool, label: bool
) -> None:
    fat = Fat.of(bits)
    fat.put(boot(fat, 38), signature, 1).put(fat.entry(b"DAMAGE     "), b"\xe5")
    with FatVolumeImage(bytes(fat.data)) as image:
        facts = image.image.info()
        assert facts["label"] == ("DAMAGE" if label else "")
        assert bool(facts["serial"]) == serial
        assert image.contents() == contents()


@pytest.mark.parametrize("bits", TYPES)
def test_the_label_in_the_root_directory_counts_more(bits: int) -> None:
    fat = Fat.of(bits)
    fat.put(fat.entry(b"DAMAGE     "), b"WINDOWS XP ").put(boot(fat, 43), b"NO NAME    ")
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.image.info()["label"] == "WINDOWS XP"
        assert image.image.options() == {"label": "WINDOWS XP"}


@pytest.mark.parametrize("label", [b"A.B        ", b"\x81 LABEL    ", b"A\0B        "])
def test_a_label_that_no_volume_of_ours_can_have_is_shown_and_not_planned_with(
    label: bytes,
) -> None:
    fat = Fat.of(16)
    fat.put(fat.entry(b"DAMAGE     "), label.ljust(11))
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.image.info()["label"]
        assert image.image.options() == {}


def test_a_label_in_lower_case_is_planned_with() -> None:
    fat = Fat.of(16)
    fat.put(fat.entry(b"DAMAGE     "), b"small      ")
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.image.options() == {"label": "small", "label_case": "keep"}


def test_the_active_table_of_fat32_counts() -> None:
    fat = Fat.of(32)
    strip_table(fat, 0)
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.contents() != contents()
    fat.put(40, 0x81, 2)
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.contents() == contents()
        assert any("FAT 1 differs from FAT 2" in str(told) for told in image.image.verify())


def test_a_root_directory_that_fills_no_sectors_never_gives_wrong_bytes(tmp_path: Path) -> None:
    """mtools and the specification disagree about where the first cluster is then."""
    image = tmp_path / "image"
    run("mkfs.fat", ["-C", "-F", "12", "-r", "100", image, "2880"])
    (tmp_path / "f.txt").write_bytes(b"content")
    run_silent("mcopy", ["-i", image, tmp_path / "f.txt", "::f.txt"])
    run_silent("mmd", ["-i", image, "::dir"])
    with FatVolumeImage(image.read_bytes()) as found:
        assert found.contents() == {"dir": None}
        assert found.damaged() == {"f.txt"}
        assert "fill no whole sectors" in str(found.image.verify()[0])


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_of_an_image_that_is_cut_short_the_rest_is_read(kept: int) -> None:
    fat = Fat.of(16)
    end = fat.cluster(fat.first(ONE) + kept)
    with FatVolumeImage(bytes(fat.data[:end])) as image:
        before = contents()
        assert image.contents().keys() <= before.keys()
        assert {path for path, data in image.contents().items() if data is None} == {
            path for path, data in before.items() if data is None
        }
        assert ("ONE.BIN" in image.damaged()) == (kept < 5)
        assert "TWO.BIN" in image.damaged()
        assert "cut short" in str(image.image.verify()[0])


def _filled(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """A small FAT by mkfs.fat, with files by mtools."""
    image = tmp_path / "image"
    run("mkfs.fat", ["-C", "-F", "12", image, "1440"])
    for name, data in files.items():
        (tmp_path / "source").write_bytes(data)
        run_silent("mcopy", ["-i", image, tmp_path / "source", f"::{name}"])
    return image


def _ntfs() -> bytes:
    """A boot sector of NTFS: no reserved sectors, no FATs, no root entries."""
    fields = struct.pack("<3s8sHBHBHHBHHHI", b"\xeb\x52\x90", b"NTFS    ", 512, 8, 0, 0, 0, 0,
                         0xF8, 0, 63, 255, 2048)  # fmt: skip
    return fields.ljust(510, b"\0") + b"\x55\xaa"


OTHERS: dict[str, Callable[[], bytes]] = {
    "NTFS": _ntfs,
    "exFAT": lambda: (b"\xeb\x76\x90EXFAT   " + bytes(499)) + b"\x55\xaa",
    "a partition table": lambda: bytes(446) + bytes(64) + b"\x55\xaa",
    "a partition table with code": lambda: (
        b"\xeb\x63\x90\x10\x8e\xd0\xbc\0\xb0\xb8\0\0\x8e\xd8\x8e\xc0" + bytes(494) + b"\x55\xaa"
    ),
    "ext4": lambda: bytes(1024 + 56) + b"\x53\xef" + bytes(1000),
    "ones": lambda: b"\xff" * 4096,
    "text": lambda: b"All work and no play makes Jack a dull boy. " * 100,
    "a tar": lambda: _layout(blockpack.TarVolume()),
    "git": lambda: _layout(blockpack.GitVolume()),
    "a git bundle": lambda: _layout(blockpack.GitVolume(container="bundle")),
}


def _layout(volume: blockpack.TarVolume | blockpack.GitVolume) -> bytes:
    with volume.plan(tree()).open() as file:
        return file.read()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_of_another_kind_is_no_fat(name: str) -> None:
    assert not FatReader.recognises(OTHERS[name]()[:4096])


def test_random_data_is_no_fat() -> None:
    generator = random.Random(1)
    for _ in range(2000):
        head = bytearray(generator.randbytes(512))
        assert not FatReader.recognises(bytes(head))
        head[510:] = b"\x55\xaa"
        assert not FatReader.recognises(bytes(head))


def test_a_directory_is_not_read_beyond_its_end() -> None:
    """What comes after the first free entry is left from before."""
    fat = Fat.of(16)
    at = fat.root_offset
    while fat.data[at]:
        at += 32
    fat.put(at + 32, short_entry(b"GHOST", size=5, cluster=3))
    with FatVolumeImage(bytes(fat.data)) as image:
        assert image.contents() == contents()
