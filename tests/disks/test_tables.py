"""Tables are what libfdisk, libblkid and gdisk read, of any partitions."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

import blockpack
from blockpack.layers.disk import gpt
from blockpack.layers.disk.disk_plan import REST
from blockpack.layers.disk.partition_types import TYPES
from blockpack.layers.disk.table import BOOT, SHOWN
from disks.strategies import IN_MBR, disks
from judges.partition_tables import Told, assert_sound, partx_table, sfdisk_table
from judges.programs import run_silent


def wanted(disk: blockpack.Disk, told: list[Told]) -> list[Told]:
    """What was asked for of each partition; places, ids and what is left are as they are `told`."""
    found = []
    for number, (partition, seen) in enumerate(zip(disk.partitions, told, strict=True), 1):
        is_mbr = disk.table == "mbr"
        size = partition.size
        if not isinstance(size, int):
            size = seen.size
        flags = [flag for flag in partition.flags if flag not in (BOOT, SHOWN)]
        byte = partition.type.mbr or 0
        found.append(
            Told(
                number,
                seen.start,
                size,
                f"{byte:X}" if is_mbr else partition.type.guid,
                "" if is_mbr else partition.id or seen.id,
                "" if is_mbr else partition.name,
                0x80 * (BOOT in partition.flags) if is_mbr else gpt.attributes_of(flags),
            )
        )
    return found


def assert_placed(disk: blockpack.Disk, told: list[Told]) -> None:
    """Assert that partitions lie where they may, and have room for what is in them."""
    end = 0
    for partition, seen in zip(disk.partitions, told, strict=True):
        assert seen.start % disk.align == 0 and seen.start >= end
        end = seen.start + seen.size
        if isinstance(partition.layout, blockpack.Layout):
            assert seen.size >= partition.layout.size
        if partition.size == REST and partition is disk.partitions[-1]:
            assert disk.size is not None
            assert disk.size - end < 4096 + gpt.entries_size(1024, disk.sector_size)


@given(disks())
def test_any_table_is_read_as_it_was_asked_for(disk: blockpack.Disk) -> None:
    with TemporaryDirectory() as directory:
        image = Path(directory) / "disk"
        layout = disk.plan()
        assert layout.size % 4096 == 0 if disk.size is None else layout.size == disk.size
        blockpack.write(layout, image)
        label = "dos" if disk.table == "mbr" else "gpt"
        told = partx_table(image, disk.sector_size)
        assert told.label == label
        assert [each._replace(type=each.type.lstrip("0")) for each in told.partitions] == [
            each._replace(type=each.type.lstrip("0")) for each in wanted(disk, told.partitions)
        ]
        assert_placed(disk, told.partitions)
        if disk.sector_size == 512:
            found = sfdisk_table(image)
            assert (found.label, found.partitions) == (label, wanted(disk, found.partitions))
            assert found.partitions == told.partitions or disk.table == "mbr"
            assert found.id == layout.geometry["disk_id"]
            assert_sound(image, label)


@given(disks("gpt", "hybrid"))
def test_all_sectors_that_are_free_are_free_to_use(disk: blockpack.Disk) -> None:
    with TemporaryDirectory() as directory:
        image = Path(directory) / "disk"
        layout = evolved(disk).plan()
        blockpack.write(layout, image)
        told = sfdisk_table(image)
        assert told.first_usable <= min(each.start for each in told.partitions)
        assert told.end_usable == layout.size - gpt.entries_size(disk.entries or 128, 512) - 512


def evolved(disk: blockpack.Disk) -> blockpack.Disk:
    """The same disk with sectors of 512 bytes."""
    return blockpack.Disk(
        table=disk.table,
        partitions=disk.partitions,
        raw=disk.raw,
        size=disk.size,
        align=disk.align,
        entries=disk.entries,
    )


@pytest.mark.parametrize("name", TYPES)
def test_types_are_those_that_others_know(name: str) -> None:
    """systemd knows those of its specification by the same names, sfdisk all by some."""
    known = run_silent("sfdisk", ["--label", "gpt", "--list-types"]).decode()
    assert TYPES[name].guid in known or name in ("luks", "u-boot-env")
    told = dict(
        line.split()
        for line in run_silent("systemd-id128", ["show", "-u"]).decode().splitlines()[1:]
    )
    if name in told:
        assert told[name].upper() == TYPES[name].guid


@pytest.mark.parametrize("name", IN_MBR)
def test_bytes_of_an_mbr_are_those_that_others_know(name: str) -> None:
    known = run_silent("sfdisk", ["--label", "dos", "--list-types"]).decode().split("\n")
    listed = {line.split()[0] for line in known if line[:3].strip() and "Name" not in line}
    assert f"{TYPES[name].mbr:x}" in listed or name in ("luks", "xbootldr")
