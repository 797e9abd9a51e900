"""Disks, as hypothesis makes them: any partitions, sizes, alignments, sectors and tables."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

import blockpack
from blockpack.layers.disk.gpt import FLAGS
from blockpack.layers.disk.partition_types import TYPES

MiB = 1 << 20

IN_MBR = sorted(name for name, found in TYPES.items() if found.mbr is not None)
"""The types that have a byte in an MBR."""

NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" "), max_size=18
).map(str.strip)
"""Names of partitions; half as long as they may be, for a character may take two units."""

GUIDS = st.uuids(version=4).map(str)


@cache
def contents(sector_size: int) -> st.SearchStrategy[blockpack.Layout | bytes]:
    """What may be in a partition."""
    tree = blockpack.Tree()
    tree.add("file", b"x" * 5000)
    volumes = (
        blockpack.TarVolume(sector_size=sector_size),
        blockpack.FatVolume(sector_size=sector_size, label="DISK"),
        blockpack.GitVolume(sector_size=sector_size),
    )
    layouts = [volume.plan(tree) for volume in volumes]
    return st.sampled_from(layouts) | st.binary(min_size=1, max_size=10_000)


@st.composite
def partitions(draw: st.DrawFn, table: str, sector_size: int) -> blockpack.Partition:
    """One partition."""
    content = draw(st.none() | contents(sector_size))
    options: dict[str, Any] = {}
    if content is None:
        options["size"] = draw(st.integers(1, 1000)) * sector_size
    elif draw(st.booleans()):
        options["size"] = MiB * draw(st.integers(1, 8))
    if table == "mbr":
        return blockpack.Partition(content, type=draw(st.sampled_from(IN_MBR)), **options)
    types = st.sampled_from(IN_MBR if table == "hybrid" else sorted(TYPES)) | GUIDS
    return blockpack.Partition(
        content,
        type=draw(types) if table == "gpt" else draw(st.sampled_from(IN_MBR)),
        name=draw(NAMES),
        flags=draw(st.lists(st.sampled_from(sorted(FLAGS)) | st.sampled_from(["50", "56"]))),
        id=draw(st.none() | GUIDS),
        **options,
    )


@st.composite
def disks(draw: st.DrawFn, *tables: str) -> blockpack.Disk:
    """A disk with one of the tables."""
    table: Any = draw(st.sampled_from(tables or ("gpt", "mbr", "hybrid")))
    sector = draw(st.sampled_from([512, 4096]))
    most = 4 if table == "mbr" else 10
    found = draw(
        st.lists(partitions(table, sector), min_size=1, max_size=min(most, 6), unique_by=_id)
    )
    options: dict[str, Any] = {}
    if table != "mbr" and draw(st.booleans()):
        options["entries"] = draw(st.integers(len(found), 200))
    if draw(st.booleans()):
        options["raw"] = [blockpack.Raw(draw(st.binary(min_size=1, max_size=9000)), "512K")]
    align = draw(st.sampled_from([sector, 64 << 10, MiB, 4 * MiB]))
    disk = blockpack.Disk(table=table, partitions=found, sector_size=sector, align=align, **options)
    if draw(st.booleans()):
        return disk
    size = disk.plan().size + draw(st.integers(0, 20)) * MiB
    last = blockpack.Partition(size="rest", type="linux", name="the rest")
    if draw(st.booleans()) and len(found) < most and len(found) < options.get("entries", most):
        size += 8 * MiB
        found.insert(draw(st.integers(0, len(found))), last)
    return blockpack.Disk(
        table=table, partitions=found, sector_size=sector, align=align, size=size, **options
    )


def _id(partition: blockpack.Partition) -> object:
    return partition.id or object()
