"""The four kinds of extent: one contiguous piece of an image and where its bytes are.

An extent is a value. It knows its place in the image (`offset`, `length`, both in bytes) and how
its bytes come about, but it opens nothing: that is for the writer, or for `Layout.open`. It may
be empty: there is nothing to write then, and still a source to compare. Two extents are equal only
if their bytes must be.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Protocol

from attrs import field

from .values import numerous, shortened


@numerous
class Data:
    """Literal bytes: headers, tables, directories, small contents."""

    kind: ClassVar[str] = "data"

    offset: int
    data: bytes = field(repr=shortened)

    @property
    def length(self) -> int:
        """Bytes of the image that this covers."""
        return len(self.data)


@numerous
class FileRange:
    """`length` bytes of a file on disk, from `start` on.

    `size` (bytes) and `mtime_ns` (nanoseconds) are the file's as they were when the tree was
    scanned; whoever reads the range compares them, so a source that changes is noticed.
    """

    kind: ClassVar[str] = "file"

    offset: int
    length: int
    path: bytes
    size: int
    mtime_ns: int
    start: int = 0


@numerous
class Zeros:
    """A run of zero bytes; a hole, where the target has holes.

    What is `free` may be anything, for no reader looks at it: clusters that nothing is in, padding.
    """

    kind: ClassVar[str] = "zeros"

    offset: int
    length: int
    free: bool = False


class Readable(Protocol):
    """What a stream is read from: a file object, or as much of one as this."""

    def read(self, most: int, /) -> bytes:
        """The next bytes, at most `most`; none at the end."""

    def close(self) -> object:
        """Let go of it."""


class StreamStore(Protocol):
    """What holds bytes that the kernel cannot read by itself; a key says which of them."""

    def open(self, key: Hashable, name: str) -> Readable:
        """The bytes of `key` from their start; `name` is for messages. Raises `SourceError`."""

    def identity(self, key: Hashable) -> Hashable:
        """What two keys, of this store or of two, have in common only if their bytes are equal."""


class WholeStore:
    """A store that has small files' bytes at hand, which costs less than a stream of each."""

    # No abstract class: a million files are asked for theirs.

    def whole(self, key: Hashable) -> bytes | None:
        """All bytes of `key`; None if they are to be read as a stream."""
        raise NotImplementedError


@numerous(eq=False)
class Stream:
    """`length` bytes of what a store holds by `key`, from `start` on.

    `name` is for messages. `size` is how many bytes the whole source has; whoever reads the last of
    them sees to it that there are no more.
    """

    kind: ClassVar[str] = "stream"

    offset: int
    length: int
    store: StreamStore = field(repr=lambda store: type(store).__name__)
    key: Hashable = field(repr=shortened)
    name: str
    start: int = 0
    size: int = field()

    @size.default
    def _size_is_the_end(self) -> int:
        return self.start + self.length

    @property
    def _identity(self) -> tuple[Hashable, ...]:
        return self.store.identity(self.key), self.offset, self.length, self.start, self.size

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Stream) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)


Extent = Data | FileRange | Zeros | Stream
"""One contiguous piece of an image: literal bytes, part of a file, zeros, or part of a stream."""


def moved(extent: Extent, by: int) -> Extent:
    """The same bytes, `by` bytes further on in an image."""
    length = len(extent.data) if type(extent) is Data else extent.length
    return cut(extent, 0, length, extent.offset + by)


def cut(extent: Extent, start: int, length: int, offset: int) -> Extent:
    """`length` bytes of `extent`, from its byte `start` on, at `offset` of an image."""
    if type(extent) is Data:
        return Data(offset, extent.data[start : start + length])
    if type(extent) is FileRange:
        file = extent.path, extent.size, extent.mtime_ns
        return FileRange(offset, length, *file, extent.start + start)
    if type(extent) is Zeros:
        return Zeros(offset, length, extent.free)
    assert type(extent) is Stream
    stream = extent.store, extent.key, extent.name
    return Stream(offset, length, *stream, extent.start + start, extent.size)
