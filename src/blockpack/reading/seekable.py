"""A seekable, read-only binary file over anything that can be read at a position."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from typing import BinaryIO, cast

_READ_AHEAD = 128 << 10


class SeekableReader(io.RawIOBase):
    """The position of such a file; what is at a position is for `pread` to say."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        """The file's length in bytes."""
        self._position = 0

    @abstractmethod
    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes.

        `view` is not empty and ends where the file does, or before.
        """

    def buffered(self, read_ahead: int = _READ_AHEAD) -> BinaryIO:
        """This file behind a buffer of so many bytes."""
        return cast(BinaryIO, io.BufferedReader(self, read_ahead))

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`; all that there are for less than 0."""
        return super().read(size) or b""  # None is for files that do not block

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}
        position = base[whence] + offset
        if position < 0:
            raise ValueError(f"negative position {position}")
        self._position = position
        return position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`, or a first part of it, from the position on; the number of bytes."""
        view = memoryview(buffer).cast("B")[: max(self.size - self._position, 0)]
        count = self.pread(view, self._position) if view else 0
        self._position += count
        return count
