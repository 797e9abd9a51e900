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
from ..planning.layout_reader import MOST_OPEN, SMALL, LayoutReader
from ..reading.extents import OpenFile, read_range
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
"""An extent in a record: offset, length; where its bytes begin, or None for zeros; path, size and
time of their file. Without a path they are in the spool; below 0 counts from the record's end.
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
        self._files: dict[tuple[bytes, int, int], OpenFile] = {}
        self._maker = 0
        self._owner = os.getpid()

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view` with the image's bytes from `position` on; the number of bytes."""
        at, end = position, position + len(view)
        item = bisect_right(self._offsets, position) - 1
        while at < end:
            word = self._words[item] or self._asked_for(item)
            item += 1
            if word <= _UNSUITABLE:
                until = min(self._offsets[item], end)
                super().pread(view[at - position : until - position], at)
                at = until
                continue
            begin = (word >> _LENGTH_BITS) - self._begin
            stop = begin + (word & _LENGTH)
            if begin < 0 or stop > self._count:
                begin, stop = self._read_records(word, end - at)
            record = marshal.loads(self._records[begin:stop])
            for offset, length, start, path, size, mtime_ns in record:
                skip = at - offset
                count = length - skip if offset + length <= end else end - at
                if count <= 0:
                    continue
                part = view[at - position : at - position + count]
                at += count
                if start is None:
                    part[:] = bytes(count)
                elif start < 0:
                    start += stop + skip
                    part[:] = self._records[start : start + count]
                elif path is None:
                    os.preadv(self._spool.descriptor, [part], start + skip)
                elif size <= SMALL:
                    read_range(part, path, start + skip, size, mtime_ns)
                else:
                    file = self._open_file(path, size, mtime_ns)
                    file.read_into(part, start + skip)
                    file.check()
        return len(view)

    def _read_records(self, word: int, length: int) -> tuple[int, int]:
        """Read the record of a word, and ahead those for `length` bytes of the image; where it
        begins and ends in the buffer.
        """
        self._begin, size = word >> _LENGTH_BITS, word & _LENGTH
        count = min(size + _TYPICAL * (1 + length // 4096), _AT_ONCE)
        self._count = os.preadv(self._spool.descriptor, [self._records[:count]], self._begin)
        return 0, size

    def _open_file(self, path: bytes, size: int, mtime_ns: int) -> OpenFile:
        """A large file, which stays open for the next read."""
        key = path, size, mtime_ns
        file = self._files.get(key)
        if file is None:
            if len(self._files) == MOST_OPEN:
                self._files.pop(next(iter(self._files))).close()
            file = self._files[key] = OpenFile.of(FileRange(0, size, *key))
        return file

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
    place = extent.offset, extent.length
    if type(extent) is FileRange:
        return *place, extent.start, extent.path, extent.size, extent.mtime_ns
    if type(extent) is Zeros:
        return *place, None, None, 0, 0
    if type(extent) is not Data:
        return None
    if extent.length > _SHORT:
        start = writer.at
        writer.put(extent.data)
    else:
        short.insert(0, extent.data)
        start = -sum(map(len, short))
    return *place, start, None, 0, 0
