"""A layout as a device: the image read at any position, without its being written.

Metadata (headers, directories, tables) are made when they are first read and kept, the ones that
were used last, up to `MOST_KEPT` bytes: who reads directories and files by turns does not make them
anew each time. They are made in blocks of a few items, so that who reads on has the next ones, too.
A few large sources stay open.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..model.extent import Data, Extent, Zeros
from ..reading.extents import OpenSource, open_source, read_extent
from ..reading.positional import PositionalReader
from .runs import Run

MOST_KEPT = 32 << 20
"""Bytes of metadata that are kept."""

MOST_OPEN = 4
"""Sources that are kept open."""

_BLOCK = 256 << 10
"""Bytes of the image that a block of items covers, on the average."""

_MOST_ITEMS = 128

_SMALL = 64 << 10
"""Sources up to this size (bytes) are not kept open if all of them is read."""

_EXTENT = 256
"""Bytes that an extent takes besides what is in it."""

_LARGE = 64 << 10
"""Bytes of metadata that take their time to be made."""

_Block = tuple[int, int]
"""A block: the number of its run, and its own in there."""


class LayoutReader(PositionalReader):
    """The image of a layout's runs, read at any position by any thread.

    `forkable` is the layout's own. `most_kept` are bytes of metadata.

    Reading raises `SourceError` if a source is missing or has changed.
    """

    def __init__(
        self, runs: Sequence[Run], *, forkable: bool = False, most_kept: int = MOST_KEPT
    ) -> None:
        super().__init__(runs[-1].end if runs else 0)
        self.forkable = forkable
        self._runs = runs
        self._items = [_items_of_a_block(run) for run in runs]
        self._starts = [run.start for run in runs]
        self._lock = threading.Lock()
        self._blocks: OrderedDict[_Block, list[Extent]] = OrderedDict()
        self._kept = 0
        self._most_kept = most_kept
        self._held: dict[_Block, list[Extent]] = {}
        self._sources: list[OpenSource] = []
        self._process = os.getpid()

    def keep_large(self, most: int) -> None:
        """Make large metadata now, such as big directories, and keep up to `most` bytes of it.

        Processes that are forked later share it.
        """
        for number, run in enumerate(self._runs):
            offsets, items = run.offsets, self._items[number]
            large = (n for n in range(len(run)) if offsets[n + 1] - offsets[n] >= _LARGE)
            for block in dict.fromkeys((number, n // items) for n in large):
                found = self._block(block)
                if any(type(extent) is Data and extent.length >= _LARGE for extent in found):
                    most -= _size(found)
                    if most < 0:
                        return
                    self._held[block] = found

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
        run = self._runs[number]
        first = (bisect_right(run.offsets, position) - 1) // self._items[number]
        extents = self._block((number, first))
        yield from extents[max(bisect_right(extents, position, key=_offset) - 1, 0) :]
        for later in range(number, len(self._runs)):
            blocks = -(-len(self._runs[later]) // self._items[later])
            for block in range(first + 1 if later == number else 0, blocks):
                yield from self._block((later, block))

    def _block(self, block: _Block) -> list[Extent]:
        """The extents of a block that are not empty, from what is kept if they are there."""
        with self._lock:
            found = self._held.get(block)
            if found is not None:
                return found
            found = self._blocks.get(block)
            if found is not None:
                self._blocks.move_to_end(block)
                return found
        run, items = self._runs[block[0]], self._items[block[0]]
        start = block[1] * items
        made = run.make(start, min(start + items, len(run)))
        found = [extent for extent in made if extent.length]
        with self._lock:
            if block not in self._blocks:
                self._blocks[block] = found
                self._kept += _size(found)
            while self._kept > self._most_kept and len(self._blocks) > 1:
                _, oldest = self._blocks.popitem(last=False)
                self._kept -= _size(oldest)
        return found

    def _read(self, extent: Extent, skip: int, view: memoryview) -> None:
        """Fill `view` with the bytes of `extent` that come after its first `skip`."""
        if isinstance(extent, Data):
            view[:] = extent.data[skip : skip + len(view)]
        elif isinstance(extent, Zeros):
            view[:] = bytes(len(view))
        elif len(view) == extent.length <= _SMALL:
            read_extent(extent, view)
        else:
            with self._opened(extent) as source:
                source.read_into(view, extent.start + skip)
                source.check()

    @contextmanager
    def _opened(self, extent: Extent) -> Iterator[OpenSource]:
        """The source of `extent`, for this thread alone; kept open for the next one."""
        with self._lock:
            if os.getpid() != self._process:  # forked: positions are shared, so they are not ours
                self._process, self._sources = os.getpid(), []
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


def _items_of_a_block(run: Run) -> int:
    """How many items of `run` are made at once."""
    return max(1, min(_MOST_ITEMS, len(run) * _BLOCK // max(run.end - run.start, 1)))


def _offset(extent: Extent) -> int:
    return extent.offset


def _size(extents: list[Extent]) -> int:
    return sum(_EXTENT + len(each.data) if type(each) is Data else _EXTENT for each in extents)
