"""The bytes of a partition table: the MBR, and a GPT at both ends of the disk."""

from __future__ import annotations

from collections.abc import Iterator

from ...planning.runs import Run, literal
from . import gpt, mbr
from .placement import Piece
from .table import PartitionTable


def front_end(table: PartitionTable) -> int:
    """The byte behind what lies at the disk's begin."""
    if table.kind == "mbr":
        return mbr.SIZE
    return table.entries_at + gpt.entries_size(table.capacity, table.sector_size)


def back_size(table: PartitionTable) -> int:
    """Bytes of what lies at the disk's end."""
    if table.kind == "mbr":
        return 0
    return gpt.entries_size(table.capacity, table.sector_size) + table.sector_size


def table_pieces(table: PartitionTable, *, boot_code: bool = False) -> Iterator[Piece]:
    """The pieces of a table; with `boot_code` the first 440 bytes are somebody else's."""
    at = mbr.BOOT_CODE if boot_code else 0
    yield Piece(at, mbr.SIZE, "the MBR", lambda: [literal(at, _record(table)[at:])])
    if table.kind == "mbr":
        return
    sector = table.sector_size
    size = gpt.entries_size(table.capacity, sector)
    for name, header, entries in (
        ("the GPT's", sector, table.entries_at),
        ("the backup of the GPT's", table.size - sector, table.size - sector - size),
    ):

        def packed_header(at: int = header) -> list[Run]:
            entries = gpt.pack_entries(table)
            return [literal(at, gpt.pack_header(table, entries, backup=at != sector))]

        def packed_entries(at: int = entries) -> list[Run]:
            return [literal(at, gpt.pack_entries(table).ljust(size, b"\0"))]

        yield Piece(header, header + sector, f"{name} header", packed_header)
        yield Piece(entries, entries + size, f"{name} entries", packed_entries)


def _record(table: PartitionTable) -> bytes:
    """The MBR, without boot code."""
    sector = table.sector_size
    shown = [entry for entry in table.entries if entry.mbr_type]
    primaries = [
        mbr.pack_entry(
            int(entry.mbr_type, 16),
            entry.start // sector,
            entry.size // sector,
            active=entry.active,
        )
        for entry in shown
    ]
    if table.kind == "mbr":
        return mbr.pack(primaries, int(table.id, 16))
    if table.kind == "gpt":
        return mbr.pack([mbr.protective(table.size // sector)])
    # Raspberry Pis look at the first entry, and want the protective one second.
    protective = mbr.protective(min(entry.start for entry in shown) // sector)
    return mbr.pack([primaries[0], protective, *primaries[1:]], int(table.id[:8], 16))
