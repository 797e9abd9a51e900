"""A layout as a device for many processes: what its items are made of is made once for all.

CPython counts the references to an object in the object itself, so a forked process gets a copy of
each page of the plan that it looks at: in the end, of all. Connections do not look at it. A process
that ends at once makes the extents that one of them asks for first, and some that follow. It puts
them as records into memory that all processes share, and metadata into a temporary file.
"""

from __future__ import annotations

import marshal
import mmap
import os
import time
from array import array
from bisect import bisect_left, bisect_right
from contextlib import suppress
from itertools import accumulate
from typing import Any

from ..errors import SourceError, TargetError
from ..model.extent import Extent, FileRange, Stream, StreamStore, Zeros
from ..planning.layout import Layout
from ..planning.layout_reader import MOST_OPEN, LayoutReader
from ..reading.extents import SOURCE_FLAGS, read_range
from ..reading.spool import Spool

_SECONDS = 0.25
"""For how long a process makes records: that of the item that was asked for, and what follows."""

_SOME = 64
"""Records that are written at once, at most."""

_TICK = 0.001
"""Seconds between two looks at what it has made."""

_BETWEEN = 8
"""Items, on average, between two places of which is known where in the table of items they are."""

_SAMPLES = 256
"""Records that are looked at, at most, to tell how much memory all will take."""

_PLAIN = 2
"""The version of marshal's format without references within a record, which take time to read."""

_LENGTH_BITS = 16
_LENGTH = (1 << _LENGTH_BITS) - 1
_UNSUITABLE = 1
"""The word of an item that has no record. That of others is start and length of the record, which
is longer; before they are made it is 0.
"""

_LARGE = 1 << 20
"""Bytes of a file from which on it stays open: one of less is read by few requests."""

_MOST_KEPT = 1 << 20
"""Bytes of metadata that a connection keeps for itself, of what has no record."""

_Values = tuple[Any, ...]
"""An extent in a record: where it ends; how much further on its bytes are in their source than in
the image; path, size and time of the file. What is no file has size 0: metadata, which is in the
spool, zeros, which have no path, and streams, of which there is more in place of a path.
"""

_SPOOL = b"spool"


