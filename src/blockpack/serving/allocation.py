"""Which bytes of an export are zeros: one map, made before anything is served.

It notes stretches of zeros of 4096 bytes and more, between which all is data. Clients ask where
there is nothing to copy; less is not worth a word.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

from ..planning.runs import WORTHWHILE
from .protocol import HOLE_AND_ZERO

_LONGEST = (1 << 32) - WORTHWHILE
"""Bytes that one descriptor tells of, at most."""

MOST_DESCRIPTORS = 4096
"""Descriptors in one reply, at most; the client asks on."""


class Allocation:
    """The stretches of an export of `size` bytes by turns: data, zeros, data, … Zeros begin at even
    boundaries, and end at odd ones. `check` raises an error if the map is out of date.
    """

    def __init__(
        self,
        size: int,
        stretches: Iterable[tuple[int, int]] = (),
        check: Callable[[], object] = int,
    ) -> None:
        self.size = size
        self._check = check
        self._boundaries = array("Q", _joined(stretches))

    def is_zero(self, offset: int, length: int) -> bool:
        """Whether a stretch is known to be all zeros."""
        number = bisect_right(self._boundaries, offset)
        zero = bool(number & 1) and offset + length <= self._boundaries[number]
        if zero:
            self._check()
        return zero

    def descriptors(self, offset: int, length: int, most: int) -> bytes:
        """Up to `most` descriptors of `length` bytes from `offset` on, or of their first part."""
        self._check()
        parts: list[bytes] = []
        number = bisect_right(self._boundaries, offset)
        end = offset + length
        while offset < end and len(parts) < most:
            is_data = not number & 1
            last = number == len(self._boundaries)
            until = min(end, self.size if last else self._boundaries[number])
            count = min(until - offset, _LONGEST)
            parts.append(struct.pack(">II", count, 0 if is_data else HOLE_AND_ZERO))
            offset += count
            number += offset == until
        return b"".join(parts)


def _joined(stretches: Iterable[tuple[int, int]]) -> Iterator[int]:
    """The boundaries of ascending stretches, those that touch as one, without short ones."""
    begin = end = 0
    for start, stop in stretches:
        if start != end:
            if end - begin >= WORTHWHILE:
                yield from (begin, end)
            begin = start
        end = stop
    if end - begin >= WORTHWHILE:
        yield from (begin, end)
