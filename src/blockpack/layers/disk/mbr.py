"""The master boot record (UEFI specification 2.10, section 5.2): alone, before a GPT, or hybrid.

`RECORD` and `ENTRY` are the structures, once: the writer packs by them, the reader unpacks by them,
and docs/format/disk.md shows them. All numbers are little-endian. The record is 512 bytes, whatever
the sector size.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...formats.structure import Structure

RECORD = Structure(
    ("boot_code", "440s"),
    ("disk_id", "I"),
    ("unknown", "2s"),
    ("entries", "64s"),
    ("signature", "2s"),
)
"""Bytes 0 to 511 of the disk."""

ENTRY = Structure(
    ("status", "B"),
    ("first_chs", "3s"),
    ("type", "B"),
    ("last_chs", "3s"),
    ("first_lba", "I"),
    ("sectors", "I"),
)
"""One of the four entries; one of type 0 is not in use."""

SIGNATURE = b"\x55\xaa"
BOOT_CODE = 440
"""Bytes of the boot code, before the table."""
SIZE = RECORD.size
PRIMARIES = 4
MOST_SECTORS = (1 << 32) - 1
"""Sectors of a partition, and before it, at most."""
ACTIVE = 0x80
"""The status of the partition that boots."""
EMPTY, PROTECTIVE = 0x00, 0xEE
EXTENDED = (0x05, 0x0F, 0x85)
"""Types of partitions that hold a chain of others."""

# What every BIOS of a large disk takes, and fdisk writes.
_HEADS, _SECTORS = 255, 63
_BEYOND = b"\xfe\xff\xff"  # the last address that there is


def pack_entry(type: int, first: int, sectors: int, *, active: bool = False) -> bytes:
    """The entry of `sectors` from sector `first` on; `type` is a byte."""
    return ENTRY.pack(
        status=ACTIVE if active else 0,
        first_chs=_chs(first),
        type=type,
        last_chs=_chs(first + sectors - 1),
        first_lba=first,
        sectors=sectors,
    )


def protective(end: int) -> bytes:
    """The entry that keeps a GPT's sectors from 1 up to, not including, `end` for it."""
    return pack_entry(PROTECTIVE, 1, min(end - 1, MOST_SECTORS))


def pack(entries: Iterable[bytes], disk_id: int = 0) -> bytes:
    """The record, without boot code."""
    return RECORD.pack(disk_id=disk_id, entries=b"".join(entries), signature=SIGNATURE)


def _chs(sector: int) -> bytes:
    """A sector's number as cylinder, head and sector; the last there is for those beyond."""
    track, in_track = divmod(sector, _SECTORS)
    cylinder, head = divmod(track, _HEADS)
    if cylinder > 1023:
        return _BEYOND
    return bytes((head, in_track + 1 | cylinder >> 2 & 0xC0, cylinder & 0xFF))


def type_text(type: int) -> str:
    """A type's byte as it is told: ``0x0c``."""
    return f"0x{type:02x}"
