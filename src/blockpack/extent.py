"""The four kinds of extent: one contiguous piece of an image and where its bytes are.

An extent is a value. It knows its place in the image (`offset`, `length`, both in bytes) and how
its bytes come about, but it opens nothing: that is for the writer, or for `Layout.open`. It may
be empty: there is nothing to write then, and still a source to compare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from attrs import frozen


@frozen(weakref_slot=False)
class Data:
    """Literal bytes: headers, tables, directories, small contents."""

    offset: int
    data: bytes

    @property
    def length(self) -> int:
        """Bytes of the image that this covers."""
        return len(self.data)


@frozen(weakref_slot=False)
class FileRange:
    """`length` bytes of a file on disk, from `start` on.

    `size` (bytes) and `mtime_ns` (nanoseconds) are the file's as they were when the tree was
    scanned; whoever reads the range compares them, so a source that changes is noticed.
    """

    offset: int
    length: int
    path: bytes
    size: int
    mtime_ns: int
    start: int = 0


@frozen(weakref_slot=False)
class Zeros:
    """A run of zero bytes; a hole, where the target has holes."""

    offset: int
    length: int


@frozen(weakref_slot=False)
class Stream:
    """`length` bytes read from a file object that `open` returns, from `start` on.

    For sources that the kernel cannot read by itself. `name` is for messages.
    """

    offset: int
    length: int
    open: Callable[[], BinaryIO]
    name: str
    start: int = 0


Extent = Data | FileRange | Zeros | Stream
