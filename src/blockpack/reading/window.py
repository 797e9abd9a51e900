"""Reading small pieces in the order in which they lie, many of them by one system call."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import reading_errors
from .positional import PositionalReader

AHEAD = 256 << 10
"""Bytes that are read at once: more would not stay in a processor's cache."""


class Window:
    """A buffer over a part of a reader that moves along; for one thread."""

    def __init__(self, reader: PositionalReader) -> None:
        self._reader = reader
        self._buffer = memoryview(bytearray(AHEAD))
        self._start = self._end = 0

    def at(self, offset: int, length: int) -> memoryview:
        """`length` bytes from `offset` on, until the next ones are asked for.

        Raises `ImageError` if there are less.
        """
        if not self._start <= offset <= offset + length <= self._end:
            if length > AHEAD:
                data = memoryview(bytearray(length))
                self._reader.read_into(data, offset)
                return data
            self._move(offset, length)
        start = offset - self._start
        return self._buffer[start : start + length]

    def joined(self, pieces: Sequence[tuple[int | None, int]]) -> memoryview | bytes:
        """The bytes of pieces, (offset, length), one after the other; None is for zeros."""
        if len(pieces) == 1 and pieces[0][0] is not None:
            return self.at(*pieces[0])  # type: ignore[arg-type]
        return b"".join(
            bytes(length) if offset is None else bytes(self.at(offset, length))
            for offset, length in pieces
        )

    def _move(self, offset: int, length: int) -> None:
        self._start = self._end = offset
        ahead = self._buffer[: min(AHEAD, self._reader.size - offset)]
        count = 0
        if len(ahead) >= length:
            with reading_errors("the image"):
                count = self._reader.pread(ahead, offset)
        if count < length:  # what is asked for counts, and not what could be read ahead
            self._reader.read_into(self._buffer[count:length], offset + count)
        self._end = offset + max(count, length)
