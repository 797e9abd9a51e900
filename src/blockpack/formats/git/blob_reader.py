"""A blob in an image, read as a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ...errors import ImageError
from ...reading.positional import PositionalReader
from ..reader import ImageEntry
from .pack_format import BLOB
from .store import Inflating, PackStore


class BlobReader(PositionalReader):
    """The file `entry`, a blob. To go back in it is to inflate it again, unless it is a delta."""

    def __init__(self, store: PackStore, offset: int, entry: ImageEntry) -> None:
        super().__init__(entry.size)
        self._store = store
        self._path = entry.path
        self._header = store.header(offset)
        kind, self._data = store.resolved(self._header)
        if kind != BLOB:
            raise ImageError(entry.path, "its content is an object of another type")
        self._lock = threading.Lock()
        self._stop()

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        if self._data is not None:
            view[:] = self._data[position : position + len(view)]
            return len(view)
        with self._lock:
            try:
                data = self._piece_at(position)[: len(view)]
            except ImageError as error:
                self._stop()
                raise ImageError(self._path, error.rule) from None
        view[: len(data)] = data
        return len(data)

    def _stop(self) -> None:
        """Forget the position: the next read starts again."""
        self._pieces: Iterator[bytes] = iter(())
        self._piece = b""
        self._start = self.size

    def _piece_at(self, position: int) -> bytes:
        if position < self._start:
            self._pieces = iter(Inflating(self._store, self._header))
            self._piece, self._start = b"", 0
        while position >= self._start + len(self._piece):
            self._start += len(self._piece)
            self._piece = next(self._pieces)
        return self._piece[position - self._start :]
