"""A layout as a device: the image as a seekable file that is computed as it is read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, cast

from .extent import Data, Extent, FileRange, Stream, Zeros
from .layout import Layout
from .reading import check_unchanged, open_range, open_stream, read_into, read_stream

_READ_AHEAD = 128 << 10


def open_layout(layout: Layout) -> BinaryIO:
    """The image of `layout` as a buffered, seekable, read-only file."""
    return cast(BinaryIO, io.BufferedReader(LayoutFile(layout), _READ_AHEAD))


class LayoutFile(io.RawIOBase):
    """The unbuffered file behind `open_layout`.

    It remembers where in the layout the last read ended, and the last file that it opened,
    so that reading on costs no search.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout
        self._position = 0
        self._ahead: Iterator[Extent] = iter(())
        self._extent: Extent = Zeros(0, 0)
        self._file: tuple[bytes, int] | None = None
        self._stream: tuple[Stream, BinaryIO, int] | None = None

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._layout.size}
        position = base[whence] + offset
        if position < 0:
            raise ValueError(f"negative position {position}")
        self._position = position
        return position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the image goes; the number of bytes."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._layout.size - self._position)
        done = 0
        while done < wanted:
            extent = self._covering(self._position)
            skip = self._position - extent.offset
            count = min(wanted - done, extent.length - skip)
            self._read(extent, skip, view[done : done + count])
            done += count
            self._position += count
        return max(done, 0)

    def _covering(self, position: int) -> Extent:
        extent = self._extent
        if not extent.offset <= position < extent.offset + extent.length:
            extent = next((e for e in self._ahead if e.length), extent)
            if not extent.offset <= position < extent.offset + extent.length:
                self._ahead = self._layout.extents.starting_at(position)
                extent = next(self._ahead)
            self._extent = extent
        return extent

    def _read(self, extent: Extent, skip: int, view: memoryview) -> None:
        if isinstance(extent, Data):
            view[:] = extent.data[skip : skip + len(view)]
        elif isinstance(extent, Zeros):
            view[:] = bytes(len(view))
        elif isinstance(extent, FileRange):
            self._read_file(extent, skip, view)
        else:
            self._read_stream(extent, skip, view)

    def _read_file(self, extent: FileRange, skip: int, view: memoryview) -> None:
        if self._file is None or self._file[0] != extent.path:
            self._close_sources()
            self._file = extent.path, open_range(extent)
        descriptor = self._file[1]
        part = FileRange(
            extent.offset + skip,
            len(view),
            extent.path,
            extent.size,
            extent.mtime_ns,
            extent.start + skip,
        )
        read_into(descriptor, view, part)
        check_unchanged(descriptor, extent)

    def _read_stream(self, extent: Stream, skip: int, view: memoryview) -> None:
        if self._stream is None or self._stream[0] is not extent or self._stream[2] > skip:
            self._close_sources()
            self._stream = extent, open_stream(extent), 0
        stream, at = self._stream[1], self._stream[2]
        while at < skip:
            at += len(read_stream(stream, min(skip - at, 1 << 20), extent))
        done = 0
        while done < len(view):
            data = read_stream(stream, len(view) - done, extent)
            view[done : done + len(data)] = data
            done += len(data)
        self._stream = extent, stream, at + done

    def _close_sources(self) -> None:
        if self._file is not None:
            os.close(self._file[1])
            self._file = None
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    def close(self) -> None:
        """Close, and with it the source that was read last."""
        if not self.closed:
            self._close_sources()
        super().close()
