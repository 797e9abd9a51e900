"""Ids of a disk and its partitions: they follow from the plan, and are the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from attrs import evolve

from ...model.entry import File
from ...planning.ids import guid
from ...planning.layout import Layout
from .placement import Piece
from .table import PartitionTable


def with_ids(
    table: PartitionTable, contents: Iterable[Layout | None], raws: Iterable[Piece]
) -> PartitionTable:
    """The table with the ids that were not given; `contents` are what is in its partitions."""
    digest = hashlib.sha256(repr(table).encode())
    for content in contents:
        digest.update(_identity(content))
    for piece in raws:
        digest.update(f"{piece.start} {piece.end}\n".encode())
    if table.kind == "mbr":
        return evolve(table, id=table.id or f"0x{digest.hexdigest()[:8]}")
    entries = (
        evolve(entry, id=entry.id or guid(digest.copy(), f"partition {entry.number}"))
        for entry in table.entries
    )
    return evolve(table, id=table.id or guid(digest.copy(), "disk"), entries=entries)


def _identity(content: Layout | None) -> bytes:
    """What is known of a content before it is read: its format, and where everything lies in it."""
    if content is None:
        return b"\n"
    facts = [content.format, content.size, *sorted(content.geometry.items())]
    lines = [repr(facts)]
    for each in content.placements():
        entry = each.entry
        size = entry.size if type(entry) is File else ""
        lines.append(f"{entry.path} {each.offset} {size}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
