"""The GUID partition table (UEFI specification 2.10, section 5.3).

`HEADER` and `ENTRY` are the structures, once: the writer packs by them, the reader unpacks by them,
and docs/format/disk.md shows them. All numbers are little-endian.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ...formats.structure import Structure

if TYPE_CHECKING:
    from .table import PartitionTable

HEADER = Structure(
    ("signature", "8s"),
    ("revision", "I"),
    ("header_size", "I"),
    ("header_crc", "I"),
    ("reserved", "I"),
    ("my_lba", "Q"),
    ("alternate_lba", "Q"),
    ("first_usable_lba", "Q"),
    ("last_usable_lba", "Q"),
    ("disk_guid", "16s"),
    ("entries_lba", "Q"),
    ("entry_count", "I"),
    ("entry_size", "I"),
    ("entries_crc", "I"),
)
"""The header, in sector 1 and in the disk's last one; the rest of the sector is zeros."""

ENTRY = Structure(
    ("type", "16s"),
    ("id", "16s"),
    ("first_lba", "Q"),
    ("last_lba", "Q"),
    ("attributes", "Q"),
    ("name", "72s"),
)
"""An entry of the array; one of type zero is not in use. The last sector is the partition's."""

SIGNATURE = b"EFI PART"
REVISION = 0x00010000
CAPACITY = 128
"""Entries that there is room for, unless asked otherwise: 16 KiB, as the specification has it."""
NAME_UNITS = 36
"""UTF-16 units in the longest name."""
UNUSED = bytes(16)
"""The type of an entry that is not in use."""

FLAGS = {
    # The specification's, table 5.8.
    "required": 0,
    "no-block-io": 1,
    "legacy-boot": 2,
    # What bits 48 to 63 mean depends on the type; these are of systemd's Discoverable Partitions.
    "grow-fs": 59,
    "read-only": 60,
    # And these of Microsoft's basic data; bit 63 is the same for both.
    "hidden": 62,
    "no-auto": 63,
}
"""Bits of an entry's attributes by name."""

_GUID = re.compile(r"([0-9A-F]{8})-([0-9A-F]{4})-([0-9A-F]{4})-([0-9A-F]{4})-([0-9A-F]{12})")


def is_guid(text: str) -> bool:
    """Whether a text is a GUID, in capitals."""
    return _GUID.fullmatch(text) is not None


def pack_guid(text: str) -> bytes:
    """The 16 bytes of a GUID: its first three parts are little-endian (appendix A)."""
    first, second, third, *rest = (bytes.fromhex(part) for part in text.split("-"))
    return first[::-1] + second[::-1] + third[::-1] + b"".join(rest)


def guid_text(data: bytes) -> str:
    """The text of a GUID's 16 bytes, in capitals."""
    parts = data[3::-1], data[5:3:-1], data[7:5:-1], data[8:10], data[10:]
    return "-".join(part.hex() for part in parts).upper()


def entries_size(capacity: int, sector_size: int) -> int:
    """Bytes of the array for `capacity` entries: whole sectors."""
    return -(-capacity * ENTRY.size // sector_size) * sector_size


def pack_entries(table: PartitionTable) -> bytes:
    """The array of entries, without what fills its last sector."""
    array = bytearray(table.capacity * ENTRY.size)
    for entry in table.entries:
        at = (entry.number - 1) * ENTRY.size
        array[at : at + ENTRY.size] = ENTRY.pack(
            type=pack_guid(entry.type),
            id=pack_guid(entry.id),
            first_lba=entry.start // table.sector_size,
            last_lba=entry.end // table.sector_size - 1,
            attributes=entry.attributes,
            name=entry.name.encode("utf-16-le"),
        )
    return bytes(array)


def pack_header(table: PartitionTable, entries: bytes, *, backup: bool = False) -> bytes:
    """The header's sector, by the whole array; the backup is the last, right behind its array."""
    sector = table.sector_size
    last = table.size // sector - 1
    backup_entries = table.size - sector - entries_size(table.capacity, sector)
    values: dict[str, Any] = {
        "signature": SIGNATURE,
        "revision": REVISION,
        "header_size": HEADER.size,
        "my_lba": last if backup else 1,
        "alternate_lba": 1 if backup else last,
        "first_usable_lba": table.first_usable // sector,
        "last_usable_lba": table.end_usable // sector - 1,
        "disk_guid": pack_guid(table.id),
        "entries_lba": (backup_entries if backup else table.entries_at) // sector,
        "entry_count": table.capacity,
        "entry_size": ENTRY.size,
        "entries_crc": crc32(entries),
    }
    values["header_crc"] = crc32(HEADER.pack(**values))  # its own field counts as zero
    return HEADER.pack(**values).ljust(sector, b"\0")


def header_crc(sector: bytes, header_size: int) -> int:
    """The CRC that the header in `sector`, of `header_size` bytes, should have."""
    crc = crc32(bytes(4), crc32(sector[:16]))  # its own field counts as zero
    return crc32(sector[20:header_size], crc)


def attributes_of(flags: Iterable[str]) -> int:
    """The bits of flags by their names or numbers. Raises `ValueError` for others."""
    bits = {FLAGS[flag] if flag in FLAGS else int(flag) for flag in flags}
    return sum(1 << bit for bit in bits)


def flags_of(attributes: int) -> tuple[str, ...]:
    """The names of the bits that are set; a bit that has none is its number."""
    names = {bit: name for name, bit in FLAGS.items()}
    return tuple(names.get(bit, str(bit)) for bit in range(64) if attributes >> bit & 1)
