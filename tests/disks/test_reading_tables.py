"""Any table that sfdisk or sgdisk writes is read as sfdisk reads it, and is sound."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import blockpack
from disks.hand_made import SECTOR, gpt, gpt_entry, gpt_header, put, record
from disks.real_disks import fdisk, sfdisk
from judges.programs import run

SIZE = 64 << 20
FEW = settings().max_examples // 4
"""Examples where a program waits a second for each disk that it writes."""
GUIDS = (
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "12345678-9ABC-4DEF-8123-456789ABCDEF",
)
NAMES = st.text("abcXYZ 019._-#/äß€語", max_size=36).map(str.strip)
ATTRIBUTES = {"RequiredPartition": 0, "LegacyBIOSBootable": 2, "GUID:59": 59, "GUID:63": 63}


class Place(NamedTuple):
    start: int
    size: int


def places(first: int, last: int, most: int, gap: int = 0) -> st.SearchStrategy[list[Place]]:
    """Up to `most` stretches of sectors in order, with `gap` sectors before each."""
    numbers = st.lists(st.integers(first, last), min_size=0, max_size=2 * most, unique=True)

    def paired(found: list[int]) -> list[Place]:
        ends = sorted(found)[: len(found) // 2 * 2]
        pairs = zip(ends[::2], ends[1::2], strict=True)
        return [Place(a + gap, b - a - gap) for a, b in pairs if b - a > gap]

    return numbers.map(paired)


def judged(image: Path) -> dict[str, Any]:
    """The table as sfdisk tells it."""
    table: dict[str, Any] = json.loads(run("sfdisk", ["--json", image]).stdout)["partitiontable"]
    return table


def as_judged(image: blockpack.Image) -> Iterator[dict[str, Any]]:
    """The partitions that we read, as sfdisk tells them."""
    for partition in image.partitions:
        entry = partition.entry
        told: dict[str, Any] = {
            "number": entry.number,
            "start": entry.start // SECTOR,
            "size": entry.size // SECTOR,
        }
        if entry.id:
            told |= {"type": entry.type, "uuid": entry.id, "name": entry.name}
        else:
            told |= {"type": entry.type.removeprefix("0x").lstrip("0"), "bootable": entry.active}
        yield told


def told_by(table: dict[str, Any], image: Path) -> list[dict[str, Any]]:
    found = []
    for each in table.get("partitions", []):
        told = {
            "number": int(each["node"].removeprefix(str(image)).removeprefix("p")),
            "start": each["start"],
            "size": each["size"],
            "type": each["type"],
        }
        if table["label"] == "gpt":
            told |= {"uuid": each["uuid"], "name": each.get("name", "")}
        else:
            told |= {"bootable": each.get("bootable", False)}
        found.append(told)
    return found


def check(image: Path) -> None:
    """What we read of an image is what sfdisk reads of it."""
    table = judged(image)
    with blockpack.open_image(image) as opened:
        assert [*as_judged(opened)] == told_by(table, image)
        facts = opened.info()
        assert facts["disk_id"] == table["id"]
        if table["label"] == "gpt":
            assert facts["sector_size"] == table["sectorsize"] == SECTOR
        assert opened.verify() == []


@given(st.data())
def test_gpts_of_sfdisk(data: st.DataObject) -> None:
    lines = ["label: gpt", "first-lba: 34"]
    for place in data.draw(places(40, SIZE // SECTOR - 40, 6)):
        attributes = data.draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), unique=True))
        line = f"start={place.start}, size={place.size}, type={data.draw(st.sampled_from(GUIDS))}"
        line += f', name="{data.draw(NAMES)}"'
        lines.append(line + (f', attrs="{" ".join(attributes)}"' if attributes else ""))
    with tempfile.TemporaryDirectory() as directory:
        image = sparse(Path(directory))
        sfdisk(image, "\n".join([*lines, ""]))
        check(image)


@given(st.data())
def test_mbrs_of_sfdisk(data: st.DataObject) -> None:
    primaries = data.draw(places(2048, SIZE // 512 // 2 - 1, 3))
    logical = data.draw(places(SIZE // 512 // 2 + 10, SIZE // 512 - 1, 5, gap=2048))
    assume(primaries or logical)
    types = st.sampled_from(("83", "82", "c", "7", "ef"))
    lines = ["label: dos"]
    for number, place in enumerate(primaries, 1):
        active = ", bootable" if data.draw(st.booleans()) and number == 1 else ""
        lines.append(
            f"{number}: start={place.start}, size={place.size}, type={data.draw(types)}{active}"
        )
    if logical:
        start = SIZE // 512 // 2
        lines.append(f"4: start={start}, size={SIZE // 512 - start}, type=5")
    for number, place in enumerate(logical, 5):
        lines.append(f"{number}: start={place.start}, size={place.size}, type={data.draw(types)}")
    with tempfile.TemporaryDirectory() as directory:
        image = sparse(Path(directory))
        sfdisk(image, "\n".join([*lines, ""]))
        check(image)


@settings(max_examples=FEW)
@given(places(256, SIZE // 4096 - 8, 4), st.data())
def test_gpts_of_4096_bytes_a_sector(found: list[Place], data: st.DataObject) -> None:
    written = [(*place, data.draw(NAMES)) for place in found]
    with tempfile.TemporaryDirectory() as directory:
        image = sparse(Path(directory))
        fdisk(image, written)
        columns = ["-o", "Start,Sectors,Type-UUID,UUID,Name"]
        lines = run("fdisk", ["-b", "4096", "--list", *columns, image]).stdout.decode().splitlines()
        listed = [line.split(maxsplit=4) for line in lines if line.count("-") >= 8]
        with blockpack.open_image(image) as opened:
            assert opened.info()["sector_size"] == 4096
            entries = [partition.entry for partition in opened.partitions]
            told = [
                [
                    str(e.start // 4096),
                    str(e.size // 4096),
                    e.type,
                    e.id,
                    *([e.name] if e.name else []),
                ]
                for e in entries
            ]
            assert told == listed
            assert [(e.start // 4096, e.size // 4096, e.name) for e in entries] == written
            assert opened.verify() == []


@settings(max_examples=FEW)
@given(places(64, SIZE // 512 - 64, 6), st.data())
def test_hybrids_of_sgdisk(found: list[Place], data: st.DataObject) -> None:
    assume(found)
    numbers = range(1, len(found) + 1)
    mirrored = data.draw(st.lists(st.sampled_from(numbers), unique=True, min_size=1, max_size=3))
    with tempfile.TemporaryDirectory() as directory:
        image = sparse(Path(directory))
        new = [f"--new={n}:{p.start}:{p.start + p.size - 1}" for n, p in enumerate(found, 1)]
        # In one run, for each ends with a second's sleep.
        hybrid = f"--hybrid={':'.join(map(str, sorted(mirrored)))}"
        run("sgdisk", ["--set-alignment=1", *new, hybrid, image])
        with blockpack.open_image(image) as opened:
            assert opened.info()["table"] == "hybrid"
            entries = [partition.entry for partition in opened.partitions]
            assert [(e.start // 512, e.size // 512) for e in entries] == [*map(tuple, found)]
            assert {entry.number for entry in entries if entry.mbr_type} == {*mirrored}
            assert opened.verify() == []


@settings(max_examples=1)
@given(st.lists(st.integers(1, 400), min_size=FEW, max_size=FEW, unique=True))
def test_arrays_of_any_length(capacities: list[int]) -> None:
    """Boards have short ones, `sgdisk --resize-table` makes any, and then sleeps for a second."""

    def made(capacity: int) -> None:
        with tempfile.TemporaryDirectory() as directory:
            image = sparse(Path(directory))
            run("sgdisk", [f"--resize-table={capacity}", "--new=1:4096:8191", image])
            check(image)

    with ThreadPoolExecutor(FEW) as threads:
        assert list(threads.map(made, capacities)) == [None] * FEW


def sparse(directory: Path) -> Path:
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(SIZE)
    return image


# Damage -------------------------------------------------------------------------------------------

SECTORS = 300
ARRAY = 16384


@pytest.fixture(name="disk")
def fixture_disk() -> bytearray:
    return gpt(SECTORS, gpt_entry(40, 99, "one"), gpt_entry(100, 250, "two"))


def names(disk: bytes | bytearray) -> list[str]:
    with blockpack.open_image(bytes(disk)) as image:
        return [partition.entry.name for partition in image.partitions]


def told(disk: bytes | bytearray) -> list[str]:
    with blockpack.open_image(bytes(disk)) as image:
        return [error.rule for error in image.verify()]


FIRST = {"its header": SECTOR + 40, "its entries": 2 * SECTOR + 60}
BACKUP = {"its header": -SECTOR + 40, "its entries": -SECTOR - ARRAY + 60}


@pytest.mark.parametrize("what", FIRST)
def test_the_backup_serves_where_the_first_table_is_damaged(disk: bytearray, what: str) -> None:
    disk[FIRST[what]] ^= 1
    assert names(disk) == ["one", "two"]
    (damage,) = told(disk)
    assert damage.startswith("the GPT is damaged, and its backup is read")
    assert f"{what} ha" in damage


@pytest.mark.parametrize("what", BACKUP)
def test_a_damaged_backup_is_told(disk: bytearray, what: str) -> None:
    disk[BACKUP[what]] ^= 1
    assert names(disk) == ["one", "two"]
    (damage,) = told(disk)
    assert damage.startswith("the backup of the GPT is damaged")
    assert f"{what} ha" in damage


def test_nothing_serves_where_both_are_damaged(disk: bytearray) -> None:
    for at in (FIRST["its header"], BACKUP["its entries"]):
        disk[at] ^= 1
    with pytest.raises(blockpack.ImageError, match="the GPT is damaged, and so is its backup"):
        blockpack.open_image(bytes(disk))


def test_what_an_mbr_mirrors_is_read_where_both_are_damaged(disk: bytearray) -> None:
    put(disk, 0, record((0x0C, 40, 60), (0xEE, 1, 39)))
    assert told(disk) == []
    for at in (FIRST["its header"], BACKUP["its header"]):
        disk[at] ^= 1
    with blockpack.open_image(bytes(disk)) as image:
        assert [(each.entry.start, each.type) for each in image.partitions] == [
            (40 * SECTOR, "fat32-lba")
        ]
        assert "the MBR beside it is read" in image.verify()[0].rule


def test_a_first_sector_of_zeros_leaves_a_gpt(disk: bytearray) -> None:
    disk[:SECTOR] = bytes(SECTOR)
    assert names(disk) == ["one", "two"]
    assert told(disk) == ["there is no protective MBR, so that most systems find no table"]
    disk[SECTOR + 40] ^= 1
    assert names(disk) == ["one", "two"]


RECORDS = {
    "the protective MBR begins at sector 2, and not at 1": record((0xEE, 2, SECTORS - 2)),
    "the protective MBR has 100 sectors, and the disk 299 more": record((0xEE, 1, 100)),
    "the MBR has a partition at sector 41 that is none of the GPT's": record(
        (0xEE, 1, 39), (0x0C, 41, 59)
    ),
}


@pytest.mark.parametrize("deviation", RECORDS)
def test_a_record_that_deviates_is_told(disk: bytearray, deviation: str) -> None:
    assert told(put(disk, 0, RECORDS[deviation])) == [deviation]


def test_the_largest_protective_record_is_as_good(disk: bytearray) -> None:
    assert told(put(disk, 0, record((0xEE, 1, 0xFFFFFFFF)))) == []


def test_a_backup_that_is_not_at_the_end_is_told(disk: bytearray, tmp_path: Path) -> None:
    disk += bytes(10 * SECTOR)
    assert told(disk) == ["the backup of the GPT is in sector 299, and the disk's last is 309"]
    disk[FIRST["its entries"]] ^= 1
    assert names(disk) == ["one", "two"]


def test_a_disk_that_is_cut_short_is_told(disk: bytearray) -> None:
    cut = disk[: 200 * SECTOR]
    assert names(cut) == ["one", "two"]
    assert any("the partition goes to byte 128,512" in rule for rule in told(cut))
    assert any("the backup of the GPT is damaged" in rule for rule in told(cut))


def test_copies_that_differ_are_told(disk: bytearray) -> None:
    array = bytes(disk[2 * SECTOR : 2 * SECTOR + ARRAY])
    other = gpt_entry(40, 99, "other").ljust(ARRAY, b"\0")
    last = SECTORS - 1
    head = gpt_header(other, my=last, alternate=1, entries_at=last - 32, last=SECTORS - 34)
    put(disk, (last - 32) * SECTOR, other, head)
    assert names(disk) == ["one", "two"]
    assert told(disk) == ["the backup of the GPT has another checksum of the entries"]
    assert array != other


def test_partitions_outside_of_their_room_are_told() -> None:
    disk = gpt(SECTORS, gpt_entry(20, 50), gpt_entry(100, 290))
    assert told(disk) == [
        "partition 1 is not in the room for partitions",
        "partition 2 is not in the room for partitions",
    ]


@pytest.mark.parametrize("sector", [512, 4096])
def test_sectors_of_an_mbr_are_as_large_as_what_begins_there_says(sector: int) -> None:
    tree = blockpack.Tree()
    tree.add("a.txt", b"content")
    with blockpack.FatVolume().plan(tree).open() as file:
        fat = file.read()
    disk = bytearray(16 * sector + len(fat))
    put(disk, 0, record((0x0C, 16, len(fat) // sector)))
    put(disk, 16 * sector, fat)
    with blockpack.open_image(bytes(disk)) as image:
        assert image.info()["sector_size"] == sector
        assert image.read("1/a.txt") == b"content"
        assert image.verify() == []


def as_it_is(disk: bytearray) -> bytearray:
    return disk


def flipped(at: int) -> Callable[[bytearray], bytearray]:
    def change(disk: bytearray) -> bytearray:
        disk[at] ^= 1
        return disk

    return change


@pytest.mark.parametrize(
    "change",
    [
        as_it_is,
        *map(flipped, (*FIRST.values(), *BACKUP.values())),
        lambda disk: disk + bytes(10 * SECTOR),
        lambda disk: put(disk, 0, record((0xEE, 1, 0xFFFFFFFF))),
        lambda disk: put(gpt(SECTORS, gpt_entry(20, 99)), 0),
        lambda disk: put(gpt(SECTORS, gpt_entry(40, 99), gpt_entry(90, 120)), 0),
    ],
)
def test_what_sgdisk_complains_of_is_told_and_nothing_else(
    disk: bytearray, change: Callable[[bytearray], bytearray], tmp_path: Path
) -> None:
    image = tmp_path / "disk.img"
    data = change(disk)
    image.write_bytes(data)
    output = b"".join(run("sgdisk", ["--verify", image]))
    complains = b"No problems found" not in output or b"invalid" in output  # which it mends first
    assert complains == bool(told(data))
