"""The blocks of an archive, many read at once where headers are near, and headers among them."""

from __future__ import annotations

from ...errors import ImageError
from ..reader import ImageReader
from . import header
from .header import BLOCK, Remembered, Sums, is_header

_NEAR = 16 << 10
"""Bytes from header to header up to which all is read, and above which only headers are."""
_CHUNK = 1 << 20
"""Bytes that are searched at once, at most."""

_MOST_SEARCHED = 1 << 30
"""Bytes that are searched for headers; more would take too long."""

ZEROS = bytes(BLOCK)
"""A block of which two end an archive."""


class Blocks:
    """The blocks of what `reader` reads. Reading raises `ImageError` where the image ends early.

    `buffer` is what was read last, from byte `begin` on, and `served` how many headers came of it.
    """

    def __init__(self, reader: ImageReader) -> None:
        self._data = reader.data
        self._size = reader.size
        self.sums: Sums = Remembered(header.low_half)
        self.buffer = b""
        self.begin = 0
        self.served = 0
        self._left = _MOST_SEARCHED

    def at(self, at: int) -> bytes:
        """The block at `at`; less at the image's end."""
        place = at - self.begin
        if not 0 <= place <= len(self.buffer) - BLOCK:
            near = at - self.begin <= _NEAR * (self.served + 1)
            self.buffer = self.read(at, (near and self._data.read_ahead) or BLOCK)
            self.begin = at
            self.served = place = 0
        else:
            self.served += 1
        return self.buffer[place : place + BLOCK]

    def read(self, at: int, length: int) -> bytes:
        """`length` bytes at `at`; less at the image's end, and none beyond."""
        place = at - self.begin
        if 0 <= place <= len(self.buffer) - length:
            return self.buffer[place : place + length]
        length = max(min(length, self._size - at), 0)
        data = self._data.read_at(at, length)
        if len(data) < length:
            raise ImageError("", f"the image ends early, at byte {at + len(data):,}")
        return data

    def is_header(self, at: int, *, or_end: bool = False) -> bool:
        """Whether a header is at `at`, or the end of the archive."""
        block = self.at(at) if 0 <= at <= self._size - BLOCK else b""
        if len(block) < BLOCK:
            return False
        return is_header(block, self.sums) or (or_end and block == ZEROS)

    def search(self, start: int, stop: int) -> int | None:
        """The first header from `start` on and before `stop`, if there is one before two blocks of
        zeros.
        """
        zeros = 0
        length = BLOCK
        while start < min(stop, self._size - BLOCK + 1) and self._left > 0:
            data = self.read(start, length)
            for at in range(0, len(data) - BLOCK + 1, BLOCK):
                block = data[at : at + BLOCK]
                if block == ZEROS:
                    zeros += 1
                    if zeros == 2:
                        return None
                    continue
                zeros = 0
                if start + at >= stop:
                    return None
                if is_header(block, self.sums):
                    return start + at
            self._left -= length
            start += length
            length = min(2 * length, _CHUNK)
        return None