class SharedReader(LayoutReader):
    """The image of `layout`, for processes forked from this one. Raises `TargetError` without room
    for a temporary file; reading raises `SourceError`.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.runs, forkable=True, most_kept=_MOST_KEPT)
        self._spool = Spool()
        self._firsts = list(accumulate((len(run) for run in layout.runs), initial=0))
        self._offsets = array("Q")
        for run in layout.runs:
            self._offsets.extend(run.offsets[:-1])
        self._offsets.append(self.size)
        self._apart = (self.size * _BETWEEN // len(self._offsets)).bit_length()
        places = range(0, self.size + (2 << self._apart), 1 << self._apart)
        self._items = array("Q", (bisect_left(self._offsets, place) for place in places))
        self._words = _memory(8 * len(self._offsets)).cast("Q")
        self._stores: list[StreamStore] = []
        """Those that samples of the streams are of."""
        self._records = _memory(self._estimate())
        self._used = _memory(8).cast("Q")  # bytes of records
        self._descriptors: dict[bytes, int] = {}
        """Of large files, by their paths; each read compares size and time with the record's."""
        self._maker = 0
        self._owner = os.getpid()

    def read_into(self, view: memoryview, position: int) -> None:
        """As any reader does. Nearly all that is served is read here, so it calls little."""
        at, end = position, position + len(view)
        place = position >> self._apart  # a search among all items would take longer
        item = bisect_right(self._offsets, position, self._items[place], self._items[place + 1]) - 1
        while True:
            word = self._words[item] or self._asked_for(item)
            item += 1
            if word <= _UNSUITABLE:
                stop = self._offsets[item]
                super().read_into(view[at - position : stop - position], at)
                at = stop
                if at >= end:
                    return
                continue
            start = word >> _LENGTH_BITS
            record = self._records[start : start + (word & _LENGTH)]
            for stop, shift, path, size, mtime_ns in marshal.loads(record):
                if stop <= at:
                    continue
                part = view
                if at > position or stop < end:
                    part = view[at - position : stop - position]
                if size > _LARGE:
                    descriptor = self._descriptors.get(path) or self._opened(path)
                    try:
                        read_range(part, path, at + shift, size, mtime_ns, descriptor)
                    except SourceError:  # what is there next may be what was planned
                        self._let_go(path)
                        raise
                elif size:
                    read_range(part, path, at + shift, size, mtime_ns)
                elif path == _SPOOL:
                    os.preadv(self._spool.descriptor, (part,), at + shift)
                elif not path:
                    part[:] = bytes(len(part))
                else:
                    store, key, name, offset, whole = path
                    where = offset, stop - offset, self._stores[store]
                    stream = Stream(*where, key, name, offset + shift, whole)
                    self._read(stream, at - offset, part)
                at = stop
                if at >= end:
                    return

    def _opened(self, path: bytes) -> int:
        """A large file, which stays open for the next read; -1 if it cannot be opened."""
        if len(self._descriptors) == MOST_OPEN:
            self._let_go(next(iter(self._descriptors)))
        with suppress(OSError):
            self._descriptors[path] = os.open(path, SOURCE_FLAGS)
        return self._descriptors.get(path, -1)

    def _let_go(self, path: bytes) -> None:
        with suppress(KeyError):
            os.close(self._descriptors.pop(path))

    # Records ----------------------------------------------------------------------------------

    def _estimate(self) -> int:
        """Bytes that all records will take, and an eighth more."""
        items = len(self._offsets) - 1
        some = range(0, items, items // _SAMPLES + 1)
        taken = 0
        for item in some:
            extents = self._extents_of(item)
            for extent in extents:
                if isinstance(extent, Stream) and extent.store not in self._stores:
                    self._stores.append(extent.store)
            taken += len(self._record(extents, 0, bytearray()))
        return taken * items // max(len(some), 1) * 9 // 8 + _LENGTH

    def _extents_of(self, item: int) -> list[Extent]:
        number = bisect_right(self._firsts, item) - 1
        first = item - self._firsts[number]
        return list(self._runs[number].make(first, first + 1))

    def _asked_for(self, item: int) -> int:
        """Have a process make the record of an item, and then some that follow; the item's word."""
        if os.getpid() == self._owner:  # before there are others
            self._make(item)
        while self._maker and not self._words[item]:
            with suppress(ChildProcessError):  # somebody else waits for all, or nobody is to
                if not os.waitpid(self._maker, os.WNOHANG)[0]:
                    time.sleep(_TICK)
                    continue
            self._maker = 0
        if self._words[item]:
            return self._words[item]
        done, making = os.pipe()
        try:
            self._maker = os.fork()
            if not self._maker:
                try:
                    self._make(item, making)
                finally:
                    os._exit(0)  # without a word, who asked reads the item by itself
        except OSError:
            return 0
        finally:
            os.close(making)
            os.read(done, 1)  # until it is closed over there, too
            os.close(done)
        return self._words[item]

    def _make(self, item: int, making: int | None = None) -> None:
        """Make a record, close `making`, and make others; without that, only the one."""
        until = time.monotonic() + _SECONDS
        number = bisect_right(self._firsts, item) - 1
        run, first, end = self._runs[number], *self._firsts[number : number + 2]
        begin, stop = item, item + 1
        while item < stop and time.monotonic() < until:
            made = [list(run.make(each, each + 1)) for each in range(item - first, stop - first)]
            os.lockf(self._spool.descriptor, os.F_LOCK, 0)
            self._words[item:stop] = self._put(made)
            os.lockf(self._spool.descriptor, os.F_ULOCK, 0)
            if making is None:
                return
            if stop == begin + 1:
                os.close(making)
            item = stop
            while stop < min(item + _SOME, end) and not self._words[stop]:
                stop += 1

    def _put(self, made: list[list[Extent]]) -> array[int]:
        """Put records of items to those that are there; their words."""
        words = array("Q")
        metadata = bytearray()
        used, end = self._used[0], self._spool.size
        for extents in made:
            record = self._record(extents, end, metadata)
            room = min(_LENGTH, len(self._records) - used)
            if not 0 < len(record) <= room:
                words.append(_UNSUITABLE)
                continue
            self._records[used : used + len(record)] = record
            words.append(used << _LENGTH_BITS | len(record))
            used += len(record)
        self._used[0] = used
        try:
            self._spool.write(metadata, end)
        except TargetError:
            return array("Q", [_UNSUITABLE]) * len(made)
        return words

    def _record(self, extents: list[Extent], end: int, metadata: bytearray) -> bytes:
        """The record of an item, if it can have one; its metadata goes behind the spool's `end`."""
        values: list[_Values] = []
        try:
            for extent in extents:
                stop, shift = extent.offset + extent.length, -extent.offset
                if isinstance(extent, FileRange):
                    shift += extent.start
                    values.append((stop, shift, extent.path, extent.size, extent.mtime_ns))
                elif isinstance(extent, Zeros):
                    values.append((stop, 0, b"", 0, 0))
                elif isinstance(extent, Stream):
                    store = self._stores.index(extent.store)
                    source = store, extent.key, extent.name, extent.offset, extent.size
                    values.append((stop, shift + extent.start, source, 0, 0))
                else:
                    values.append((stop, shift + end + len(metadata), _SPOOL, 0, 0))
                    metadata += extent.data
            return marshal.dumps(values, _PLAIN)
        except ValueError:  # no sample was of that store, or the key is a value of another kind
            return b""


def _memory(count: int) -> memoryview[int]:
    """`count` bytes of zeros that forked processes share; this one has all of them, too."""
    shared = memoryview(mmap.mmap(-1, count))
    shared[:: mmap.PAGESIZE].tolist()
    return shared
