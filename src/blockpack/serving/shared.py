"""A layout as a device for many processes: what its items are made of is made once for all.

CPython counts the references to an object in the object itself, so a forked process gets a copy of
each page of the plan that it looks at: in the end, of all. Connections do not look at it. A process
that ends at once makes the extents that one of them asks for first, and some that follow. It writes
them to a temporary file, as records, and where each record is into memory that all processes share.
"""

from __future__ import annotations

import marshal
import mmap
import os
import time
from array import array
from bisect import bisect_right
from contextlib import suppress
from itertools import accumulate
from typing import Any

from ..errors import TargetError
from ..model.extent import Data, Extent, FileRange, Zeros
from ..planning.layout import Layout
from ..planning.layout_reader import MOST_OPEN, SMALL, LayoutReader
from ..reading.extents import SOURCE_FLAGS, read_range
from ..reading.spool import Spool, SpoolWriter

_SECONDS = 0.25
"""For how long a process makes records: that of the item that was asked for, and what follows."""

_SOME = 64
"""Records that are written at once, at most."""

_TICK = 0.001
"""Seconds between two looks at what it has made."""

_LENGTH_BITS = 16
_LENGTH = (1 << _LENGTH_BITS) - 1
_UNSUITABLE = 1
"""The word of an item that has no record. That of others is start and length of the record, which
is longer; before they are made it is 0.
"""

_AT_ONCE = 32 << 10
"""Bytes of records that are read at once, and of the longest record."""

_TYPICAL = 768
"""Bytes of an ordinary record."""

_SHORT = 4 << 10
"""Bytes of metadata, at most, that are a part of their record."""

_MOST_KEPT = 1 << 20
"""Bytes of metadata that a connection keeps for itself, of what has no record."""

_Values = tuple[Any, ...]
"""An extent in a record: where it ends; how much further on its bytes are in their source than in
the image, or None for zeros; path, size and time of the file. Metadata has size 0: it is in the
spool if there is a path, and else in the record, whose end is position 0 then.
"""


class SharedReader(LayoutReader):
    """The image of `layout`, for processes that are forked from this one.

    Raises `TargetError` if there is no room for a temporary file; reading raises `SourceError` as a
    `LayoutReader` does.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout.runs, forkable=True, most_kept=_MOST_KEPT)
        self._spool = Spool()
        self._firsts = list(accumulate((len(run) for run in layout.runs), initial=0))
        self._offsets = array("Q")
        for run in layout.runs:
            self._offsets.extend(run.offsets[:-1])
        self._offsets.append(self.size)
        self._words = memoryview(mmap.mmap(-1, 8 * len(self._offsets))).cast("Q")
        self._words[:: mmap.PAGESIZE // 8].tolist()  # so the first process has the memory, too
        self._records = memoryview(bytearray(_AT_ONCE))
        self._begin = self._count = 0  # where in the spool they are, and how many bytes
        self._descriptors: dict[bytes, int] = {}
        """Of large files, by their paths; each read compares size and time with the record's."""
        self._maker = 0
        self._owner = os.getpid()

    def read_into(self, view: memoryview, position: int) -> None:
        """As any reader does. Nearly all that is served is read here, so it calls little."""
        at, end = position, position + len(view)
        item = bisect_right(self._offsets, position) - 1
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
            first = (word >> _LENGTH_BITS) - self._begin
            last = first + (word & _LENGTH)
            if first < 0 or last > self._count:
                first, last = 0, last - first
                self._begin = word >> _LENGTH_BITS
                ahead = self._records[: min(last + _TYPICAL + (end - at) // 4, _AT_ONCE)]
                self._count = os.preadv(self._spool.descriptor, (ahead,), self._begin)
            for stop, shift, path, size, mtime_ns in marshal.loads(self._records[first:last]):
                if stop <= at:
                    continue
                part = view[at - position : stop - position]
                if size > SMALL:
                    descriptor = self._descriptors.get(path) or self._opened(path)
                    read_range(part, path, at + shift, size, mtime_ns, descriptor)
                elif size:
                    read_range(part, path, at + shift, size, mtime_ns)
                elif path:
                    os.preadv(self._spool.descriptor, (part,), at + shift)
                elif shift is None:
                    part[:] = bytes(len(part))
                else:
                    start = last + at + shift
                    part[:] = self._records[start : start + len(part)]
                at = stop
                if at >= end:
                    return

    def _opened(self, path: bytes) -> int:
        """A large file, which stays open for the next read; -1 if it cannot be opened."""
        if len(self._descriptors) == MOST_OPEN:
            os.close(self._descriptors.pop(next(iter(self._descriptors))))
        with suppress(OSError):
            self._descriptors[path] = os.open(path, SOURCE_FLAGS)
        return self._descriptors.get(path, -1)

    # Records ----------------------------------------------------------------------------------

    def _asked_for(self, item: int) -> int:
        """Have a process make the record of an item, and then some that follow; the item's word."""
        if os.getpid() == self._owner:  # before there are others
            self._make(item)
        while self._maker and not self._words[item]:
            if os.waitpid(self._maker, os.WNOHANG)[0]:
                self._maker = 0
            else:
                time.sleep(_TICK)
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
            try:
                self._words[item:stop] = self._written(made)
            except TargetError:
                self._words[item:stop] = array("Q", [_UNSUITABLE]) * len(made)
            os.lockf(self._spool.descriptor, os.F_ULOCK, 0)
            if making is None:
                return
            if stop == begin + 1:
                os.close(making)
            item = stop
            while stop < min(item + _SOME, end) and not self._words[stop]:
                stop += 1

    def _written(self, made: list[list[Extent]]) -> array[int]:
        """Write the records of items to the end of the spool; their words."""
        words = array("Q")
        writer = SpoolWriter(self._spool, self._spool.size)
        for extents in made:
            short: list[bytes] = []
            values = [_values(each, writer, short) for each in extents]
            record = b"".join([marshal.dumps(values), *short])
            suitable = None not in values and len(record) <= _AT_ONCE
            words.append(writer.at << _LENGTH_BITS | len(record) if suitable else _UNSUITABLE)
            writer.put(record)
        writer.flush()
        return words


def _values(extent: Extent, writer: SpoolWriter, short: list[bytes]) -> _Values | None:
    """What a record has of an extent; None for a stream. Metadata is written before the record, or
    put first of what is `short`, which is its end.
    """
    stop = extent.offset + extent.length
    if type(extent) is FileRange:
        return stop, extent.start - extent.offset, extent.path, extent.size, extent.mtime_ns
    if type(extent) is Zeros:
        return stop, None, b"", 0, 0
    if type(extent) is not Data:
        return None
    if extent.length > _SHORT:
        start = writer.at
        writer.put(extent.data)
        return stop, start - extent.offset, b"spool", 0, 0
    short.insert(0, extent.data)
    return stop, -sum(map(len, short)) - extent.offset, b"", 0, 0
