"""A partition table as values: what is planned of one, and what is read of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from ...model.entry import check_path
from ...planning.layout import Fact
from . import mbr

Kind = Literal["gpt", "mbr", "hybrid"]
"""A GUID partition table; a master boot record; or both, which have some partitions in common."""

TITLES: dict[Kind, str] = {"gpt": "GPT disk", "mbr": "MBR disk", "hybrid": "hybrid disk"}
"""Tables as people call them."""

BOOT = "boot"
"""The flag of the partition that boots by an MBR."""

SHOWN = "mbr"
"""The flag of partitions that are in the MBR of a hybrid table, too."""


@frozen(kw_only=True)
class TableEntry:
    """A partition, as its table tells of it.

    `number` counts from 1. `start` and `size` are in bytes. `type` is a GUID in capitals, or in an
    MBR a byte (``0x0c``); `id` is the partition's own GUID, or in an MBR empty. `attributes` are
    the 64 bits of a GPT, or an MBR's byte of status. `mbr_type` is the byte that stands for the
    partition in an MBR, also that of a hybrid table, and empty if it is not there; `active` tells
    whether it boots by that.
    """

    number: int
    start: int
    size: int
    type: str
    name: str = ""
    id: str = ""
    attributes: int = 0
    mbr_type: str = ""
    active: bool = False

    @property
    def end(self) -> int:
        """The byte just after the partition."""
        return self.start + self.size

    @property
    def is_extended(self) -> bool:
        """Whether it is no partition, but room for logical ones."""
        return self.type in map(mbr.type_text, mbr.EXTENDED)


@frozen(kw_only=True)
class PartitionTable:
    """A disk's table. Sizes and offsets are in bytes.

    `size` is the disk's. `id` is its GUID, or an MBR's number (``0x1234abcd``). Of a GPT there is
    room for `capacity` entries from byte `entries_at` on, and partitions lie from byte
    `first_usable` up to, not including, `end_usable`.
    """

    kind: Kind
    sector_size: int
    size: int
    id: str
    entries: tuple[TableEntry, ...]
    capacity: int = 0
    entries_at: int = 0
    first_usable: int = 0
    end_usable: int = 0

    @property
    def facts(self) -> dict[str, Fact]:
        """What a user is told of it, by name."""
        return {
            "table": self.kind,
            "sector_size": self.sector_size,
            "disk_id": self.id,
            "partitions": len(self.entries),
        }


def labels(entries: Sequence[TableEntry]) -> list[str]:
    """What partitions are called in paths: their names, if alone and parts of one, or numbers."""
    named = Counter(entry.name for entry in entries)

    def is_label(name: str) -> bool:
        unique = named[name] == 1 and not name.isdigit()
        return unique and check_path(name) is None and "/" not in name

    return [each.name if is_label(each.name) else str(each.number) for each in entries]
