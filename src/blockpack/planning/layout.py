"""The layout: the whole image as planned, before a byte of it is written.

A layout covers its image from byte 0 to `size` by extents, in order, without gap or overlap.
A million files make millions of extents, so they are not held but made when asked for. A
layout is a sequence of `Run`s; a run is a sequence of items (a tar member, a directory, a
stretch of the allocation table) that lie end to end. Of an item only the offset is held;
`make` gives the extents of any stretch of items. That is what lets the writer start anywhere,
several processes write at once, and `open` read any byte of an image that was never written.
"""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, BinaryIO, cast

from attrs import field, frozen

from ..model.entry import Entry
from ..model.extent import Data, Extent, Zeros
from ..reading.positional import READ_AHEAD, PositionalFile
from .layout_reader import LayoutReader

if TYPE_CHECKING:
    from .warning import LayoutWarning

Fact = int | str | bool
"""A value in `Layout.geometry`."""


@frozen(eq=False, repr=False)
class Run:
    """Items end to end: item *i* covers bytes ``offsets[i]`` to ``offsets[i + 1]``.

    ``make(i, j)`` gives the extents of items *i* up to, not including, *j*, in order; it must
    give the same ones each time.
    """

    offsets: Sequence[int]
    make: Callable[[int, int], Iterable[Extent]]

    @classmethod
    def of(cls, *extents: Extent) -> Run:
        """A run of given extents, each of them an item. They must not be empty."""
        end = extents[-1].offset + extents[-1].length if extents else 0
        offsets = [*(extent.offset for extent in extents), end]
        return cls(offsets, lambda start, stop: extents[start:stop])

    @property
    def start(self) -> int:
        """The image's byte at which this run begins."""
        return self.offsets[0]

    @property
    def end(self) -> int:
        """The image's byte just after this run."""
        return self.offsets[-1]

    def __len__(self) -> int:
        """The number of items."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<Run: {len(self):,} items, bytes {self.start:,} to {self.end:,}>"


@frozen(eq=False)
class Extents:
    """The extents of a layout: an iterable that can be begun again, and anywhere.

    Two are equal if all their extents are.
    """

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

    def between(self, start: int, stop: int | None) -> Iterator[Extent]:
        """The extents of the items that begin at byte `start` or later, and before `stop`.

        Of items that take no bytes, one at `stop` itself is not among them. None is no limit.
        """
        for run in self._runs:
            if run.end < start or (stop is not None and run.start >= stop):
                continue
            items = len(run)
            first = bisect_left(run.offsets, start, 0, items)
            last = items if stop is None else bisect_left(run.offsets, stop, 0, items)
            if first < last:
                yield from run.make(first, last)


@frozen
class Placement:
    """Where an entry's bytes lie in the image: at byte `offset`; None if it has none there."""

    entry: Entry
    offset: int | None


def _not_empty(runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple(run for run in runs if len(run))


def _nothing() -> Iterator[Placement]:
    return iter(())


@frozen(kw_only=True, eq=False)
class Layout:
    """The planned image of a volume; see the module's text. Two are equal if their bytes must be:
    of the same format, with the same geometry and extents.

    `size` and `sector_size` are in bytes. `geometry` has the format's own facts by name,
    `warnings` what a user should hear of. `placements` gives each entry and where its bytes
    are. `forkable` tells whether several processes may read the sources side by side. `claim` is
    called before the image is written; it raises what speaks against it. `title` is the format as
    people call it.

    Raises `ValueError` if the runs do not cover the image exactly.
    """

    format: str
    runs: tuple[Run, ...] = field(converter=_not_empty, repr=False)
    sector_size: int
    geometry: Mapping[str, Fact] = field(factory=dict)
    warnings: tuple[LayoutWarning, ...] = ()
    placements: Callable[[], Iterator[Placement]] = field(default=_nothing, repr=False)
    forkable: bool = True
    claim: Callable[[], object] = field(default=_nothing, repr=False)
    title: str = field()

    @title.default
    def _title_is_format(self) -> str:
        return self.format

    def __attrs_post_init__(self) -> None:
        at = 0
        for run in self.runs:
            if run.start != at:
                raise ValueError(f"a run starts at byte {run.start}, the one before ends at {at}")
            at = run.end

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        own = self.format, self.size, self.sector_size, self.geometry
        others = other.format, other.size, other.sector_size, other.geometry
        return own == others and self.extents == other.extents

    @property
    def size(self) -> int:
        """The length of the image in bytes."""
        return self.runs[-1].end if self.runs else 0

    @property
    def extents(self) -> Extents:
        """Every byte of the image, in order."""
        return Extents(self.runs)

    def open(self) -> BinaryIO:
        """The image as a seekable binary file, without its being written.

        Any number of threads may read it through `open_image`. Reading raises `SourceError` if a
        source is missing or has changed.
        """
        reader = PositionalFile(LayoutReader(self), owned=True)
        return cast(BinaryIO, io.BufferedReader(reader, READ_AHEAD))


def zeros(start: int, end: int) -> Run:
    """A run of zero bytes from `start` to `end`; without an item if that is nothing."""
    return Run.of(Zeros(start, end - start)) if end > start else Run.of()


def literal(offset: int, data: bytes) -> Run:
    """A run of literal bytes at `offset`."""
    return Run.of(Data(offset, data))


def round_up(number: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `number`."""
    return -(-number // unit) * unit
