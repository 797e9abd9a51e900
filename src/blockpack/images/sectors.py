"""The sectors in which two images differ."""

from __future__ import annotations

from collections.abc import Iterator

from ..layers.damage import stretches
from ..reading.positional import PositionalReader

_PIECE = 1 << 20


def differing_sectors(
    one: PositionalReader, other: PositionalReader, size: int
) -> Iterator[tuple[int, int]]:
    """Ranges of sectors of `size` bytes that are not the same, as first and last; what only the
    larger image has is not the same.
    """
    return stretches(_numbers(one, other, size))


def _numbers(one: PositionalReader, other: PositionalReader, size: int) -> Iterator[int]:
    for at in range(0, max(one.size, other.size), _PIECE):
        data, wanted = one.read_at(at, _PIECE), other.read_at(at, _PIECE)
        if data == wanted:
            continue
        for start in range(0, max(len(data), len(wanted)), size):
            if data[start : start + size] != wanted[start : start + size]:
                yield (at + start) // size
