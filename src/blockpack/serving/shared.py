"""A layout as a device for many processes: what its items are made of is made once for all.

CPython counts the references to an object in the object itself, so a forked process gets a copy of
each page of the plan that it looks at: in the end, of all. Connections do not look at it. A process
that ends at once makes the extents that one of them asks for first, and what follows; it writes
them to a temporary file, and where they are there into memory that all processes share.
"""

from __future__ import annotations

import marshal
import mmap
import os
import time
from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import Any

from ..errors import TargetError
from ..model.extent import Data, Extent, FileRange, Zeros
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.extents import OpenFile, read_extent
from ..reading.spool import Spool, SpoolWriter

_SECONDS = 0.25
"""For how long a process makes records: that of the item that was asked for, and what follows."""

_SOME = 64
"""Records that are written at once, at most."""

_TICK = 0.001
"""Seconds between two looks at what it has made."""

_LENGTH_BITS = 16
_UNSUITABLE = 1
"""The word of an item that has no record. That of others is start and length of the record, which
is longer; before they are made it is 0.
"""

_AT_ONCE = 32 << 10
"""Bytes of records that are read at once, and of the longest record."""

_TYPICAL = 768
"""Bytes of an ordinary record, with those that follow it."""

_SMALL = 64 << 10
"""Files of more than this size (bytes) stay open for the next read."""

_MOST_KEPT = 1 << 20
"""Bytes of metadata that a connection keeps for itself, of what has no record."""

_Values = tuple[Any, ...]
"""An extent in a record: offset, length; unless it is zeros, where its bytes begin, in the file or
after the record; and path, size and time of a file.
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
        self._zeros = memoryview(bytes(_AT_ONCE))
        self._begin = self._end = 0  # where they begin and end in the spool
        self._file: OpenFile | None = None
        self._maker = 0
        self._owner = os.getpid()

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view` with the image's bytes from `position` on; the number of bytes."""
        end = position + len(view)
        item = bisect_right(self._offsets, position) - 1
        at = position
        while at < end:
            word = self._words[item] or self._asked_for(item)
            item += 1
            if word <= _UNSUITABLE:
                until = min(self._offsets[item], end)
                super().pread(view[at - position : until - position], at)
                at = until
                continue
            start, length = word >> _LENGTH_BITS, word & (1 << _LENGTH_BITS) - 1
            stop = start + length
            if start < self._begin or stop > self._end:
                ahead = _TYPICAL * (1 + max(end - self._offsets[item], 0) // 4096)
                count = min(length + ahead, _AT_ONCE)
                count = os.preadv(self._spool.descriptor, [self._records[:count]], start)
                self._begin, self._end = start, start + count
            record = self._records[start - self._begin : stop - self._begin]
            for values in marshal.loads(record):
                skip = at - values[0]
                count = min(values[1] - skip, end - at)
                if count > 0:
                    self._take(values, skip, stop, view[at - position : at - position + count])
                    at += count
        return len(view)

    def _take(self, values: _Values, skip: int, stop: int, view: memoryview) -> None:
        """Fill `view` with the bytes of an extent after its first `skip`; its record ends at `stop`
        of the spool, where those begin that it has itself.
        """
        if len(values) == 6:
            _, _, start, path, size, mtime_ns = values
            extent = FileRange(0, len(view), path, size, mtime_ns, start + skip)
            if size <= _SMALL:
                read_extent(extent, view)
            else:
                self._read_large(extent, view)
        elif len(values) == 2:
            count = len(view)
            view[:] = self._zeros[:count] if count <= _AT_ONCE else bytes(count)
        else:
            start = values[2] + stop + skip
            at = start - self._begin
            if at >= 0 and start + len(view) <= self._end:
                view[:] = self._records[at : at + len(view)]
            else:
                os.preadv(self._spool.descriptor, [view], start)

    def _read_large(self, extent: FileRange, view: memoryview) -> None:
        """Fill `view` with the bytes of `extent`, whose file stays open for the next read."""
        file, self._file = self._file, None
        if file is not None and not file.serves(extent):
            file.close()
            file = None
        file = file or OpenFile.of(extent)
        try:
            file.read_into(view, extent.start)
            file.check()
        except BaseException:
            file.close()
            raise
        self._file = file

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
            data: list[bytes] = []
            values = [_values(each, data) for each in extents]
            record = marshal.dumps(values)
            suitable = None not in values and len(record) <= _AT_ONCE
            words.append(writer.at << _LENGTH_BITS | len(record) if suitable else _UNSUITABLE)
            for each in (record, *data):
                writer.put(each)
        writer.flush()
        return words


def _values(extent: Extent, data: list[bytes]) -> _Values | None:
    """What a record has of an extent, whose bytes, if it has them, are added to `data`; None for a
    stream.
    """
    if type(extent) is FileRange:
        source: _Values = extent.start, extent.path, extent.size, extent.mtime_ns
    elif type(extent) is Data:
        source = (sum(map(len, data)),)
        data.append(extent.data)
    elif type(extent) is Zeros:
        source = ()
    else:
        return None
    return extent.offset, extent.length, *source
