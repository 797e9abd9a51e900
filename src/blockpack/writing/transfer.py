"""Walking extents: small ones are gathered in one buffer, large ones go their own way.

Rule 1: memory is one buffer, for any sizes.
Rule 2: bytes leave in order and the buffer is written when the next extent does not fit, so
that a thousand small files are one system call.
Rule 3: a large range of a file is left to the target, which knows what the kernel offers.
Rule 4: an extent begins where the one before ends, and the last one ends where it should. A layout
in which one does not is wrong, and is not written on.
"""

from __future__ import annotations

from typing import Self

from ..model.extent import Data, Extent, FileRange, Stream, Zeros
from ..planning.layout import WORTH_CLONING, Layout
from ..planning.runs import extents_of
from ..reading.extents import OpenFile, OpenSource, open_source, read_extent, read_file
from ..workers.sharing import Advance
from .targets import Copying, Span, Target

BUFFER = 1 << 20
"""Bytes gathered before they are written: past this, larger writes gain nothing."""


class Transfer:
    """Writes extents to one target, through one buffer; a context manager.

    A stream of which there is more to come stays open until then, so that it is read once. So does
    a large file that small extents are parts of, an archive: the next one is a part of it, too.
    """

    def __init__(self, target: Target, advance: Advance) -> None:
        self._target = target
        self._advance = advance
        self._copying = Copying.by(advance, BUFFER)
        self._buffer = self._copying.buffer
        self._start = 0  # the image's offset of the buffer's first byte
        self._fill = 0
        self._source: OpenSource | None = None  # of which there may be more to come

    def run(self, layout: Layout, start: int = 0, stop: int | None = None) -> None:
        """Write the items of `layout` that begin at byte `start` or later, and before `stop`.

        None is no limit. Raises `SourceError` or `TargetError`, naming what failed, and
        `ValueError` for extents that do not lie end to end from `start` to `stop`.
        """
        self._fill = 0
        buffer = self._buffer
        position = start
        for part in layout.extents.between(start, stop):
            if not isinstance(part, tuple):
                position = self._extent(part, position)
                continue
            before, file = part  # there may be a million: without a call more
            size = file.size
            fill = self._fill
            if fill + len(before) + size > BUFFER:
                self._flush()
                fill = 0
            middle = fill + len(before)
            end = middle + size
            if size < WORTH_CLONING and read_file(file, buffer[middle:end]):
                if not fill:
                    self._start = position
                buffer[fill:middle] = before
                self._fill = end
                position += end - fill
            else:
                for extent in extents_of(position, part):
                    position = self._extent(extent, position)
        end = layout.size if stop is None else stop
        if position != end:
            raise ValueError(f"the last extent ends at byte {position}, not at {end}")
        self._flush()
        if isinstance(self._source, OpenFile):
            self._source.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _extent(self, extent: Extent, position: int) -> int:
        """Write the extent that is to be at `position`; where it ends."""
        # A property is a call, of which there are a million.
        length = len(extent.data) if type(extent) is Data else extent.length
        if extent.offset != position:
            raise ValueError(f"an extent begins at byte {extent.offset}, not at {position}")
        if length >= WORTH_CLONING:
            self._flush()
            self._large(extent)
            return position + length
        if self._fill + length > BUFFER:
            self._flush()
        if not self._fill:
            self._start = extent.offset
        view = self._buffer[self._fill : self._fill + length]
        if type(extent) is FileRange and extent.size > BUFFER:
            self._opened(extent).read_into(view, extent.start)
        else:
            read_extent(extent, view)
        self._fill += length
        return position + length

    def _flush(self) -> None:
        if self._fill:
            self._target.write(self._buffer[: self._fill], self._start)
            self._advance(self._fill)
            self._fill = 0

    def _large(self, extent: Extent) -> None:
        if type(extent) is Data:
            self._target.write(memoryview(extent.data), extent.offset)
            self._advance(extent.length)
        elif type(extent) is FileRange:
            with OpenFile.of(extent) as file:
                file.check()
                span = Span(extent.start, extent.length, extent.offset)
                self._target.copy(file, span, self._copying)
                file.check()
        elif type(extent) is Zeros:
            self._target.zeros(extent.offset, extent.length, free=extent.free)
            self._advance(extent.length)
        elif type(extent) is Stream:
            self._copy_stream(extent)

    def _copy_stream(self, extent: Stream) -> None:
        stream = self._opened(extent)
        for done in range(0, extent.length, BUFFER):
            view = self._buffer[: min(BUFFER, extent.length - done)]
            stream.read_into(view, extent.start + done)
            self._target.write(view, extent.offset + done)
            self._advance(len(view))
        stream.check()
        if extent.start + extent.length >= extent.size:
            self._close()

    def _opened(self, extent: FileRange | Stream) -> OpenSource:
        """The source of `extent`: the open one, if it serves. Another one is as it was planned."""
        if self._source is None or not self._source.serves(extent):
            if self._source is not None:
                self._source.check()
            self._close()
            self._source = open_source(extent)
            self._source.check()
        return self._source

    def _close(self) -> None:
        source, self._source = self._source, None  # first, or an interrupt would close it twice
        if source is not None:
            source.close()
