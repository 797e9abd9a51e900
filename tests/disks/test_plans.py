"""What a plan of a disk promises: every byte, the same ids each time, no byte of two."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given

import blockpack
from blockpack.images.block_map import BLOCK, BlockMap
from blockpack.layers.disk.disk_plan import LEAST_ZEROS
from disks.conftest import FILES
from disks.strategies import disks
from faults.mounts import file_system
from faults.rendering import differ_at, make_files, pattern, rendered
from judges.partition_tables import sfdisk_table
from judges.programs import run

MiB = 1 << 20


@given(disks())
def test_pieces_are_where_they_were_put(disk: blockpack.Disk) -> None:
    image = rendered(disk.plan())
    again = rendered(blockpack.Disk(**fields(disk)).plan())
    assert differ_at(image, again) is None
    for raw in disk.raw:
        assert isinstance(raw.content, bytes)
        assert image[raw.offset :].startswith(raw.content)
    for partition in disk.partitions:
        if isinstance(partition.layout, blockpack.Layout):
            assert rendered(partition.layout) in image
        elif partition.layout is not None:
            assert partition.layout in image  # type: ignore[operator]


def fields(disk: blockpack.Disk) -> dict[str, Any]:
    names = "table partitions raw size sector_size align entries entries_at id pad"
    return {name: getattr(disk, name) for name in names.split()}


@given(disks())
def test_a_layout_is_read_as_it_is_written(disk: blockpack.Disk) -> None:
    layout = disk.plan()
    with layout.open() as file:
        assert differ_at(file.read(), rendered(layout)) is None


def test_streams_are_moved_and_several_processes_write(site: Path, tmp_path: Path) -> None:
    """What no kernel reads by itself: an archive that is compressed, a callable, git's objects."""
    run("tar", ["-czf", tmp_path / "site.tar.gz", "-C", site, "."])
    tree = blockpack.scan(tmp_path / "site.tar.gz")
    data = pattern(2_000_003, 5)
    opened = blockpack.scan(site)
    opened.add("opened", lambda: io.BytesIO(data), size=len(data))
    layouts = [
        volume.plan(each)
        for each in (tree, opened)
        for volume in (blockpack.TarVolume(), blockpack.FatVolume(), blockpack.GitVolume())
    ]
    partitions = [blockpack.Partition(each, type="linux") for each in layouts]
    for chosen in (partitions[:3], partitions):
        layout = blockpack.Disk(partitions=chosen).plan()
        assert layout.forkable == (chosen != partitions)
        for jobs in (1, 2):
            blockpack.write(layout, tmp_path / "disk", jobs=jobs)
            assert differ_at((tmp_path / "disk").read_bytes(), rendered(layout)) is None


def test_the_same_tree_gives_the_same_disk_anywhere(tmp_path: Path) -> None:
    images = []
    for place in ("one", "another"):
        tree = blockpack.scan(make_files(tmp_path / place, FILES))
        volumes = blockpack.FatVolume(label="X"), blockpack.TarVolume(), blockpack.GitVolume()
        partitions = [
            blockpack.Partition(volume.plan(tree), type="linux", name=volume.format)
            for volume in volumes
        ]
        images.append(rendered(blockpack.Disk(partitions=partitions).plan()))
    assert images[0] == images[1]


def test_other_trees_give_other_ids(tmp_path: Path) -> None:
    """Also those of names and sizes alone: all that is known before anything is read."""
    found = set()
    trees = {"a": b"1"}, {"b": b"1"}, {"a": b"12"}, {"d/a": b"1"}
    for number, files in enumerate(trees):
        tree = blockpack.scan(make_files(tmp_path / str(number), files))
        for volume in (blockpack.TarVolume(), blockpack.FatVolume()):
            partition = blockpack.Partition(volume.plan(tree), type="linux")
            for table in ("gpt", "mbr"):
                disk = blockpack.Disk(table=table, partitions=[partition])
                found.add(disk.plan().geometry["disk_id"])
    assert len(found) == 2 * 2 * len(trees)


def test_ids_that_are_given_are_taken(tmp_path: Path) -> None:
    ids = [f"0000000{n}-1234-4678-9ABC-0123456789AB" for n in range(3)]
    partitions = [blockpack.Partition(size="1M", type="linux", id=each.lower()) for each in ids[1:]]
    blockpack.write(blockpack.Disk(partitions=partitions, id=ids[0]).plan(), tmp_path / "gpt")
    found = sfdisk_table(tmp_path / "gpt")
    assert [found.id, *(each.id for each in found.partitions)] == ids
    disk = blockpack.Disk(table="mbr", partitions=[evolve(partitions[0], id=None)], id="0xCAFE1234")
    blockpack.write(disk.plan(), tmp_path / "mbr")
    assert sfdisk_table(tmp_path / "mbr").id == "0xcafe1234"


def test_clones_stay_clones_in_a_partition(tmp_path: Path) -> None:
    for kind in ("btrfs", "xfs"):
        with file_system(kind, tmp_path, 512 * MiB) as mount:
            source = make_files(mount / "source", {"large": pattern(32 * MiB)})
            finished = make_files(mount, {"finished.img": pattern(8 * MiB, 2)}) / "finished.img"
            tree = blockpack.scan(source)
            disk = blockpack.Disk(
                partitions=[
                    blockpack.Partition(blockpack.FatVolume().plan(tree), type="esp"),
                    blockpack.Partition(blockpack.TarVolume().plan(tree), type="linux"),
                    blockpack.Partition(str(finished), type="linux"),
                ],
                raw=[blockpack.Raw(finished, "128M")],
            )
            layout = disk.plan()
            report = blockpack.write(layout, mount / "disk.img", jobs=1)
            assert report.cloned == (32 + 32 + 8 + 8) * MiB
            assert differ_at((mount / "disk.img").read_bytes(), rendered(layout)) is None


