"""Runs: parts of a layout whose items lie end to end, and the extents of all of them.

Of an item only the offset is held. `Run.make` makes the extents of any stretch of items, so any
number of processes can begin anywhere.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest

from attrs import frozen

from ..model.entry import File
from ..model.extent import Data, Extent, Zeros, moved

WholeFile = tuple[bytes, File]
"""Literal bytes, which may be none, and all of a file right behind them. There may be a million,
and to make the two extents that one stands for takes ten times as long.
"""

Part = Extent | WholeFile
"""What an item is made of; `extents_of` makes the extents of it."""

WORTHWHILE = 4096
"""Bytes of the shortest stretch of zeros that is worth telling."""


def extents_of(offset: int, part: Part) -> tuple[Extent, ...]:
    """The extents of a part that begins at byte `offset`."""
    if not isinstance(part, tuple):
        return (part,)
    before, file = part
    content = file.extent(offset + len(before))
    return (Data(offset, before), content) if before else (content,)


@frozen(eq=False, repr=False)
class Run:
    """Items end to end: item *i* covers bytes ``offsets[i]`` to ``offsets[i + 1]``.

    ``parts(i, j)`` gives the parts of items *i* up to, not including, *j*, in order; it must give
    the same each time. A `dense` run has no zeros of `WORTHWHILE` bytes or more, so that
    nobody need look for them.
    """

    offsets: Sequence[int]
    parts: Callable[[int, int], Iterable[Part]]
    dense: bool = False

    @classmethod
    def of(cls, *extents: Extent) -> Run:
        """A run of given extents, each of them an item. They must not be empty."""
        end = extents[-1].offset + extents[-1].length if extents else 0
        offsets = [*(extent.offset for extent in extents), end]
        return cls(offsets, lambda start, stop: extents[start:stop])

    def make(self, start: int, stop: int) -> Iterator[Extent]:
        """The extents of items `start` up to, not including, `stop`, in order."""
        at = self.offsets[start]
        for part in self.parts(start, stop):
            for extent in extents_of(at, part):
                yield extent
                at = extent.offset + extent.length

    @property
    def start(self) -> int:
        """The image's byte at which this run begins."""
        return self.offsets[0]

    @property
    def end(self) -> int:
        """The image's byte just after this run."""
        return self.offsets[-1]

    def moved(self, by: int) -> Run:
        """The same items, `by` bytes further on."""

        def parts(start: int, stop: int) -> Iterator[Part]:
            for part in self.parts(start, stop):
                yield part if isinstance(part, tuple) else moved(part, by)

        return Run(array("Q", map(by.__add__, self.offsets)), parts, self.dense)

    def large(self, least: int) -> Iterator[int]:
        """The items of at least `least` bytes."""
        offsets = self.offsets
        return (n for n in range(len(self)) if offsets[n + 1] - offsets[n] >= least)

    def __len__(self) -> int:
        """The number of items."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<Run: {len(self):,} items, bytes {self.start:,} to {self.end:,}>"


@frozen(eq=False)
class Extents:
    """The extents of a layout: to be begun again, and anywhere; equal if all their extents are."""

    _runs: tuple[Run, ...]

    def __iter__(self) -> Iterator[Extent]:
        return self.starting_at(0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extents):
            return NotImplemented
        return all(a == b for a, b in zip_longest(self, other))

    def starting_at(self, offset: int) -> Iterator[Extent]:
        """The extents from the one that covers the image's byte `offset` on."""
        for run in self._runs:
            if run.end <= offset:
                continue
            first = max(bisect_right(run.offsets, offset) - 1, 0)
            for extent in run.make(first, len(run)):
                if extent.offset + extent.length > offset:
                    yield extent

    def between(self, start: int, stop: int | None) -> Iterator[Part]:
        """The parts of the items that begin at byte `start` or later, and before `stop`.

        Of items that take no bytes, one at `stop` itself is not among them. None is no limit.
        """
        for run in self._runs:
            if run.end < start or (stop is not None and run.start >= stop):
                continue
            items = len(run)
            first = bisect_left(run.offsets, start, 0, items)
            last = items if stop is None else bisect_left(run.offsets, stop, 0, items)
            if first < last:
                yield from run.parts(first, last)


def zeros(start: int, end: int, *, free: bool = False) -> Run:
    """Zero bytes from `start` to `end`, anything if `free`; no item if there are none."""
    return Run.of(Zeros(start, end - start, free)) if end > start else Run.of()


def literal(offset: int, data: bytes) -> Run:
    """A run of literal bytes at `offset`."""
    return Run.of(Data(offset, data))
