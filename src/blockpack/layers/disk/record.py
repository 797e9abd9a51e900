"""The record in a disk's first sector: whether a disk begins with it, and its entries.

All images are asked this when they are opened, so nothing is imported here that most do not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...formats.registry import Format
from . import gpt, mbr

Fields = Mapping[str, Any]
"""A structure's fields by their names."""

DISK = Format("disk", "", f"{__package__}.reader:DiskReader")
"""Disks among the formats of images; what plans one is no volume, but a `Disk`."""


def begins_a_disk(head: bytes) -> bool:
    """Whether a disk with a partition table begins with `head`. Where a boot sector with the same
    signature would have its table, it has text, nothing, or (mkfs.fat's) a partition that begins at
    the boot sector itself.
    """
    if len(head) < mbr.SIZE:
        return False
    record = mbr.RECORD.unpack(head)
    is_blank = not any(record["boot_code"]) and not any(record["entries"])
    if is_blank and head.startswith(gpt.SIGNATURE, mbr.SIZE):
        return True  # a GPT whose protective record is lost
    if record["signature"] != mbr.SIGNATURE:
        return False
    entries = entries_of(record)
    used = filter(is_used, entries)
    is_table = all(each["status"] in (0, mbr.ACTIVE) for each in entries)
    return is_table and (is_blank or any(each["first_lba"] for each in used))


def entries_of(record: Fields) -> list[Fields]:
    """The four entries of a record."""
    size = mbr.ENTRY.size
    table = record["entries"]
    return [mbr.ENTRY.unpack(table, at) for at in range(0, len(table), size)]


def is_used(entry: Fields) -> bool:
    """Whether an entry is that of a partition."""
    return bool(entry["type"] != mbr.EMPTY and entry["sectors"])
