"""A layout as a device: the image as a seekable file that is computed as it is read."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.extent import Data, Extent, Zeros
from ..reading.extents import InMemory, Source, open_source
from ..reading.seekable import SeekableReader
from .layout import Layout


class LayoutFile(SeekableReader):
    """The image of a layout, read at any position.

    It remembers the extents that come next and the source that it opened last, so that reading
    on costs no search. Reading raises `SourceError` if a source is missing or has changed.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.size)
        self._layout = layout
        self._ahead: Iterator[Extent] = iter(())
        self._extent: Extent = Zeros(0, 0)
        self._source: Source | None = None

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view` with the image's bytes from `position` on; the number of bytes."""
        done = 0
        while done < len(view):
            extent = self._covering(position + done)
            skip = position + done - extent.offset
            count = min(len(view) - done, extent.length - skip)
            self._read(extent, skip, view[done : done + count])
            done += count
        return done

    def _covering(self, position: int) -> Extent:
        """The extent that the byte at `position` is in."""
        extent = self._extent
        if not extent.offset <= position < extent.offset + extent.length:
            extent = next((e for e in self._ahead if e.length), extent)
            if not extent.offset <= position < extent.offset + extent.length:
                self._ahead = self._layout.extents.starting_at(position)
                extent = next(self._ahead)
            self._extent = extent
        return extent

    def _read(self, extent: Extent, skip: int, view: memoryview) -> None:
        """Fill `view` with the bytes of `extent` that come after its first `skip`."""
        if isinstance(extent, Data | Zeros):
            InMemory(extent).read_into(view, skip)
            return
        if self._source is None or not self._source.serves(extent):
            self._close_source()
            self._source = open_source(extent)
        self._source.read_into(view, extent.start + skip)
        self._source.check()

    def _close_source(self) -> None:
        source, self._source = self._source, None  # first, or an interrupt would close it twice
        if source is not None:
            source.close()

    def close(self) -> None:
        """Close, and with it the source that was read last."""
        if not self.closed:
            self._close_source()
        super().close()
