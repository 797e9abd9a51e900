"""Comparing an image with what it should be: a plan, or another image.

A plan says every byte that an image should have. So the short way is to write the plan to a target
that compares instead, by several processes if that pays: equal bytes are equal images. Only where
they differ, or the sizes do, is the long way gone: both sides are read by their formats' readers,
and compared entry by entry. So both have a format's own view: FAT's times in steps of two seconds,
links as files where there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

from attrs import frozen

from ..errors import ImageError, printable
from ..formats.reader import ImageEntry, differing
from ..planning.layout import Layout
from ..reading.gaps import holes, with_gaps
from ..reading.positional import BytesReader, PositionalReader
from ..reading.window import AHEAD, Window
from ..workers.pool import lost_process, shared_out
from ..workers.processors import Jobs
from ..workers.sharing import jobs_for, stretches
from ..writing.parallel import write_with
from ..writing.progress import Meter, Tell
from ..writing.targets import COPIED_AT_ONCE, Copyable, Copying, Span, Target
from .image import Image
from .open_image import open_image
from .sectors import differing_sectors


@frozen
class Difference:
    """What is not the same about the entry `path` (empty for the image as a whole)."""

    path: str
    what: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.what}" if self.path else self.what)


def compare(
    image: Image | Layout, other: Image | Layout, *, jobs: Jobs = 1, progress: Tell | None = None
) -> list[Difference]:
    """How `image` differs from what it should be, `other`: in entries, kinds, sizes and bytes.

    Images of one format are compared in times, permissions and owners, too. `jobs` is the number of
    processes, or ``auto``: as many as pay. `progress` is called a few times a second; where there
    are differences, "comparing files" comes after "comparing".

    Raises `ImageError` if nothing can be read of one of the two, and `SourceError` if a source of a
    layout is missing or has changed.
    """
    with _opened(image) as opened:
        if isinstance(other, Layout) and has_the_bytes(opened, other, jobs, progress):
            return []
        return differences(opened, other, jobs, progress)


def differences(
    image: Image, other: Image | Layout, jobs: Jobs = 1, progress: Tell | None = None
) -> list[Difference]:
    """`compare` by the long way alone."""
    with _opened(other) as opened:
        return list(_differences(image, opened, jobs, progress))


def _opened(image: Image | Layout) -> AbstractContextManager[Image]:
    return open_image(image) if isinstance(image, Layout) else nullcontext(image)


ANYWHERE = ("kind", "size", "target")
"""What entries of any two formats are compared in."""

_TOLD = {
    "kind": "is a {0.kind}, and should be a {1.kind}",
    "size": "has {0.size:,} bytes, and should have {1.size:,}",
    "target": "leads to {0.target}, and should lead to {1.target}",
    "mtime_ns": "has another time than the source would get",
    "mode": "the mode differs: it is {0.mode:04o}, and should be {1.mode:04o}",
    "owner": "the owner differs: it is {0.uid}:{0.gid}, and should be {1.uid}:{1.gid}",
}
"""How it is told that an entry is not the same."""


_LOST = lost_process("a comparing process", "the image was not compared")


class _Differs(Exception):
    """Bytes are not those of the plan."""


def has_the_bytes(
    image: Image, layout: Layout, jobs: Jobs = 1, progress: Tell | None = None
) -> bool:
    """Whether the image has all bytes of `layout`, and no others. Raises `SourceError`."""
    data = image.reader.data
    if data.size != layout.size and not (image.reader.device and data.size > layout.size):
        return False
    meter = Meter("comparing", layout.size, progress)
    try:
        write_with(layout, _Compared(data), jobs if data.forkable else 1, meter.advance, _LOST)
    except (_Differs, ImageError):
        return False
    meter.finish()
    return True


class _Compared(Target):
    """An image as a target that compares instead of writing. Raises `_Differs`."""

    def __init__(self, reader: PositionalReader) -> None:
        super().__init__("the image")
        self._reader = reader
        self._found = bytearray(COPIED_AT_ONCE)
        self._zeros = bytes(COPIED_AT_ONCE)

    def write(self, data: memoryview, offset: int) -> None:
        """Compare with what is there."""
        for at in range(0, len(data), COPIED_AT_ONCE):
            self._compare(data[at : at + COPIED_AT_ONCE], offset + at)

    def _compare(self, data: memoryview, offset: int) -> None:
        # Unlike a view, a byte array is compared at once; a part of one would be a view.
        found = self._found if len(data) == COPIED_AT_ONCE else bytearray(len(data))
        self._reader.read_into(memoryview(found), offset)
        if found != data:
            raise _Differs

    def zeros(self, offset: int, length: int, *, free: bool = False) -> None:
        """Compare with zeros, which holes are."""
        begin = 0
        found: Iterable[tuple[int, int]] = ()
        if there := self._reader.in_file():
            file, begin = there
            found = holes(file.descriptor, begin + offset + length, begin + offset)
        for start, end, is_hole in with_gaps(found, begin + offset, begin + offset + length):
            for at in range(start, end if not is_hole else start, COPIED_AT_ONCE):
                self._compare(memoryview(self._zeros)[: min(COPIED_AT_ONCE, end - at)], at - begin)

    def copy(self, source: Copyable, span: Span, copying: Copying) -> None:
        """Read both."""
        self.read_and_write(source, span, 0, span.length, copying)


def _differences(
    image: Image, other: Image, jobs: Jobs, progress: Tell | None
) -> Iterator[Difference]:
    """All of them: missing entries, different ones, and extra ones."""
    found, expected = image.entries, other.entries
    compared = _TOLD if image.format == other.format else ANYWHERE
    for problem in (*image.problems, *other.problems):
        if not problem.path or problem.path not in expected:
            yield Difference(problem.path, problem.rule)
    same: list[ImageEntry] = []
    for path, entry in expected.items():
        there = found.get(path)
        if there is None:
            yield Difference(path, "is missing in the image")
            continue
        if damage := there.damage or entry.damage:
            yield Difference(path, f"cannot be read: {damage}")
        for name in differing(there, entry, compared):
            yield Difference(path, _TOLD[name].format(there, entry))
        both = there.kind, there.size, there.damage
        if both == ("file", entry.size, "") and (entry.kind, entry.damage) == ("file", ""):
            same.append(entry)
    yield from _contents(image, other, same, jobs, progress)
    for path in (path for path in found if path not in expected):
        yield Difference(path, "is in the image, and not in the source")


def _contents(
    image: Image, other: Image, entries: list[ImageEntry], jobs: Jobs, progress: Tell | None
) -> Iterator[Difference]:
    """The files of equal sizes whose bytes differ."""
    found = image.entries
    total = sum(entry.size for entry in entries)
    meter = Meter("comparing files", total, progress)
    forkable = image.reader.data.forkable and other.reader.data.forkable
    workers = jobs_for(len(entries), jobs) if forkable else 1
    entries.sort(key=lambda entry: entry.offset or 0)  # as they lie, to be read together
    plan = stretches(entries, workers)

    def work(number: int) -> list[Difference]:
        sides = _Side(image), _Side(other)
        pairs = ((each, _first_difference(*sides, found[each.path], each)) for each in plan[number])
        return [Difference(entry.path, what) for entry, what in pairs if what]

    for number, differences in shared_out(len(plan), workers, work, _LOST):
        meter.advance(sum(entry.size for entry in plan[number]))
        yield from differences
    meter.finish()


class _Side:
    """The contents of one image, read for one process."""

    def __init__(self, image: Image) -> None:
        self.reader = image.reader
        self._window = Window(image.reader.data)

    def small(self, entry: ImageEntry) -> memoryview | bytes:
        """All bytes of a small file, until the next one's."""
        if entry.extents:
            return self._window.joined(entry.extents)
        return self.reader.content(entry).read_at(0, entry.size)


def _first_difference(
    one: _Side, other: _Side, found: ImageEntry, expected: ImageEntry
) -> str | None:
    """What is not the same about the bytes of two files of one size."""
    try:
        if expected.size > AHEAD:
            contents = one.reader.content(found), other.reader.content(expected)
        else:  # as bytes: views are compared one by one
            data, wanted = bytes(one.small(found)), bytes(other.small(expected))
            if data == wanted:
                return None
            contents = BytesReader(data), BytesReader(wanted)
        differing = next(differing_sectors(*contents, 1), None)
    except ImageError as error:
        return f"cannot be read: {error.rule}"
    return None if differing is None else f"differs from byte {differing[0]:,} on"
