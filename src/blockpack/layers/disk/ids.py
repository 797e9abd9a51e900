"""Ids of a disk and its partitions: they follow from the plan, and are the same each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from attrs import evolve

from ...planning.ids import dashed, guid, identity
from ...planning.layout import Layout
from .placement import Piece
from .table import PartitionTable


def root_hash_ids(root_hash: str) -> tuple[str, str]:
    """The ids of a partition and of that with its hash tree, by the UAPI group's specification."""
    return dashed(root_hash[:32]).upper(), dashed(root_hash[-32:]).upper()


def with_ids(
    table: PartitionTable, contents: Iterable[Layout | None], raws: Iterable[Piece]
) -> PartitionTable:
    """The table with the ids that were not given; `contents` are what is in its partitions."""
    digest = hashlib.sha256(repr(table).encode())
    for content in contents:
        digest.update(identity(content))
    for piece in raws:
        digest.update(f"{piece.start} {piece.end}\n".encode())
    if table.kind == "mbr":
        return evolve(table, id=table.id or f"0x{digest.hexdigest()[:8]}")
    entries = tuple(
        evolve(entry, id=entry.id or guid(digest.copy(), f"partition {entry.number}"))
        for entry in table.entries
    )
    return evolve(table, id=table.id or guid(digest.copy(), "disk"), entries=entries)
