"""The layout: the whole image as planned, before a byte of it is written.

A layout covers its image from byte 0 to `size` by extents, in order, without gap or overlap.
A million files make millions of extents, so they are not held but made when asked for. A
layout is a sequence of runs (`runs`), whose items are a tar member, a directory or a stretch of a
table each. That is what lets the writer start anywhere, several processes write at once, and
`open` read any byte of an image that was never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple

from attrs import field, frozen

from ..errors import UsageError, printable
from ..model.entry import Entry
from ..model.extent import Zeros
from .layout_reader import LayoutReader
from .runs import Extents, Run

CLONE_BLOCK = 4096
"""The block size of file systems that clone, in bytes; where it is larger, they refuse."""

WORTH_CLONING = 64 << 10
"""Extents from this size on (bytes) are cloned where they can be, so they are laid out for it and
not gathered with others.
"""

Fact = int | str | bool
"""A value in `Layout.geometry`."""


class LayoutWarning(NamedTuple):
    """What a user should hear of a layout, though the image can be written: the entry's `path`
    (empty for the image as a whole), a `code` that scripts can rely on (docs/warnings.md has all),
    and the `text`.
    """

    path: str
    code: str
    text: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{printable(where + self.text)} [{self.code}]"


class Placement(NamedTuple):
    """Where an entry's bytes lie in the image: from byte `offset` on if they are in one piece; if
    they are in several, `offset` is None, and `pieces` has the (offset, length) of each. An entry
    without bytes of its own in the image has neither.
    """

    entry: Entry
    offset: int | None
    pieces: tuple[tuple[int, int], ...] = ()

    def moved(self, by: int) -> Placement:
        """The same, `by` bytes further on."""
        offset = None if self.offset is None else self.offset + by
        return Placement(self.entry, offset, tuple((at + by, n) for at, n in self.pieces))


def _not_empty(runs: Iterable[Run]) -> tuple[Run, ...]:
    return tuple(run for run in runs if len(run))


def _nothing() -> Iterator[Placement]:
    return iter(())


@frozen(kw_only=True, eq=False)
class Layout:
    """The planned image of a volume: every byte of it, before one is written. Two are equal if
    their bytes must be: of the same format, with the same geometry and extents.

    `size` and `sector_size` are in bytes, and so is `largest_sector`: readers do not find it on a
    device of larger ones. `geometry` has the format's own facts by name, `warnings` what a user
    should hear of. `placements` gives each entry and where its bytes are. `forkable` tells whether
    several processes may read the sources side by side. `claim` is called before the image is
    written, and may raise an error. `layer_refused` is why no layer, such as encryption, may be
    around it. `title` is the format as people call it.

    Raises `ValueError` if the runs do not cover the image exactly.
    """

    format: str
    runs: tuple[Run, ...] = field(converter=_not_empty, repr=False)
    sector_size: int
    largest_sector: int = 4096
    geometry: Mapping[str, Fact] = field(factory=dict)
    warnings: tuple[LayoutWarning, ...] = ()
    placements: Callable[[], Iterator[Placement]] = field(default=_nothing, repr=False)
    forkable: bool = True
    claim: Callable[[], object] = field(default=_nothing, repr=False)
    layer_refused: UsageError | None = field(default=None, repr=False)
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

    def zeros(self, *, free: bool = False) -> Iterator[tuple[int, int]]:
        """Where it has zeros, in order, as begins and ends; or only those that are `free`."""
        for run in self.runs:
            if not run.dense:  # a million items may be without any worth telling
                for extent in run.make(0, len(run)):
                    if type(extent) is Zeros and extent.free >= free:
                        yield extent.offset, extent.offset + extent.length

    def open(self) -> BinaryIO:
        """The image as a seekable binary file, without its being written.

        Any number of threads may read it through `open_image`. Reading raises `SourceError` if a
        source is missing or has changed.
        """
        return LayoutReader(self.runs, forkable=self.forkable).file(owned=True)


def round_up(number: int, unit: int) -> int:
    """The least multiple of `unit` that is not below `number`."""
    return -(-number // unit) * unit
