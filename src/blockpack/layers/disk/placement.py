"""Where everything on a disk lies: pieces that have bytes of their own, partitions between them.

All numbers are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ...model.limits import PADDING
from ...planning.layout import round_up
from ...planning.runs import Run


class Piece(NamedTuple):
    """Bytes `start` to `end` of a disk; `name` is for messages, `runs` makes its extents."""

    start: int
    end: int
    name: str
    runs: Callable[[], Iterable[Run]]

    def __str__(self) -> str:
        return f"{self.name} (bytes {self.start:,} to {self.end - 1:,})"


class Wanted(NamedTuple):
    """A partition to be placed: its size, the least one if it takes the `rest`, and its offset."""

    size: int
    offset: int | None = None
    rest: bool = False


class Place(NamedTuple):
    """Where a partition lies."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The byte just after it."""
        return self.start + self.size


def in_order(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces as they lie."""
    return sorted(pieces, key=lambda piece: (piece.start, piece.end))


def overlaps(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Piece]]:
    """Each piece, of those in order, that begins before the furthest one before it ends."""
    furthest = pieces[0]
    for piece in pieces[1:]:
        if piece.start < furthest.end:
            yield furthest, piece
        if piece.end > furthest.end:
            furthest = piece


def placed(
    wanted: Sequence[Wanted], obstacles: Sequence[Piece], begin: int, end: int, align: int
) -> list[Place]:
    """Where partitions lie from byte `begin` on: each at the first multiple of `align` behind the
    one before without an obstacle. What takes the rest goes on to `end`, or to a partition that has
    its own place; partitions between lie at the end of that room.
    """
    rest = next((number for number, each in enumerate(wanted) if each.rest), None)
    if rest is None:
        return _fitted(wanted, obstacles, begin, 0, align)
    fixed = next((n for n in range(rest + 1, len(wanted)) if wanted[n].offset is not None), None)
    limit = end if fixed is None else wanted[fixed].offset or 0
    last = len(wanted) - 1 if fixed is None else fixed - 1
    least = _fitted(wanted, obstacles, begin, limit, align)
    left = max(limit - least[last].end, 0)
    grown = wanted[rest].size + left - left % PADDING
    if last != rest:  # what is behind it moves by whole steps, and it goes on to there
        grown = round_up(least[rest].end, align) - least[rest].start + left - left % align
    whole = [*wanted[:rest], wanted[rest]._replace(size=grown), *wanted[rest + 1 :]]
    return _fitted(whole, obstacles, begin, limit, align)


def _fitted(
    wanted: Sequence[Wanted], obstacles: Sequence[Piece], begin: int, limit: int, align: int
) -> list[Place]:
    """Where partitions of these sizes lie; what takes the rest has no obstacle up to `limit`."""
    found: list[Place] = []
    cursor = begin
    for size, offset, rest in wanted:
        start = offset
        if start is None:
            start = round_up(cursor, align)
            for piece in in_order(obstacles):
                end = max(start + size, limit) if rest else start + size
                if piece.start < end and piece.end > start:
                    start = round_up(piece.end, align)
        found.append(Place(start, size))
        cursor = start + size
    return found
