"""The disks of a manifest: ``[disks.NAME]`` tables, with their partitions and raw pieces.

Which values the keys may have is for `Disk` and `Partition` to say; what they refuse is noted as a
problem of the key that is to blame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import UsageError
from ...layers.disk.disk import Disk, Partition, Raw
from ...layers.disk.gpt import NAME_UNITS
from ...model.limits import SECTOR_SIZES
from ...planning.options import DISK, PARTITION, Option, keys, parse_size
from ..record import VOLUME_NAME
from .consumers import defaults
from .document import Node, shown
from .specs import DiskSpec, FileSpec, Part, PartitionSpec, RawSpec, VolumeSpec
from .tree_tables import tree_path
from .volume_options import options, try_out

MOST_PARTITIONS = 1000
"""How many partitions all disks have at most: each is planned, and its files are listed."""

MOST_RAWS = 1000
"""How many raw pieces a disk has at most."""

_PARTITION = (Option("name", "text", "NAME", "its name"), *PARTITION)
_RAW = (Option("offset", "size", "N", "byte where it begins"),)

DISK_KEYS = (*keys(DISK), "raw", "partitions")
PARTITION_KEYS = ("volume", "path", *keys(_PARTITION))
RAW_KEYS = ("path", *keys(_RAW))
"""The keys of ``[disks.NAME]``, of a partition, and of a raw piece."""


def partitions_of(table: Any) -> list[Any]:
    """The list of partitions in the table of a disk, whatever is in that."""
    found = table.get("partitions") if isinstance(table, dict) else None
    return found if isinstance(found, list) else []


def in_disks(disks: Any) -> dict[str, int | None]:
    """The names of all volumes that disks have, sound or not, with those disks' sectors."""
    return {
        partition["volume"]: _sector_size(table)
        for table in (disks.values() if isinstance(disks, dict) else ())
        for partition in partitions_of(table)
        if isinstance(partition, dict) and isinstance(partition.get("volume"), str)
    }


def disk(
    table: Node, volumes: Mapping[str, VolumeSpec | None], consumers: Sequence[str]
) -> DiskSpec:
    """What the table says; `volumes` are all of the manifest, None those that are not sound."""
    table.require_known(DISK_KEYS)
    given = options(table, DISK)
    wanted = defaults(consumers, DiskSpec.format, given)
    given = {key: wanted[key] for key in ("sector_size", "pad") if key in wanted} | given
    try_out(table, partial(Disk, partitions=()), given)
    name = table.name
    if "partitions" not in table:
        remedy = f"add [[disks.{name}.partitions]]" if VOLUME_NAME.fullmatch(name) else ""
        table["partitions"].complain("is missing", remedy)
    tables = table["partitions"].tables(MOST_PARTITIONS)
    partitions = [_partition(each, volumes) for each in tables]
    for node, each in zip(tables, partitions, strict=True):
        if each.verity and given.get("table") == "mbr":
            rule = "is for disks with a GPT, by whose ids a hash tree is found"
            node["verity"].complain(rule, f"have table = 'gpt' in disks.{name}")
    pieces = [_raw(each) for each in table["raw"].tables(MOST_RAWS)]
    return DiskSpec(
        name=name,
        partitions=tuple(partitions),
        raws=tuple(piece for piece in pieces if piece is not None),
        options=given,
    )


def _partition(table: Node, volumes: Mapping[str, VolumeSpec | None]) -> PartitionSpec:
    table.require_known(PARTITION_KEYS)
    given = options(table, _PARTITION)
    has_tree = given.pop("verity", False)
    contents = [key for key in ("volume", "path") if key in table]
    # What is in it is not known yet.
    try_out(table, partial(Partition, b"" if contents else None, type="linux"), given)
    if len(contents) == 2:
        table["path"].complain("has a volume in its place", "give one of the two")
    content: VolumeSpec | FileSpec | None = None
    if "volume" in table:
        volume = _volume_in(table["volume"], volumes)
        if volume is not None:
            given.setdefault("name", volume.name[:NAME_UNITS])
            if has_tree and volume.verity:
                rule = f"the volume {volume.name} has a hash tree already"
                table["verity"].complain(rule, "leave one of the two out")
            content = volume.filling(given.get("size"))
    elif "path" in table:
        content = _file(table["path"])
    return PartitionSpec(content=content, options=given, verity=has_tree)


def _volume_in(node: Node, volumes: Mapping[str, VolumeSpec | None]) -> VolumeSpec | None:
    name = node.text()
    if name is None:
        return None
    if name not in volumes:
        remedy = node.document.meant(name, volumes)
        node.complain(f"there is no volume {shown(name)}", remedy or "add [volumes.NAME]")
    found = volumes.get(name)
    if found is not None and found.cipher is not None:
        rule = f"the volume {name} is encrypted, and so has an image of its own"
        node.complain(rule, "leave out its cipher, or attach it beside the disk")
    return found


def _raw(table: Node) -> RawSpec | None:
    table.require_known(RAW_KEYS)
    content = _file(table["path"])
    given = options(table, _RAW)
    try_out(table, partial(Raw, b"", offset=0), given)
    if "offset" not in table:
        table["offset"].complain("is missing", "give the byte where it begins")
    return None if content is None else RawSpec(content=content, offset=given.get("offset", 0))


def _file(node: Node) -> FileSpec | None:
    found = tree_path(node)
    if found == "":
        node.complain("is not a file", "name a file in the tree")
    return FileSpec(name=found, parts=(Part(found, found),)) if found else None


def _sector_size(table: Mapping[str, Any]) -> int | None:
    with suppress(UsageError):
        size = parse_size(table.get("sector-size", ""))
        return size if size in SECTOR_SIZES else None
    return None
