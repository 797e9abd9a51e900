"""What is planned as a disk is read as that disk: the same table, entries and bytes."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import blockpack

FILES = {
    "a.txt": b"content",
    "dir/numbers": bytes(range(256)) * 50,
    "dir/deep/Größe": b"size" * 3,
    "empty": b"",
}

VOLUMES: dict[str, tuple[type[blockpack.Volume], dict[str, Any]]] = {
    "tar": (blockpack.TarVolume, {}),
    "FAT": (blockpack.FatVolume, {"label": "WWW"}),
    "pack": (blockpack.GitVolume, {"container": "pack"}),
    "docteur": (blockpack.GitVolume, {}),
}


@cache
def planned(volume: str, sector_size: int) -> blockpack.Layout | None:
    if volume not in VOLUMES:
        return None
    tree = blockpack.Tree()
    for path, data in FILES.items():
        tree.add(path, data)
    volume_class, options = VOLUMES[volume]
    return volume_class(sector_size=sector_size, **options).plan(tree)


@st.composite
def disks(draw: st.DrawFn) -> blockpack.Disk:
    """Any disk of those volumes."""
    sector_size = draw(st.sampled_from((512, 4096)))
    partitions = st.builds(
        lambda volume, name, size: blockpack.Partition(
            planned(volume, sector_size), type="linux", name=name, size=size
        ),
        st.sampled_from((*VOLUMES, "nothing")),
        st.sampled_from(("EFI", "tar", "", "2", "a/b", "..", "two words", "Größe", "x" * 36)),
        st.sampled_from(("2M", "3M")),
    )
    return blockpack.Disk(
        table=draw(st.sampled_from(("gpt", "mbr", "hybrid"))),
        partitions=draw(st.lists(partitions, min_size=1, max_size=3)),
        sector_size=sector_size,
        raw=[blockpack.Raw(b"boot code" * 1000, offset="40K")] * draw(st.integers(0, 1)),
        align="64K",
    )


def tells_its_sectors(disk: blockpack.Disk) -> bool:
    """Whether sectors can be told: in an MBR alone, by what begins where partitions do."""
    return disk.table != "mbr" or any(partition.layout for partition in disk.partitions)


@given(disks())
def test_what_is_planned_is_read(disk: blockpack.Disk) -> None:
    layout = disk.plan()
    with blockpack.open_image(layout) as image:
        assert image.verify() == []
        if tells_its_sectors(disk):
            assert image.info() == layout.geometry
        placed = {placement.entry.path: placement.offset for placement in layout.placements()}
        assert {entry.path for entry in image} == placed.keys()
        for entry in image:
            if entry.kind == "file":
                assert image.read(entry.path) == FILES[entry.path.partition("/")[2]]
                assert placed[entry.path] in (None, entry.offset)
        assert blockpack.compare(image, layout) == []


@given(disks(), st.data())
def test_a_partition_is_the_image_that_was_put_there(
    disk: blockpack.Disk, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, len(disk.partitions)))
    nested = disk.partitions[number - 1].layout
    with blockpack.open_image(disk.plan()) as image:
        partition = image.partitions[number - 1]
        if not isinstance(nested, blockpack.Layout):
            assert (partition.reader, partition.content) == (None, "")
        elif tells_its_sectors(disk):
            with nested.open() as file:
                assert partition.data.read_at(0, nested.size) == file.read()
            assert partition.content == nested.format
