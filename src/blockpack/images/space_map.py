"""What each byte of an image is for: stretches from its first byte to its last, each of one kind.

A plan knows it, extent by extent. Of an image that is there the entries say where files lie; what
is between them is read, and what is zero there counts as free or as padding.

A map holds no more than `MOST` stretches, whatever the image. Where there are more, those shorter
than a certain length, which follows from the image's size, are put together as `mixed` ones with a
share of each kind; the long ones keep their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, groupby, islice
from math import inf
from operator import attrgetter
from typing import NamedTuple, Self, TypeVar

from attrs import frozen

from ..errors import BlockpackError
from ..formats.reader import ImageReader
from ..model.entry import File
from ..model.extent import Data, Extent, FileRange, Zeros
from ..planning.layout import CLONE_BLOCK, Layout
from ..reading.gaps import holes, with_gaps
from ..reading.lifetime import held
from ..reading.positional import PositionalReader, open_for_reading
from .image import Image
from .open_image import open_image
from .sectors import differing_sectors

KINDS = {
    "metadata": "headers, tables, directories",
    "file": "contents of files",
    "clone": "contents that can be cloned",
    "hole": "holes in files",
    "padding": "to the ends of clusters, sectors, blocks",
    "free": "nothing is in it",
    "same": "the same in both",
    "differs": "differs",
}
"""The kinds of stretches, and what each is; the last two are those of differences."""

PAYLOAD = ("file", "clone", "hole")
"""The kinds that are bytes of files."""

MOST = 20_000
"""Stretches of a map, at most."""

SECTOR = 512
"""Bytes that are the same or not, and in an image zero or not, unless it has clusters."""

_PIECE = 1 << 20
_LEAST_WITH_HOLES = 64 << 10
_FAINT = ("same", "free", "padding")
"""Kinds that show only where there is no other."""

_Item = TypeVar("_Item")


class Stretch(NamedTuple):
    """`length` bytes from `offset` on, of one kind; of the file `name`, if it is of one.

    One that is `mixed` stands for a `number` of stretches, and `shares` has the bytes of each kind.
    """

    offset: int
    length: int
    kind: str
    name: str = ""
    number: int = 1
    shares: Mapping[str, int] = {}

    @property
    def by_kind(self) -> Mapping[str, int]:
        """The bytes of each kind."""
        return self.shares or {self.kind: self.length}


class _Placed(NamedTuple):
    start: float
    stop: float
    name: str


_NOTHING = _Placed(inf, inf, "")


@frozen
class SpaceMap:
    """The map of an image of `size` bytes; `totals` has the bytes of each kind."""

    name: str
    format: str
    size: int
    totals: Mapping[str, int]
    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, what: Layout | Image, name: str) -> Self:
        """The map of a planned image, or of one that is there. Raises `ImageError` if it cannot be
        read, and `SourceError` if a source of git objects cannot.
        """
        return cls._made(name, what.format, what.size, stretches(what))

    @classmethod
    def of_differences(cls, one: PositionalReader, other: PositionalReader) -> Self:
        """In which sectors two images differ; what only the larger has does."""
        size = max(one.size, other.size)
        sectors = differing_sectors(one, other, SECTOR)
        differing = ((first * SECTOR, min((last + 1) * SECTOR, size)) for first, last in sectors)
        found = (
            Stretch(begin, end - begin, "differs" if differs else "same")
            for begin, end, differs in with_gaps(differing, 0, size)
        )
        return cls._made("differences", "", size, found)

    @classmethod
    def _made(cls, name: str, format: str, size: int, found: Iterable[Stretch]) -> Self:
        totals: Counter[str] = Counter()

        def counted() -> Iterator[Stretch]:
            for stretch in found:
                totals[stretch.kind] += stretch.length
                yield stretch

        kept = tuple(bounded(counted(), size))
        return cls(name, format, size, {kind: totals[kind] for kind in KINDS if totals[kind]}, kept)

    def cells(self, length: int) -> list[str]:
        """The kind that each cell of `length` bytes shows: what it has most of, and what is free
        only where there is nothing else.
        """
        found: list[Counter[str]] = [Counter() for _ in range(-(-self.size // length))]
        for stretch in self.stretches:
            at, end = stretch.offset, stretch.offset + stretch.length
            while at < end:
                stop = min(end, at - at % length + length)
                for kind, share in stretch.by_kind.items():
                    found[at // length][kind] += share * (stop - at) // stretch.length + 1
                at = stop
        return [max(cell, key=lambda kind: (kind not in _FAINT, cell[kind])) for cell in found]


def share(part: int, whole: int) -> str:
    """How much `part` is of the `whole`, for people."""
    percent = 100 * part / whole
    return "< 0.1 %" if percent < 0.05 else f"{percent:.1f} %"


def stretches(what: Layout | Image) -> Iterator[Stretch]:
    """The whole image, in order, without gap or overlap; neighbours differ in kind or name."""
    if isinstance(what, Image):
        yield from _joined(_of_image(what))
        return
    placed = _placed(what)
    if not placed and any(isinstance(p.entry, File) for p in what.placements()):
        with open_image(what) as image:  # its files are packed, and the image knows where
            yield from _joined(_of_image(image))
    else:
        yield from _joined(_of_layout(what, placed))


def bounded(found: Iterable[Stretch], size: int, most: int = MOST) -> Iterator[Stretch]:
    """Stretches that cover `size` bytes, and no more than `most` (at least 3) of them."""
    rest = iter(found)
    first = list(islice(rest, most + 1))
    if len(first) <= most:
        yield from first
        return
    # Those that are as long, and mixed ones that grew as long, are at most (most - 1) / 2; before
    # each of the former, and at the end, there may be a mixed one that is shorter.
    long = 2 * size // (most - 1) + 1
    small: list[Stretch] = []
    length = 0
    for stretch in chain(first, rest):
        if small and (stretch.length >= long or length >= long):
            yield _mixed(small, length)
            small, length = [], 0
        if stretch.length >= long:
            yield stretch
        else:
            small.append(stretch)
            length += stretch.length
    if small:
        yield _mixed(small, length)


def _mixed(small: list[Stretch], length: int) -> Stretch:
    if len(small) == 1:
        return small[0]
    shares: Counter[str] = Counter()
    for stretch in small:
        shares[stretch.kind] += stretch.length
    names = [stretch.name for stretch in small if stretch.name]
    name = "" if not names else names[0] if names[0] == names[-1] else f"{names[0]} … {names[-1]}"
    return Stretch(small[0].offset, length, "mixed", name, len(small), dict(shares))


def _joined(found: Iterable[Stretch]) -> Iterator[Stretch]:
    """The same with neighbours of one kind and name as one."""
    at = 0
    some = (each for each in found if each.length)
    for (kind, name), alike in groupby(some, key=attrgetter("kind", "name")):
        length = sum(each.length for each in alike)
        yield Stretch(at, length, kind, name)
        at += length


def _cut(
    pieces: Iterable[tuple[int, int, _Item]], files: Iterable[_Placed]
) -> Iterator[tuple[int, int, _Item, str]]:
    """Pieces (begin, end) cut where files begin and end, with the name of the one that is there.

    Files are in the order of their begins; of those that overlap the first has its bytes whole.
    """
    ahead = iter(files)
    file = next(ahead, _NOTHING)
    for at, end, item in pieces:
        while at < end:
            while file.stop <= at:
                file = next(ahead, _NOTHING)
            inside = file.start <= at
            stop = int(min(end, file.stop if inside else file.start))
            yield at, stop, item, file.name if inside else ""
            at = stop


# Of a plan ----------------------------------------------------------------------------------------


def _placed(layout: Layout) -> list[_Placed]:
    found = []
    for each in layout.placements():
        if isinstance(each.entry, File):
            whole = () if each.offset is None else ((each.offset, each.entry.size),)
            found += [_Placed(at, at + n, each.entry.path) for at, n in each.pieces or whole]
    return sorted(found)


def _of_layout(layout: Layout, files: Iterable[_Placed]) -> Iterator[Stretch]:
    pieces = ((each.offset, each.offset + each.length, each) for each in layout.extents)
    last = "metadata"
    for start, stop, extent, name in _cut(pieces, files):
        if isinstance(extent, Data) and not name and last in PAYLOAD:  # the end of a tar's block
            end = min(stop, start - start % -SECTOR)
            if not any(extent.data[start - extent.offset : end - extent.offset]):  # or an inode
                yield Stretch(start, end - start, "padding")
                start = end
        last = _kind(extent, name, last)
        whole = Stretch(start, stop - start, last, name)
        if isinstance(extent, FileRange) and whole.length >= _LEAST_WITH_HOLES:
            # That a source is not there is for whoever reads it to say.
            with suppress(BlockpackError), held(open_for_reading(extent.path, "")) as descriptor:
                yield from _holed(whole, descriptor, extent.start + start - extent.offset)
                continue
        yield whole


def _kind(extent: Extent, name: str, last: str) -> str:
    """The kind of an extent in the file `name`, or in none, after one of the kind `last`."""
    if isinstance(extent, Zeros):
        if name:
            return "hole"
        if extent.free:
            return "free"
        return "padding" if last in PAYLOAD else "metadata"
    if isinstance(extent, Data):
        return "file" if name else "metadata"
    if isinstance(extent, FileRange) and not (extent.offset | extent.start) % CLONE_BLOCK:
        return "clone" if extent.length >= CLONE_BLOCK else "file"
    return "file"


# Of an image --------------------------------------------------------------------------------------


def _of_disk(image: Image) -> Iterator[Stretch]:
    """A disk: each partition as the image that it is, or else as one file."""
    reader = image.reader
    at = 0
    for partition in sorted(image.partitions, key=lambda each: each.entry.start):
        start, size = partition.entry.start, partition.data.size
        if start < at or not size or partition.entry.is_extended:
            continue
        yield from _between(reader, at, start, 0, SECTOR, "free")
        if partition.reader is None:
            yield from _with_holes(reader.data, Stretch(start, size, "file", partition.label))
        else:
            for stretch in _of_image(Image(partition.reader)):
                name = f"{partition.label}/{stretch.name}" if stretch.name else ""
                yield stretch._replace(offset=start + stretch.offset, name=name)
        at = start + size
    yield from _between(reader, at, reader.size, 0, SECTOR, "free")


def _of_image(image: Image) -> Iterator[Stretch]:
    if image.partitions:
        yield from _of_disk(image)
        return
    reader, facts = image.reader, image.info()
    first, unit = int(facts.get("data_offset", 0)), int(facts.get("cluster_size", SECTOR))
    is_packed = "pack_offset" in facts
    files = sorted(
        _Placed(offset, offset + length, entry.path)
        for entry in image.entries.values()
        if entry.kind == "file"
        for offset, length in reader.stored(entry)
        if offset is not None and length
    )
    after_file = False
    for start, stop, _, name in _cut([(0, reader.size, None)], files):
        if name:
            yield from _with_holes(reader.data, Stretch(start, stop - start, "file", name))
        else:
            end = min(stop, start + (first - start) % unit) if after_file else start
            if any(reader.read_at(start, end - start)):  # as behind the tail of a file in EROFS
                end = start
            yield Stretch(start, end - start, "padding")
            zero = "free" if first or (stop == reader.size and not is_packed) else "padding"
            yield from _between(reader, end, stop, first, unit, zero)
        after_file = bool(name) and not is_packed


def _between(
    reader: ImageReader, start: int, stop: int, first: int, unit: int, zero: str
) -> Iterator[Stretch]:
    """What is in no file: before `first` metadata; then, by `unit` bytes, zeros of the kind `zero`
    or metadata.
    """
    yield Stretch(start, max(0, min(first, stop) - start), "metadata")
    start = max(start, first)
    while start < stop:
        end = min(stop, start + _PIECE + (first - start) % unit)
        data = reader.read_at(start, end - start)
        step = len(data) if data.count(0) == len(data) else unit
        at = 0
        while at < len(data):
            to = min(len(data), at + step - (start + at - first) % unit)
            part = data[at:to]
            yield Stretch(start + at, to - at, "metadata" if any(part) else zero)
            at = to
        start = end


def _with_holes(data: PositionalReader, whole: Stretch) -> Iterator[Stretch]:
    """A stretch of `data` without the holes that its file has there, and these."""
    file = data.in_file()
    if file and whole.length >= _LEAST_WITH_HOLES:
        yield from _holed(whole, file[0].descriptor, file[1] + whole.offset)
    else:
        yield whole


def _holed(whole: Stretch, descriptor: int, begin: int) -> Iterator[Stretch]:
    """A stretch that lies in a file from byte `begin` on, without the holes there, and these."""
    for start, end, is_hole in with_gaps(
        holes(descriptor, begin + whole.length, begin), begin, begin + whole.length
    ):
        kind = "hole" if is_hole else whole.kind
        yield whole._replace(offset=whole.offset + start - begin, length=end - start, kind=kind)