def test_a_block_map_leaves_out_room_and_nothing_else(disk: blockpack.Disk, tmp_path: Path) -> None:
    """On a medium full of old bytes, what is mapped makes a sound disk."""
    layout = disk.plan()
    blockpack.write(layout, tmp_path / "disk")
    found = BlockMap.of(layout)
    medium = bytearray(b"\xff" * layout.size)
    image = (tmp_path / "disk").read_bytes()
    for first, last, _ in found.ranges:
        medium[first * BLOCK : (last + 1) * BLOCK] = image[first * BLOCK : (last + 1) * BLOCK]
    (tmp_path / "medium").write_bytes(medium)
    assert found.mapped * BLOCK < layout.size - 20 * MiB
    assert (
        sfdisk_table(tmp_path / "medium").partitions == sfdisk_table(tmp_path / "disk").partitions
    )
    run("sgdisk", ["-v", tmp_path / "medium"])
    swap = sfdisk_table(tmp_path / "disk").partitions[2]
    assert not any(medium[swap.start : swap.start + LEAST_ZEROS])
    with blockpack.open_image(tmp_path / "medium", partition=1) as esp:
        assert not esp.verify()
        assert esp.read("film") == FILES["film"]


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_nothing_of_an_old_disk_is_found(table: str) -> None:
    """All of the first MiB is written, but what is in it: there old signatures would be."""
    disk = blockpack.Disk(table=table, partitions=[blockpack.Partition(size="64M", type="swap")])  # type: ignore[arg-type]
    free = [
        extent
        for extent in disk.plan().extents
        if isinstance(extent, blockpack.Zeros) and extent.free
    ]
    assert min(extent.offset for extent in free) >= 2 * MiB


def test_partitions_of_their_own_places_stay_there(tmp_path: Path) -> None:
    disk = blockpack.Disk(
        partitions=[
            blockpack.Partition(size="1M", type="linux", name="second", offset="20M"),
            blockpack.Partition(size="1M", type="linux", name="third"),
            blockpack.Partition(size="1M", type="linux", name="first", offset="40K"),
        ]
    )
    blockpack.write(disk.plan(), tmp_path / "disk")
    found = sfdisk_table(tmp_path / "disk")
    assert [each.start for each in found.partitions] == [20 * MiB, 21 * MiB, 40 << 10]
    assert found.first_usable == 40 << 10


def test_the_rest_is_between_what_is_before_and_behind_it(tmp_path: Path) -> None:
    disk = blockpack.Disk(
        partitions=[
            blockpack.Partition(size="4M", type="linux"),
            blockpack.Partition(size="rest", type="linux"),
            blockpack.Partition(size="3M", type="linux"),
        ],
        raw=[blockpack.Raw(b"x", "2M"), blockpack.Raw(b"x", "16M")],
        size="64M",
    )
    blockpack.write(disk.plan(), tmp_path / "disk")
    found = sfdisk_table(tmp_path / "disk").partitions
    assert [each.start // MiB for each in found] == [3, 17, 60]
    assert found[1].size == 43 * MiB


def test_a_volume_is_called_by_its_partition_s_name(fat: blockpack.Layout) -> None:
    names = ["EFI", "twice", "twice", "a/b", "7", "..", ""]
    disk = blockpack.Disk(
        partitions=[blockpack.Partition(fat, type="linux", name=name) for name in names]
    )
    layout = disk.plan()
    tops = [each.entry.path for each in layout.placements() if "/" not in each.entry.path]
    assert tops == ["EFI", "2", "3", "4", "5", "6", "7"]
    image = rendered(layout)
    for placement in layout.placements():
        _, _, path = placement.entry.path.partition("/")
        if path in FILES:
            assert placement.offset is not None
            assert image[placement.offset :].startswith(FILES[path])


def test_a_small_file_system_in_a_large_partition_is_told_of(fat: blockpack.Layout) -> None:
    def codes(**options: object) -> list[str]:
        partition = blockpack.Partition(fat, type="esp", name="EFI", **options)  # type: ignore[arg-type]
        return [each.code for each in blockpack.Disk(partitions=[partition]).plan().warnings]

    assert "room" in codes(size="64M")
    assert "room" not in codes()
    assert "room" not in codes(size="64M", flags="grow-fs")


def test_warnings_name_the_partition() -> None:
    tree = blockpack.Tree()
    tree.add("aux.txt", b"x")
    layout = blockpack.FatVolume().plan(tree)
    assert layout.warnings
    partition = blockpack.Partition(layout, type="esp", name="EFI")
    found = blockpack.Disk(partitions=[partition]).plan().warnings
    assert [each.path for each in found] == ["EFI/aux.txt"]


def test_an_encrypted_partition_is_written_once(fat: blockpack.Layout, tmp_path: Path) -> None:
    secret = blockpack.encrypt(fat, bytes(32))
    too_large = blockpack.Partition(secret, type="linux", size="64M")
    with pytest.raises(blockpack.Problems) as caught:
        blockpack.Disk(partitions=[too_large]).plan()
    assert "plan that with the size 33554432" in str(caught.value)
    layout = blockpack.Disk(partitions=[blockpack.Partition(secret, type="linux")]).plan()
    blockpack.write(layout, tmp_path / "disk")
    with pytest.raises(blockpack.UsageError, match="written once"):
        blockpack.write(layout, tmp_path / "disk")
    assert [each.entry.path for each in layout.placements()] == []
