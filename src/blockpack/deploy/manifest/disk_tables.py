"""The disks of a manifest: ``[disks.NAME]`` tables, with their partitions and raw pieces.

Which values the keys may have is for `Disk` and `Partition` to say; what they refuse is noted as a
problem of the key that is to blame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ...errors import UsageError
from ...layers.disk.disk import Disk, Partition, Raw
from ...layers.disk.gpt import NAME_UNITS
from ...layers.disk.table import SECTOR_SIZES
from ...planning.options import DISK, PARTITION, Option, keys, parse_size
from ..record import VOLUME_NAME
from .consumers import defaults
from .document import kind, shown
from .line_numbers import Path
from .specs import DiskSpec, FileSpec, Part, PartitionSpec, RawSpec, VolumeSpec
from .volume_options import VolumeTables

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


class DiskTables(VolumeTables):
    """A document with tables of disks, which have the `volumes` that are sound."""

    volumes: Mapping[str, VolumeSpec]

    def partitions(self, tables: Iterable[Any]) -> Iterator[list[Any]]:
        """The lists of partitions in tables of disks, whatever is in them."""
        for table in tables:
            found = table.get("partitions") if isinstance(table, dict) else None
            yield found if isinstance(found, list) else []

    def in_disks(self) -> dict[str, int | None]:
        """The names of all volumes that disks have, sound or not, with those disks' sectors."""
        disks = self.values.get("disks")
        tables = [*disks.values()] if isinstance(disks, dict) else []
        return {
            partition["volume"]: _sector_size(table)
            for table, partitions in zip(tables, self.partitions(tables), strict=True)
            for partition in partitions
            if isinstance(partition, dict) and isinstance(partition.get("volume"), str)
        }

    def disk(self, path: Path, name: str, table: Mapping[str, Any]) -> DiskSpec:
        """What the table says."""
        self.unknown(path, table, DISK_KEYS)
        options = self.options(path, table, DISK)
        wanted = defaults(self.consumers, DiskSpec.format, options)
        options = {key: wanted[key] for key in ("sector_size", "pad") if key in wanted} | options
        self.tried(path, partial(Disk, partitions=()), options)
        tables = self._tables((*path, "partitions"), table.get("partitions", []))
        if "partitions" not in table:
            remedy = f"add [[disks.{name}.partitions]]" if VOLUME_NAME.fullmatch(name) else ""
            self.complain((*path, "partitions"), "is missing", remedy)
        partitions = [self._partition(here, each) for here, each in tables]
        for (here, _), each in zip(tables, partitions, strict=True):
            if each.verity and options.get("table") == "mbr":
                rule = "is for disks with a GPT, by whose ids a hash tree is found"
                self.complain((*here, "verity"), rule, f"have table = 'gpt' in disks.{name}")
        raws = self._tables((*path, "raw"), table.get("raw", []))
        pieces = [self._raw(here, each) for here, each in raws]
        return DiskSpec(
            name=name,
            partitions=tuple(partitions),
            raws=tuple(piece for piece in pieces if piece is not None),
            options=options,
        )

    def _partition(self, path: Path, table: Mapping[str, Any]) -> PartitionSpec:
        self.unknown(path, table, PARTITION_KEYS)
        options = self.options(path, table, _PARTITION)
        has_tree = options.pop("verity", False)
        given = [key for key in ("volume", "path") if key in table]
        # What is in it is not known yet.
        self.tried(path, partial(Partition, b"" if given else None, type="linux"), options)
        if len(given) == 2:
            self.complain((*path, "path"), "has a volume in its place", "give one of the two")
        if "volume" in table:
            volume = self._volume_in((*path, "volume"), table["volume"])
            if volume is not None:
                options.setdefault("name", volume.name[:NAME_UNITS])
                if has_tree and volume.verity:
                    rule = f"the volume {volume.name} has a hash tree already"
                    self.complain((*path, "verity"), rule, "leave one of the two out")
                volume = volume.filling(options.get("size"))
            return PartitionSpec(content=volume, options=options, verity=has_tree)
        content = self._file(path, table) if "path" in table else None
        return PartitionSpec(content=content, options=options, verity=has_tree)

    def _volume_in(self, path: Path, value: Any) -> VolumeSpec | None:
        """The volume that a partition has, if that is sound."""
        name = self.text(path, value)
        tables = self.values.get("volumes")
        known = tables if isinstance(tables, dict) else {}
        if name is None:
            return None
        if name not in known:
            remedy = self.meant(name, {each: each for each in self.volumes})
            self.complain(path, f"there is no volume {shown(name)}", remedy or "add [volumes.NAME]")
        found = self.volumes.get(name)
        if found is not None and found.cipher is not None:
            remedy = "leave out its cipher, or attach it beside the disk"
            rule = f"the volume {name} is encrypted, and so has an image of its own"
            self.complain(path, rule, remedy)
        return found

    def _raw(self, path: Path, table: Mapping[str, Any]) -> RawSpec | None:
        self.unknown(path, table, RAW_KEYS)
        content = self._file(path, table)
        options = self.options(path, table, _RAW)
        self.tried(path, partial(Raw, b"", offset=0), options)
        if "offset" not in table:
            self.complain((*path, "offset"), "is missing", "give the byte where it begins")
        if content is None:
            return None
        return RawSpec(content=content, offset=options.get("offset", 0))

    def _file(self, path: Path, table: Mapping[str, Any]) -> FileSpec | None:
        """The file that the key ``path`` names."""
        found = self.tree_path((*path, "path"), table.get("path"))
        if found == "":
            self.complain((*path, "path"), "is not a file", "name a file in the tree")
        return FileSpec(name=found, parts=(Part(found, found),)) if found else None

    def _tables(self, path: Path, value: Any) -> list[tuple[Path, Mapping[str, Any]]]:
        """The elements of a list that are tables, with their paths."""
        if not isinstance(value, list):
            self.complain(path, f"is a list of tables, not {kind(value)}")
            return []
        if len(value) > MOST_RAWS:
            self.complain(path, f"{len(value):,} are more than the {MOST_RAWS:,} that are allowed")
            return []
        found: list[tuple[Path, Mapping[str, Any]]] = []
        for number, item in enumerate(value):
            if isinstance(item, dict):
                found.append(((*path, number), item))
            else:
                self.complain((*path, number), f"is a table, not {kind(item)}")
        return found


def _sector_size(table: Mapping[str, Any]) -> int | None:
    """The sector size that a disk's table gives, if it is one."""
    with suppress(UsageError):
        size = parse_size(table.get("sector-size", ""))
        return size if size in SECTOR_SIZES else None
    return None
