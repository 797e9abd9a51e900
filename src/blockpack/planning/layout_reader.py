"""A layout as a device: the image read at any position, without its being written.

Items are made when they are read. Metadata that takes its time (directories, tables) is kept, what
was used last, up to `MOST_KEPT` bytes: who reads directories and files by turns does not make it
anew each time. A few large sources stay open.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from ..model.extent import Data, Extent, FileRange, Stream, Zeros
from ..reading.extents import OpenSource, open_source, read_extent
from ..reading.positional import PositionalReader
from ..reading.recent import Recent
from .runs import Run

MOST_KEPT = 32 << 20
"""Bytes of metadata that are kept."""

MOST_OPEN = 4
"""Sources that are kept open."""

LEAST_KEPT = 1 << 10
"""Bytes of metadata that take their time to be made."""

SMALL = 64 << 10
"""Sources up to this size (bytes) are not kept open if all of them is read."""


class LayoutReader(PositionalReader):
    """The image of a layout's runs, read at any position by any thread. `forkable` is the layout's
    own, `most_kept` are bytes of metadata. Reading raises `SourceError` if a source is missing or
    has changed.
    """

    def __init__(
        self, runs: Sequence[Run], *, forkable: bool = False, most_kept: int = MOST_KEPT
    ) -> None:
        super().__init__(runs[-1].end if runs else 0)
        self.forkable = forkable
        self._runs = runs
        self._starts = [run.start for run in runs]
        self._lock = threading.Lock()
        self._kept: Recent[int, Data] = Recent(most_kept, lambda data: data.length)
        self._sources: list[OpenSource] = []
        self._process = os.getpid()

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view` with the image's bytes from `position` on; the number of bytes."""
        done = 0
        for extent in self._extents(position, position + len(view)):
            skip = position + done - extent.offset
            count = min(len(view) - done, extent.length - skip)
            if count > 0:
                self._read(extent, skip, view[done : done + count])
                done += count
        return done

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        """The extents of all items that have bytes from `start` to `end`."""
        for number in range(bisect_right(self._starts, start) - 1, len(self._runs)):
            run = self._runs[number]
            if run.start >= end:
                return
            offsets = run.offsets
            first = max(bisect_right(offsets, start) - 1, 0)
            last = bisect_left(offsets, end, first, len(run))
            for item in range(first, last):
                kept = self._kept.get(offsets[item])
                if kept is not None:
                    yield from self._made(run, first, item)
                    yield kept
                    first = item + 1
            yield from self._made(run, first, last)

    def _made(self, run: Run, first: int, last: int) -> Iterator[Extent]:
        """The extents of items of a run, of which metadata that takes its time is kept."""
        if first >= last:
            return
        for extent in run.make(first, last):
            if type(extent) is Data and extent.length >= LEAST_KEPT and _is_item(extent, run):
                self._kept.keep(extent.offset, extent)
            yield extent

    def _read(self, extent: Extent, skip: int, view: memoryview) -> None:
        """Fill `view` with the bytes of `extent` that come after its first `skip`."""
        if isinstance(extent, Data):
            view[:] = extent.data[skip : skip + len(view)]
        elif isinstance(extent, Zeros):
            view[:] = bytes(len(view))
        elif len(view) == extent.length <= SMALL:
            read_extent(extent, view)
        else:
            source = self._open(extent)
            try:
                source.read_into(view, extent.start + skip)
                source.check()
            except BaseException:
                source.close()
                raise
            with self._lock:
                self._sources.append(source)
                oldest = self._sources.pop(0) if len(self._sources) > MOST_OPEN else None
            if oldest is not None:
                oldest.close()

    def _open(self, extent: FileRange | Stream) -> OpenSource:
        """The source of `extent`, for this thread alone as long as it is not kept again."""
        with self._lock:
            if os.getpid() != self._process:  # forked: positions are shared, so they are not ours
                self._process, self._sources = os.getpid(), []
            for place, source in enumerate(self._sources):
                if source.serves(extent):
                    return self._sources.pop(place)
        return open_source(extent)

    def close(self) -> None:
        """Close the sources that are open."""
        with self._lock:
            sources, self._sources = self._sources, []
        for source in sources:
            source.close()


def _is_item(data: Data, run: Run) -> bool:
    item = bisect_right(run.offsets, data.offset) - 1
    ends = run.offsets[item], run.offsets[min(item + 1, len(run))]
    return ends == (data.offset, data.offset + data.length)
