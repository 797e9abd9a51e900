"""Boards have their loader where a table would be: raw pieces, and what they must not lie on."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from faults.rendering import pattern
from judges.partition_tables import assert_sound, sfdisk_table

LOADER = pattern(700_000)
LINUX = blockpack.Partition(size="4M", type="linux", name="root")


def refused(**options: object) -> list[blockpack.BlockpackError]:
    with pytest.raises(blockpack.Problems) as caught:
        blockpack.Disk(**options).plan()  # type: ignore[arg-type]
    return list(caught.value.errors)


def test_a_loader_at_8_kib_and_56_entries_before_it(tmp_path: Path) -> None:
    disk = blockpack.Disk(partitions=[LINUX], raw=[blockpack.Raw(LOADER, "8K")], entries=56)
    blockpack.write(disk.plan(), tmp_path / "card")
    assert (tmp_path / "card").read_bytes()[8192:].startswith(LOADER)
    assert_sound(tmp_path / "card", "gpt")
    assert [each.name for each in sfdisk_table(tmp_path / "card").partitions] == ["root"]


def test_a_loader_at_8_kib_and_entries_behind_it(tmp_path: Path) -> None:
    raw = [blockpack.Raw(LOADER, "8K")]
    disk = blockpack.Disk(partitions=[LINUX], raw=raw, entries_at="1008K")
    blockpack.write(disk.plan(), tmp_path / "card")
    card = (tmp_path / "card").read_bytes()
    assert card[8192:].startswith(LOADER)
    assert_sound(tmp_path / "card", "gpt")
    found = sfdisk_table(tmp_path / "card")
    assert found.partitions[0].start == 1 << 20
    assert card.index("root".encode("utf-16-le")) == (1008 << 10) + 56


def test_a_loader_on_the_entries_is_refused_with_its_bytes() -> None:
    (error,) = refused(partitions=[LINUX], raw=[blockpack.Raw(LOADER, "8K")])
    assert "the GPT's entries (bytes 1,024 to 17,407)" in error.rule
    assert "the raw piece at byte 8,192 (bytes 8,192 to 708,191)" in error.rule
    assert error.option == "entries=56"


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    loader = tmp_path / "u-boot.bin"
    loader.write_bytes(LOADER)
    (error,) = refused(partitions=[LINUX], raw=[blockpack.Raw(str(loader), "2K")])
    assert f"the raw piece {loader} (bytes 2,048 to " in error.rule


@pytest.mark.parametrize(
    ("options", "one", "other"),
    [
        ({"raw": [blockpack.Raw(b"xy", 511)], "table": "mbr"}, "the MBR", "byte 511"),
        ({"raw": [blockpack.Raw(b"xy", 439)]}, "byte 439", "the MBR"),
        ({"raw": [blockpack.Raw(b"x", 600)]}, "the GPT's header", "byte 600"),
        ({"raw": [blockpack.Raw(b"xy", "1M"), blockpack.Raw(b"x", (1 << 20) + 1)]}, "byte", "byte"),
        ({"entries_at": 512}, "the GPT's header", "the GPT's entries"),
        (
            {"raw": [blockpack.Raw(b"x", (64 << 20) - 1)], "size": "64M"},
            "the disk takes",
            "more than its size",
        ),
        (
            {"partitions": [LINUX, blockpack.Partition(size="1M", type="swap", offset="2M")]},
            "partition 1 (root) (bytes 1,048,576 to 5,242,879)",
            "partition 2 (bytes 2,097,152 to 3,145,727)",
        ),
    ],
)
def test_no_byte_belongs_to_two(options: dict[str, object], one: str, other: str) -> None:
    (error,) = refused(**{"partitions": [LINUX], **options})
    assert one in error.rule and other in error.rule


def test_boot_code_lies_before_the_table(tmp_path: Path) -> None:
    code = pattern(440)
    for table in ("gpt", "mbr"):
        disk = blockpack.Disk(table=table, partitions=[LINUX], raw=[blockpack.Raw(code, 0)])
        blockpack.write(disk.plan(), tmp_path / table)
        assert (tmp_path / table).read_bytes()[:440] == code
        assert_sound(tmp_path / table, "gpt" if table == "gpt" else "dos")


def test_partitions_begin_behind_a_raw_piece_in_their_way(tmp_path: Path) -> None:
    """Rockchip's: a first stage at 32 KiB, the next at 8 MiB."""
    raws = [blockpack.Raw(pattern(200_000), "32K"), blockpack.Raw(LOADER, "8M")]
    small = blockpack.Partition(size="2M", type="linux", name="small")
    large = blockpack.Partition(size="16M", type="linux", name="large")
    blockpack.write(blockpack.Disk(partitions=[large], raw=raws).plan(), tmp_path / "one")
    found = sfdisk_table(tmp_path / "one")
    assert found.partitions[0].start == 9 << 20 == found.first_usable
    disk = blockpack.Disk(partitions=[small, large], raw=raws)
    blockpack.write(disk.plan(), tmp_path / "two")
    assert [each.start >> 20 for each in sfdisk_table(tmp_path / "two").partitions] == [1, 9]


def test_a_hybrid_table_is_as_a_raspberry_pi_wants_it(
    fat: blockpack.Layout, tmp_path: Path
) -> None:
    """Its FAT first in the MBR, as FAT and not as an ESP; then what protects the GPT."""
    partitions = [
        blockpack.Partition(fat, type="esp", name="boot"),
        blockpack.Partition(size="4M", type="root-arm64", name="root"),
    ]
    disk = blockpack.Disk(table="hybrid", partitions=partitions)
    blockpack.write(disk.plan(), tmp_path / "card")
    record = (tmp_path / "card").read_bytes()[446:510]
    types = [record[at + 4] for at in range(0, 64, 16)]
    assert types == [0x0C, 0xEE, 0, 0]
    first, sectors = (int.from_bytes(record[at : at + 4], "little") for at in (8, 12))
    found = sfdisk_table(tmp_path / "card").partitions
    assert (first * 512, sectors * 512) == (found[0].start, found[0].size)
    assert int.from_bytes(record[24:28], "little") == 1
    assert int.from_bytes(record[28:32], "little") == first - 1
