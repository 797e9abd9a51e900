"""What reads images of a format: the one interface, whatever the format.

A reader trusts nothing: an image may be damaged, or made to harm. Whatever it says is checked
against the image's real size, and chains and directories are followed once.

Rule 1: what does not add up is reported, and reading goes on where the format lets it. An
`ImageError` costs something that cannot be read; a `Deviation` costs nothing.
Rule 2: wrong bytes are never an option. A file whose bytes cannot all be read has an entry that
says so (`damage`), and is not opened.
Rule 3: reading is positional, so one reader serves any number of threads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import ClassVar, Literal

from ..errors import ImageError, reading_errors
from ..model.values import numerous
from ..planning.layout import Fact
from ..reading.positional import PositionalReader

_PIECE = 1 << 20
"""Bytes that are read at once."""

MAX_PATH = 4096
"""The longest path in characters that is read. Linux has no longer ones."""

Kind = Literal["file", "directory", "symlink", "hardlink", "other"]

Report = Callable[[ImageError], object]
"""Is told of one thing that is wrong; to raise it ends the reading, to return goes on."""

Pieces = tuple[tuple[int | None, int], ...]
"""Where bytes lie in an image: (offset, length) in bytes, in order; None is for zeros that lie
nowhere."""


@numerous
class ImageEntry:
    """One entry of an image.

    `size` is in bytes, `mtime_ns` in nanoseconds since 1970, `mode` the permission bits. `target`
    is what a link leads to. `extents` are the pieces of the image, as (offset, length) in bytes,
    that hold the file's bytes in order: their lengths add up to the size. There are none where the
    format holds them otherwise. `damage` is what keeps a file's bytes from being read, if anything.
    """

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    mtime_ns: int = 0
    uid: int = 0
    gid: int = 0
    target: str = ""
    extents: Pieces = ()
    damage: str = ""

    @property
    def offset(self) -> int | None:
        """Where the file's first byte lies in the image; None if it has none."""
        return self.extents[0][0] if self.extents else None

    @property
    def owner(self) -> tuple[int, int]:
        """The user and the group."""
        return self.uid, self.gid


def differing(one: ImageEntry, other: ImageEntry, names: Iterable[str]) -> list[str]:
    """Which of these attributes two entries have not the same; if they are of different kinds, that
    alone, for all else follows.
    """
    found = [name for name in names if getattr(one, name) != getattr(other, name)]
    return ["kind"] if "kind" in found else found


def too_long(path: str) -> ImageError:
    """The error for a path that is longer than `MAX_PATH`."""
    rule = f"a path of {len(path):,} characters, and Linux has {MAX_PATH - 1:,}"
    return ImageError(f"{path[:64]}…", rule)


class ImageReader(ABC):
    """Reads one image of a format. `device` tells that it may go on behind what was written."""

    format: ClassVar[str]

    whole: ClassVar[str] = "file system"
    """What messages call all that ends at `end`."""

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        self.data = data
        self.size = data.size
        """The length of the image in bytes."""
        self.device = device

    @classmethod
    @abstractmethod
    def recognises(cls, head: bytes) -> bool:
        """Whether an image that begins with `head` (4096 bytes; more of zeros) is of the format."""

    @abstractmethod
    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """All entries that can be read, as they stand in the image.

        Raises `ImageError` for what nothing can be read beyond.
        """

    @abstractmethod
    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """`entries`, and then what reading the entries does not touch."""

    @abstractmethod
    def info(self) -> Mapping[str, Fact]:
        """The format's own facts by name, as the image states them. Raises `ImageError`."""

    def options(self) -> Mapping[str, str | bool]:
        """The volume's options that the image tells, and a plan takes to be like it.

        Raises `ImageError`.
        """
        return {}

    @property
    def end(self) -> int:
        """The byte behind all that it says is its own: the image's end, unless a format knows
        better. Raises `ImageError`.
        """
        return self.size

    def behind(self) -> int | None:
        """The first byte behind the `end` that is no zero; None on a device, where whatever was on
        it before goes on behind the image. Raises `ImageError`.
        """
        at = self.end
        for data in self.pieces(at, 0 if self.device else self.size):
            if rest := data.lstrip(b"\0"):
                return at + len(data) - len(rest)
            at += len(data)
        return None

    def content(self, entry: ImageEntry) -> PositionalReader:
        """The bytes of a file: as they lie in the image, unless a format knows better."""
        return PiecesReader(self, entry)

    def stored(self, entry: ImageEntry) -> Pieces:
        """The pieces of the image that a file's bytes are in, also where a format packs them."""
        return entry.extents

    def require(self, offset: int, length: int) -> None:
        """Raise `ImageError` unless the image has `length` bytes at `offset`."""
        if offset + length > self.size:
            needed = f"bytes {offset:,} to {offset + length:,} are needed"
            rule = f"the image ends at byte {self.size:,}, and {needed}; it is cut short or damaged"
            raise ImageError("", rule)

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes `start` to `end` of the image, some at a time. Raises as `read_at` does."""
        for at in range(start, end, _PIECE):
            yield self.read_at(at, min(_PIECE, end - at))

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of the image. Raises `ImageError` if they are not there."""
        self.require(offset, length)
        with reading_errors("the image"):
            data = self.data.read_at(offset, length)
        if len(data) != length:
            raise ImageError("", f"the image ends early, at byte {offset + len(data):,}")
        return data


class PiecesReader(PositionalReader):
    """A file in an image: pieces of it, one after the other."""

    def __init__(self, reader: ImageReader, entry: ImageEntry) -> None:
        super().__init__(entry.size)
        self._reader = reader
        self._entry = entry
        self._starts = list(accumulate((length for _, length in entry.extents), initial=0))

    def parts(self) -> Iterator[tuple[PositionalReader | None, int, int]]:
        """The pieces of the image."""
        for offset, length in self._entry.extents:
            yield (None, 0, length) if offset is None else (self._reader.data, offset, length)

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        index = bisect_right(self._starts, position) - 1
        if index == len(self._entry.extents):
            raise ImageError(self._entry.path, "has fewer bytes than it says")
        offset, length = self._entry.extents[index]
        skip = position - self._starts[index]
        count = min(len(view), length - skip)
        if offset is None:
            view[:count] = bytes(count)
        else:
            view[:count] = self._reader.read_at(offset + skip, count)
        return count
