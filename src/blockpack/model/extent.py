"""The four kinds of extent: one contiguous piece of an image and where its bytes are.

An extent is a value. It knows its place in the image (`offset`, `length`, both in bytes) and how
its bytes come about, but it opens nothing: that is for the writer, or for `Layout.open`. It may
be empty: there is nothing to write then, and still a source to compare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from attrs import field

from .values import numerous


@numerous(weakref_slot=False)
class Data:
    """Literal bytes: headers, tables, directories, small contents."""

    kind: ClassVar[str] = "data"

    offset: int
    data: bytes

    @property
    def length(self) -> int:
        """Bytes of the image that this covers."""
        return len(self.data)


@numerous(weakref_slot=False)
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


@numerous(weakref_slot=False)
class Zeros:
    """A run of zero bytes; a hole, where the target has holes."""

    kind: ClassVar[str] = "zeros"

    offset: int
    length: int


class Readable(Protocol):
    """What a stream is read from: a file object, or as much of one as this."""

    def read(self, most: int, /) -> bytes:
        """The next bytes, at most `most`; none at the end."""

    def close(self) -> object:
        """Let go of it."""


@numerous(weakref_slot=False)
class Stream:
    """`length` bytes read from what `open` returns, from `start` on.

    For sources that the kernel cannot read by itself. `name` is for messages. `size` is how many
    bytes the whole source has; whoever reads the last of them sees to it that there are no more.
    `whole`, where there is such, gives all of them at once, or None: then it is to be opened.
    """

    kind: ClassVar[str] = "stream"

    offset: int
    length: int
    open: Callable[[], Readable] = field(eq=False)
    name: str
    start: int = 0
    size: int = field()
    whole: Callable[[], bytes | None] | None = field(default=None, eq=False)

    @size.default
    def _size_is_the_end(self) -> int:
        return self.start + self.length


Extent = Data | FileRange | Zeros | Stream
