"""Partition tables that lie: reading them ends soon, takes little memory, and tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from disks.hand_made import LINUX, SECTOR, gpt, gpt_entry, gpt_header, put, record, with_content
from hostile.fat_images import sound
from hostile.ordeal import in_time, undergo
from hostile.tar_images import archive, member

TAR = archive(member(b"a.txt", b"content"))
SECTORS = 200


def headers(disk: bytearray, array: bytes, **fields: int) -> bytes:
    """The disk with both headers replaced, by such that have right checksums and these fields."""
    last = len(disk) // SECTOR - 1
    common = {"last": last - 34, "entries_at": 2, **fields}
    put(disk, SECTOR, gpt_header(array, my=1, alternate=last, **common))
    return bytes(put(disk, last * SECTOR, gpt_header(array, my=last, alternate=1, **common)))


def entries(*packed: bytes, sectors: int = SECTORS, **options: int) -> bytes:
    return bytes(gpt(sectors, *packed, **options))  # type: ignore[arg-type]


def chain(*records: tuple[int, bytes], sectors: int = SECTORS) -> bytes:
    """An extended partition from sector 10 on, with records at these sectors."""
    disk = bytearray(sectors * SECTOR)
    put(disk, 0, record((0x05, 10, sectors - 10)))
    for at, each in records:
        put(disk, at * SECTOR, each)
    return bytes(disk)


def of_tar(*packed: bytes, at: int = 40, sectors: int = SECTORS, **options: int) -> bytes:
    """A disk with these entries, and an archive at sector `at`."""
    return bytes(put(bytearray(entries(*packed, sectors=sectors, **options)), at * SECTOR, TAR))


LAST = (1 << 64) - 1
NOTHING = b""

LIES: dict[str, tuple[bytes, str]] = {
    "2^32 entries": (
        headers(gpt(SECTORS), NOTHING, count=(1 << 32) - 1),
        "4,294,967,295 entries of 128 bytes",
    ),
    "2^32 entries of no bytes": (
        headers(gpt(SECTORS), NOTHING, count=(1 << 32) - 1, entry_size=0),
        "4,294,967,295 entries of 0 bytes",
    ),
    "entries of 2^32 bytes": (
        headers(gpt(SECTORS), NOTHING, count=1, entry_size=(1 << 32) - 1),
        "1 entries of 4,294,967,295 bytes",
    ),
    "entries that are too short": (
        headers(gpt(SECTORS), NOTHING, count=128, entry_size=64),
        "128 entries of 64 bytes",
    ),
    "entries where no disk is": (
        headers(gpt(SECTORS), NOTHING, count=128, entries_at=LAST // 512),
        "the image ends at byte 102,400",
    ),
    "entries beyond all numbers": (
        headers(gpt(SECTORS), NOTHING, count=128, entries_at=LAST),
        "the image ends at byte 102,400",
    ),
    "a header of 2^32 bytes": (
        headers(gpt(SECTORS), NOTHING, header_size=(1 << 32) - 1),
        "cannot have 4,294,967,295 bytes",
    ),
    "a backup that is no other": (
        bytes(put(gpt(SECTORS), SECTOR, gpt_header(b"", my=1, alternate=1, entries_at=2, last=9))),
        "the disk's last is 199",
    ),
    "a backup nowhere": (
        bytes(
            put(gpt(SECTORS), SECTOR, gpt_header(b"", my=1, alternate=LAST, entries_at=2, last=9))
        ),
        "the backup of the GPT is damaged: the image ends",
    ),
    "a partition past the end": (of_tar(gpt_entry(40, 1000)), "goes to byte 512,512"),
    "a partition behind the end": (of_tar(gpt_entry(1000, 2000)), "goes to byte 1,024,512"),
    "a partition at the last number": (of_tar(gpt_entry(LAST, LAST)), "not in the room"),
    "a partition of everything": (of_tar(gpt_entry(0, LAST)), "not in the room"),
    "a partition that ends first": (of_tar(gpt_entry(40, 30)), "ends before it begins"),
    "partitions of one place": (
        of_tar(*(gpt_entry(40, 80, id=n) for n in range(1, 129))),
        "overlaps another partition",
    ),
    "partitions one sector apart": (
        of_tar(*(gpt_entry(40 + n, 90, id=n + 1) for n in range(50))),
        "partition 2 overlaps partition 1",
    ),
    "partitions with one GUID": (
        of_tar(gpt_entry(40, 60, id=1), gpt_entry(70, 80, id=1)),
        "partition 2 has the GUID of another one",
    ),
    "a chain that is its own": (
        chain((10, record((0x83, 1, 1), (0x05, 0, 1)))),
        "leads back to byte 5,120",
    ),
    "a chain of two": (
        chain((10, record((0, 0, 0), (0x05, 5, 1))), (15, record((0, 0, 0), (0x05, 0, 1)))),
        "leads back to byte 5,120",
    ),
    "a chain that goes on and on": (
        chain(
            *((10 + n, record((0x83, 1, 1), (0x05, n + 1, 1))) for n in range(900)), sectors=1000
        ),
        "of more than 256 logical partitions",
    ),
    "a chain to nowhere": (
        chain((10, record((0x83, 1, 1), (0x05, (1 << 32) - 1, 1)))),
        "breaks off at byte 2,199,023",
    ),
    "a chain into a file": (
        chain((10, record((0x83, 1, 1), (0x05, 20, 1))), (30, TAR)),
        "breaks off at byte 15,360",
    ),
    "a logical partition elsewhere": (
        chain((10, record((0x83, (1 << 32) - 1, (1 << 32) - 1)))),
        "is not in the extended partition",
    ),
    "two that are active": (
        bytes(put(bytearray(51200), 0, record((0x83, 9, 9), (0x83, 20, 9), status=(0x80, 0x80)))),
        "more than one partition of the MBR is active",
    ),
    "nothing but a table": (record((0x83, 1, 1)), "goes to byte 1,024"),
    "nothing but a protective record": (record((0xEE, 1, LAST & 0xFFFFFFFF)), "is damaged"),
    "a file system that is larger than its partition": (
        bytes(put(gpt(SECTORS, gpt_entry(40, 44)), 40 * SECTOR, sound(12)[: 5 * SECTOR])),
        "it is cut short",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_told(lie: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, told = LIES[lie]
    problems = undergo(data, tmp_path, capsys).problems
    assert any(told in problem for problem in problems), problems


def test_eight_thousand_partitions_are_soon_read() -> None:
    places = range(40 + 2048, 40 + 2048 + 8192)
    data = entries(*(gpt_entry(at, at) for at in places), sectors=20_000, capacity=8192)
    with in_time(), blockpack.open_image(data) as image:
        assert len(image.partitions) == 8192
        assert image.verify() == []


def test_partitions_of_one_place_are_listed_once(tmp_path: Path) -> None:
    data = of_tar(*(gpt_entry(40, 80, id=n) for n in range(1, 129)))
    with blockpack.open_image(data, report=lambda _: None) as image:
        assert [entry.path for entry in image] == ["1", "1/a.txt"]
    path = tmp_path / "card.img"
    path.write_bytes(data)
    with blockpack.open_image(f"{path}#128") as image:  # which is asked for, and there is no other
        assert [entry.path for entry in image] == ["a.txt"]


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "/", "a\nb", "\x1b[2J", "\udc80", "\ud800", "1", "٣", "x" * 36]
)
def test_no_name_leads_elsewhere(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = of_tar(gpt_entry(40, 60, name), gpt_entry(70, 80, "other"))
    verdict = undergo(data, tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.extracted


def test_a_disk_in_a_partition_is_not_read_as_one() -> None:
    inner = with_content(TAR)
    with blockpack.open_image(with_content(inner, TAR)) as image:
        assert [entry.path for entry in image] == ["b", "b/a.txt"]
    assert LINUX in inner
