"""A layout as a device: the image read at any position, without its being written.

Metadata (headers, directories, tables) are made when they are first read and kept, the ones that
were used last, up to `MOST_KEPT` bytes: who reads directories and files by turns does not make them
anew each time. So are a few sources open.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..model.extent import Data, Extent, Zeros
from ..reading.extents import InMemory, Source, open_source
from ..reading.positional import PositionalReader

if TYPE_CHECKING:
    from .layout import Layout

MOST_KEPT = 32 << 20
"""Bytes of metadata that are kept."""

MOST_OPEN = 4
"""Sources that are kept open."""

_EXTENT = 256
"""Bytes that an extent takes besides what is in it."""

_Item = tuple[int, int]
"""An item of a layout: the number of its run, and its own in there."""


class LayoutReader(PositionalReader):
    """The image of a layout, read at any position by any thread.

    Reading raises `SourceError` if a source is missing or has changed.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.size)
        self._runs = layout.runs
        self._starts = [run.start for run in layout.runs]
        self._lock = threading.Lock()
        self._items: OrderedDict[_Item, list[Extent]] = OrderedDict()
        self._kept = 0
        self._sources: list[Source] = []

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view` with the image's bytes from `position` on; the number of bytes."""
        done = 0
        for extent in self._extents_from(position):
            skip = position + done - extent.offset
            count = min(len(view) - done, extent.length - skip)
            self._read(extent, skip, view[done : done + count])
            done += count
            if done == len(view):
                break
        return done

    def _extents_from(self, position: int) -> Iterator[Extent]:
        """The extents from the one that covers the byte `position` on, but for empty ones."""
        number = bisect_right(self._starts, position) - 1
        for run_number in range(number, len(self._runs)):
            run = self._runs[run_number]
            first = max(bisect_right(run.offsets, position) - 1, 0) if run_number == number else 0
            for item in range(first, len(run)):
                for extent in self._item((run_number, item)):
                    if extent.length and extent.offset + extent.length > position:
                        yield extent

    def _item(self, item: _Item) -> list[Extent]:
        """The extents of an item, from what is kept if they are there."""
        with self._lock:
            found = self._items.get(item)
            if found is not None:
                self._items.move_to_end(item)
                return found
        run, number = item
        found = list(self._runs[run].make(number, number + 1))
        with self._lock:
            if item not in self._items:
                self._items[item] = found
                self._kept += _size(found)
            while self._kept > MOST_KEPT and len(self._items) > 1:
                _, oldest = self._items.popitem(last=False)
                self._kept -= _size(oldest)
        return found

    def _read(self, extent: Extent, skip: int, view: memoryview) -> None:
        """Fill `view` with the bytes of `extent` that come after its first `skip`."""
        if isinstance(extent, Data | Zeros):
            InMemory(extent).read_into(view, skip)
            return
        with self._opened(extent) as source:
            source.read_into(view, extent.start + skip)
            source.check()

    @contextmanager
    def _opened(self, extent: Extent) -> Iterator[Source]:
        """The source of `extent`, for this thread alone; kept open for the next one."""
        with self._lock:
            place = next((n for n, each in enumerate(self._sources) if each.serves(extent)), None)
            source = None if place is None else self._sources.pop(place)
        if source is None:
            source = open_source(extent)
        try:
            yield source
        except BaseException:
            source.close()
            raise
        with self._lock:
            self._sources.append(source)
            oldest = self._sources.pop(0) if len(self._sources) > MOST_OPEN else None
        if oldest is not None:
            oldest.close()

    def close(self) -> None:
        """Close the sources that are open."""
        with self._lock:
            sources, self._sources = self._sources, []
        for source in sources:
            source.close()


def _size(extents: list[Extent]) -> int:
    return sum(_EXTENT + len(each.data) if type(each) is Data else _EXTENT for each in extents)
