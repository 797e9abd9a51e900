"""Layouts whose every byte can be had at once: large streams wait in a temporary file.

A large blob of a repository is inflated from its beginning to whatever is read of it. A copy of it
takes that once, and clients read as they like, where each read would take it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from attrs import evolve

from ..model.extent import Extent, Stream
from ..planning.layout import Layout
from ..reading.extents import open_source
from ..reading.spool import Spool

LARGE = 1 << 20
"""Bytes from which a stream is copied; what is smaller is read whole, each time."""

_PIECE = 256 << 10

_Places = dict[Stream, int]
"""Where in the spool a stream begins, as it is as a whole."""


def seekable(layout: Layout) -> Layout:
    """The same image without large streams. Raises `SourceError`, and `TargetError` for no room."""
    large = {
        _whole(extent)
        for run in layout.runs
        for item in run.large(LARGE)
        for extent in run.make(item, item + 1)
        if type(extent) is Stream and extent.size >= LARGE
    }
    if not large:
        return layout
    spool, places = Spool(), _Places()
    at = 0
    for stream in sorted(large, key=lambda each: each.name):
        places[stream] = at
        at = _copy(stream, spool, at)
    return evolve(
        layout,
        runs=tuple(
            evolve(run, parts=partial(_replaced, run.make, spool, places)) for run in layout.runs
        ),
    )


def _whole(extent: Stream) -> Stream:
    return evolve(extent, offset=0, start=0, length=extent.size)


def _copy(stream: Stream, spool: Spool, at: int) -> int:
    """Copy a stream to byte `at` of the spool on; the byte after it."""
    buffer = memoryview(bytearray(_PIECE))
    with open_source(stream) as source:
        for position in range(0, stream.size, _PIECE):
            view = buffer[: min(_PIECE, stream.size - position)]
            source.read_into(view, position)
            spool.write(bytes(view), at + position)
        source.check()
    return at + stream.size


def _replaced(
    make: Callable[[int, int], Iterable[Extent]], spool: Spool, places: _Places, i: int, j: int
) -> Iterator[Extent]:
    for extent in make(i, j):
        at = places.get(_whole(extent)) if type(extent) is Stream else None
        if at is None or not isinstance(extent, Stream):
            yield extent
        else:
            yield spool.extent(extent.offset, extent.length, at + extent.start)
