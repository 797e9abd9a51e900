"""What cannot be is refused before anything is written, all of it at once, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import Disk, Partition, Problems, Raw, UsageError

UNUSED = "00000000-0000-0000-0000-000000000000"
"""The GUID of nothing, by which an entry counts as not in use."""
SWAP = Partition(size="1M", type="swap")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"type": "lunix"}, "'lunix' is not a partition type"),
        ({"type": 0}, "is not a partition type"),
        ({"type": "0x100"}, "is not a partition type"),
        ({"type": True}, "type: is True; give str, int or PartitionType"),
        ({"type": "0x05"}, "holds other partitions"),
        ({"type": 0xEE}, "holds other partitions"),
        ({"type": "swap", "name": "n" * 37}, "has 37 UTF-16 units"),
        ({"type": "swap", "name": "🏝" * 19}, "has 38 UTF-16 units"),
        ({"type": "swap", "name": "\0"}, "is not a name"),
        ({"type": "swap", "name": "\udc80"}, "is not Unicode"),
        ({"type": "swap", "name": b"x"}, "name: is b'x'; give str"),
        ({"type": "swap", "flags": ["growfs"]}, "'growfs' is not a flag"),
        ({"type": "swap", "flags": "64"}, "'64' is not a flag"),
        ({"type": "swap", "flags": 5}, "flags: is 5; give str or list of str"),
        ({"type": "swap", "flags": iter([5])}, "5 is not a flag"),
        ({"type": "swap", "id": "x"}, "'x' is not a GUID"),
        ({"type": "swap", "id": 5}, "id: is 5; give str or None"),
        ({"type": "swap", "id": UNUSED}, f"'{UNUSED}' is not a GUID"),
        ({"type": UNUSED}, f"'{UNUSED}' is not a partition type"),
        ({"type": "swap", "size": 0}, "no partition has 0 bytes"),
        ({"type": "swap", "size": "large"}, "size: is 'large'; give a size such as 4096, 64K"),
        ({"type": "swap", "size": None}, "a partition without content needs a size"),
        ({"type": "swap", "offset": -512}, "no disk has a byte -512"),
    ],
)
def test_values_of_a_partition(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError) as caught:
        Partition(**{"size": "1M", **options})
    assert rule in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"table": "bsd"}, "table: is 'bsd'; give 'gpt', 'mbr' or 'hybrid'"),
        ({"sector_size": 1024}, "invalid sector size"),
        ({"align": 1000}, "the disk's align is a multiple of the sector size 512, not 1000"),
        ({"align": 0}, "the disk's align"),
        ({"size": 1025}, "the disk's size"),
        ({"size": 1 << 70}, "the disk's size"),
        ({"entries_at": "1025"}, "the disk's entries-at"),
        ({"pad": 1}, "the disk's pad"),
        ({"entries": 0}, "room for 1 to 1024 entries"),
        ({"entries": "many"}, "entries: is 'many'; give int or None"),
        ({"table": "mbr", "entries": 56}, "entries is for a GPT"),
        ({"table": "mbr", "entries_at": 4096}, "entries-at is for a GPT"),
        ({"table": "mbr", "id": "x"}, "'x' is not an MBR's id"),
        ({"id": "0x12345678"}, "is not a GUID"),
        ({"id": UNUSED}, "is not a GUID"),
        ({"partitions": 5}, "partitions: is 5; give list of Partition"),
        ({"partitions": ["x"]}, "partitions: is ['x']; give list of Partition"),
        ({"partitions": iter(["x"])}, "partitions: is ('x',); give list of Partition"),
        ({"raw": [("u-boot", 8192)]}, "raw: is [('u-boot', 8192)]; give list of Raw"),
        ({"raw": iter([5])}, "raw: is (5,); give list of Raw"),
    ],
)
def test_values_of_a_disk(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError) as caught:
        Disk(**{"partitions": [SWAP], **options})
    assert rule in str(caught.value) and caught.value.remedy


def errors(**options: Any) -> dict[str, str]:
    """What is refused of a disk: rules by what they are about."""
    with pytest.raises(Problems) as caught:
        Disk(**options).plan()
    assert all(
        error.remedy or isinstance(error, blockpack.SourceError) for error in caught.value.errors
    )
    return {error.path: error.rule for error in caught.value.errors}


def test_all_at_once(fat: blockpack.Layout, tmp_path: Path) -> None:
    found = errors(
        partitions=[
            Partition(fat, type="esp", name="EFI", size="1M"),
            Partition(type="linux", size="rest"),
            Partition(type="0x83", size=1000),
            Partition(str(tmp_path / "nothing"), type="linux"),
        ],
        raw=[Raw(b"", "8K")],
    )
    assert found.keys() == {
        "partition 1 (EFI)",
        "",
        "partition 3",
        str(tmp_path / "nothing"),
        "the raw piece at byte 8,192",
    }
    assert "more than its size" in found["partition 1 (EFI)"]
    assert "depends on the disk's size" in found[""]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"partitions": [SWAP] * 5, "table": "mbr"}, "5 partitions are too many"),
        ({"partitions": [SWAP] * 3, "entries": 2}, "3 partitions are too many"),
        (
            {"partitions": [Partition(size="rest", type="swap")] * 2, "size": "64M"},
            "two partitions take the rest",
        ),
        (
            {
                "partitions": [
                    Partition(size="1M", type="swap", id="0657FD6D-A4AB-43C4-84E5-0933C84B4F4F")
                ]
                * 2
            },
            "partition 1 and partition 2 have one id",
        ),
        (
            {"partitions": [Partition(size="1M", type="swap", flags="boot")] * 2, "table": "mbr"},
            "two partitions boot",
        ),
        (
            {"partitions": [Partition(size="1M", type="swap", flags="mbr")] * 4, "table": "hybrid"},
            "has 1 to 3 partitions",
        ),
        ({"partitions": [], "table": "hybrid"}, "has 1 to 3 partitions"),
        ({"partitions": [SWAP], "size": "1M"}, "the disk takes 2,114,048 bytes"),
        ({"partitions": [SWAP], "size": 4096}, "the disk takes"),
        ({"partitions": [Partition(size=1 << 62, type="swap")] * 2}, "more than any file"),
    ],
)
def test_what_is_about_the_whole_disk(options: dict[str, Any], rule: str) -> None:
    assert rule in errors(**options)[""]


@pytest.mark.parametrize(
    ("options", "partition", "rule"),
    [
        ({}, {"type": "0x83"}, "a GPT wants a GUID"),
        ({"table": "mbr"}, {"type": "bios-boot"}, "no byte in an MBR"),
        ({"table": "hybrid"}, {"type": "home"}, "no byte in an MBR"),
        ({"table": "mbr"}, {"flags": "read-only"}, "an MBR has no flag read-only"),
        ({"table": "mbr"}, {"id": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"}, "no ids"),
        ({}, {"flags": "boot"}, "boot is for partitions in an MBR"),
        ({}, {"flags": "mbr"}, "mbr is for partitions in an MBR"),
        ({"sector_size": 4096}, {"size": 512}, "its size 512 is no multiple"),
        ({}, {"offset": 1000}, "its offset 1000 is no multiple"),
        ({}, {"offset": 4096}, "before the end of the GPT's entries"),
        ({"table": "mbr"}, {"size": "2T", "offset": "3T"}, "an MBR counts up to 2^32 sectors"),
    ],
)
def test_what_is_about_a_partition(
    options: dict[str, Any], partition: dict[str, Any], rule: str
) -> None:
    described = Partition(**{"size": "1M", "type": "swap", "name": "x", **partition})
    assert rule in errors(partitions=[described], **options)["partition 1 (x)"]


def test_a_volume_for_smaller_sectors(fat: blockpack.Layout) -> None:
    found = errors(partitions=[Partition(fat, type="esp")], sector_size=4096)
    assert "planned for sectors of 512 bytes" in found["partition 1"]
