"""An image as the judges see it: bytes at offsets, however large the file is."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

Source = str | Path | bytes | BinaryIO
"""Where an image is: a path, its bytes, or a seekable binary file, which is not closed."""

CHUNK = 1 << 20
_ZEROS = bytes(CHUNK)


class Image:
    """Random access to an image. Nothing of it is kept in memory."""

    def __init__(self, source: Source) -> None:
        self._owned = isinstance(source, str | Path | bytes)
        self._descriptor: int | None = None
        if isinstance(source, bytes):
            self._file: BinaryIO = io.BytesIO(source)
        elif isinstance(source, str | Path):
            # Without a buffer, which would not notice that `_skip_hole` moves the file.
            self._file = cast(BinaryIO, io.FileIO(source))
            self._descriptor = self._file.fileno()
        else:
            self._file = source
        self.size = self._file.seek(0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A model of a reader has no end but that nobody refers to it any more.
        if hasattr(self, "_file"):
            self.close()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes at `offset`."""
        assert 0 <= offset <= offset + length <= self.size, (
            f"bytes {offset} to {offset + length} are not within the image of {self.size} bytes"
        )
        self._file.seek(offset)
        parts: list[bytes] = []
        missing = length
        while missing:
            part = self._file.read(missing)
            assert part, f"the image ended at {offset + length - missing}"
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def first_nonzero(self, start: int, end: int) -> int | None:
        """The offset of a byte that is not zero in [start, end), or None; skips holes."""
        at = self._skip_hole(start)
        while at < end:
            length = min(CHUNK, end - at)
            data = self.read(at, length)
            if data != _ZEROS[:length]:
                return at + next(index for index, byte in enumerate(data) if byte)
            at = self._skip_hole(at + length)
        return None

    def assert_zero(self, start: int, end: int, what: str) -> None:
        """Assert that all bytes in [start, end) are zero; `what` is named if they are not."""
        found = self.first_nonzero(start, end)
        assert found is None, f"{what} is not zero: byte {found} of {start} to {end}"

    def _skip_hole(self, offset: int) -> int:
        """The first offset from `offset` on that may hold data."""
        if self._descriptor is None or not hasattr(os, "SEEK_DATA"):
            return offset
        try:
            return os.lseek(self._descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            # ENXIO means that only a hole follows; others, that holes are not told.
            return self.size if error.errno == errno.ENXIO else offset
