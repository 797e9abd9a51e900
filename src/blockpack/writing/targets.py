"""Targets: where the bytes of an image go, and the fastest way there.

`Seekable` is a descriptor that takes bytes at any offset (a file, a block device), `Streaming`
takes them in order (a pipe, a socket, a file object). Who opens, guards and renames is in
`files`.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, Self

from attrs import define

from ..errors import TargetError, UsageError, require_open
from ..reading.extents import OpenFile
from ..reading.gaps import holes, with_gaps
from ..reading.positional import DescriptorReader, PositionalReader
from ..workers.sharing import Advance
from .clone import Cloner

ZEROS = memoryview(bytes(1 << 20))
"""Zeros to write where there are no holes."""

COPIED_AT_ONCE = 256 << 10
"""Bytes that are read and written at once: more would not stay in a processor's cache between the
two, and copying would take nearly twice as long."""

SENT_AT_ONCE = 16 << 20
"""Bytes that one system call has the kernel copy; between two of them progress is reported."""

_NOT_BY_THE_KERNEL = (
    *(errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY),
    errno.ENOTSOCK,
    errno.EIO,  # reading says what is wrong with the source
)
"""What the kernel says where it does not copy by itself, but reading and writing may do."""


@define
class Tally:
    """Bytes that were copied, cloned, and left as holes."""

    copied: int = 0
    cloned: int = 0
    holes: int = 0

    def add(self, other: Tally) -> None:
        """Count what another process did."""
        self.copied += other.copied
        self.cloned += other.cloned
        self.holes += other.holes


@contextmanager
def target_errors(name: str) -> Iterator[None]:
    """Turn an operating system's error about the target `name` into a `TargetError`."""
    try:
        yield
    except OSError as error:
        raise TargetError.of(name, "cannot be written", error) from None


class Span(NamedTuple):
    """`length` bytes from `start` of a source on, which go to `offset` of the target."""

    start: int
    length: int
    offset: int


class Copying(NamedTuple):
    """What copying takes: a buffer of `COPIED_AT_ONCE` bytes or more, and who hears of steps."""

    buffer: memoryview
    advance: Advance

    @classmethod
    def by(cls, advance: Advance, size: int = COPIED_AT_ONCE) -> Self:
        """With a buffer of `size` bytes, a process that is forked with its own."""
        # On pages of its own: the kernel copies a little faster to there.
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return cls(memoryview(mmap.mmap(-1, size, private)), advance)


Copyable = OpenFile | DescriptorReader
"""An open file, which the kernel can copy."""


class Target(ABC):
    """Where bytes go. Its methods raise `TargetError`; `copy` raises what reading does, too."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tally = Tally()

    @abstractmethod
    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def zeros(self, offset: int, length: int, *, free: bool = False) -> None:
        """Make `length` bytes at `offset` read as zeros; what is `free` may be anything."""
        for at in range(0, length, len(ZEROS)):
            self.write(ZEROS[: length - at], offset + at)

    @abstractmethod
    def copy(self, source: Copyable, span: Span, copying: Copying) -> None:
        """Copy a part of a file that is open."""

    def read_and_write(
        self,
        source: OpenFile | PositionalReader,
        span: Span,
        start: int,
        end: int,
        copying: Copying,
    ) -> None:
        """Copy what lies between `start` and `end` of it by way of the buffer."""
        for at in range(start, end, COPIED_AT_ONCE):
            view = copying.buffer[: min(COPIED_AT_ONCE, end - at)]
            source.read_into(view, span.start + at)
            self.write(view, span.offset + at)
            copying.advance(len(view))

    def _by_the_kernel(
        self, call: Callable[[int, int], int], start: int, end: int, copying: Copying
    ) -> int:
        """Copy what lies between `start` and `end` of a source by `call`, which is given a place
        and the most bytes, and spares the way through this process' memory; up to where that goes.

        Not all devices and file systems can.
        """
        while start < end:
            try:
                count = call(start, min(end - start, SENT_AT_ONCE))
            except OSError as error:
                if error.errno in _NOT_BY_THE_KERNEL:
                    break
                with target_errors(self.name):
                    raise
            if not count:  # some file systems cannot; reading says whether the source shrank
                break
            start += count
            self.tally.copied += count
            copying.advance(count)
        return start


class Seekable(Target):
    """A descriptor that takes bytes at any offset.

    `holes` tells that what was never written reads as zeros there: a new file. What may be anything
    is left as it is if that is to be `sparing`.
    """

    def __init__(self, name: str, descriptor: int, *, holes: bool, sparing: bool = False) -> None:
        super().__init__(name)
        self.descriptor = descriptor
        self.holes = holes
        self.sparing = sparing
        self._cloner = Cloner()

    def write(self, data: memoryview, offset: int) -> None:
        """Write by `pwrite`."""
        with target_errors(self.name):
            while data:
                count = os.pwrite(self.descriptor, data, offset)
                self.tally.copied += count
                data = data[count:]
                offset += count

    def zeros(self, offset: int, length: int, *, free: bool = False) -> None:
        """Leave a hole, or write zeros where there are none."""
        if self.holes or (free and self.sparing):
            self.tally.holes += length
        else:
            super().zeros(offset, length)

    def copy(self, source: Copyable, span: Span, copying: Copying) -> None:
        """Clone, else have the kernel copy, else read and write; holes in the source stay holes."""
        status = source.check()
        done = 0
        if self.holes:
            with target_errors(self.name):
                done = self._cloner.clone(source.descriptor, status.st_dev, self.descriptor, *span)
            self.tally.cloned += done
            copying.advance(done)
        sparse = getattr(status, "st_blocks", 0) * 512 < status.st_size
        begin, length = span.start, span.length

        def copy_range(at: int, most: int) -> int:
            own, to = self.descriptor, span.offset + at
            return os.copy_file_range(source.descriptor, own, most, begin + at, to)

        found = holes(source.descriptor, begin + length, begin + done) if sparse else ()
        there = ((start - begin, end - begin) for start, end in found)
        for start, end, is_hole in with_gaps(there, done, length):
            if is_hole:
                self.zeros(span.offset + start, end - start)
                copying.advance(end - start)
            else:
                if hasattr(os, "copy_file_range"):
                    start = self._by_the_kernel(copy_range, start, end, copying)
                self.read_and_write(source, span, start, end, copying)


class Streaming(Target):
    """A file object that takes bytes in order, with its descriptor if it is a pipe or such."""

    def __init__(self, name: str, file: BinaryIO, descriptor: int | None = None) -> None:
        super().__init__(name)
        self.file = file
        self.descriptor = descriptor

    @classmethod
    def to(cls, file: BinaryIO) -> Streaming:
        """The target for `file`.

        A descriptor is used past it only if it is plainly a descriptor's file, for others may
        do something to the bytes (compress, encrypt), and only where nobody can seek.
        """
        name = _name_of(file)
        require_open(file, name)
        if isinstance(file, io.TextIOBase) or getattr(file, "encoding", None) is not None:
            raise UsageError(name, "is a text file", "open it in the mode 'wb'")
        raw = getattr(file, "raw", file)
        if type(raw) is io.FileIO and not raw.seekable():
            stream = cls(name, file, raw.fileno())
            stream.flush()
            return stream
        return cls(name, file)

    def write(self, data: memoryview, offset: int) -> None:
        """Write; the offset is ignored, since bytes come in order."""
        with target_errors(self.name):
            while data:
                count = self._write_some(data)
                self.tally.copied += count
                data = data[count:]

    def _write_some(self, data: memoryview) -> int:
        """Write a first part of `data`, which may be nothing; the number of bytes."""
        try:
            if self.descriptor is not None:
                return os.write(self.descriptor, data)
            written = self.file.write(data)
        except BlockingIOError as error:  # somebody else made it so, as a shared pipe may be
            self._wait()
            return getattr(error, "characters_written", 0)
        if written is not None:
            if not isinstance(written, int) or not 0 < written <= len(data):
                rule = f"its write() tells {written!r} of {len(data):,} bytes"
                remedy = "give a file object that writes what it is given"
                raise TargetError(self.name, rule, remedy)
            return written
        if isinstance(self.file, io.RawIOBase):  # it has no room
            self._wait()
            return 0
        return len(data)

    def flush(self) -> None:
        """Flush the file object, if it knows how."""
        with target_errors(self.name):
            while hasattr(self.file, "flush"):
                try:
                    self.file.flush()
                    return
                except BlockingIOError:
                    self._wait()

    def _wait(self) -> None:
        """Wait until there is room for more."""
        import selectors  # most runs need none

        with selectors.DefaultSelector() as selector:
            selector.register(self.file.fileno(), selectors.EVENT_WRITE)
            selector.select()

    def copy(self, source: Copyable, span: Span, copying: Copying) -> None:
        """Have the kernel send the file where it can, else read and write."""
        done = 0
        own = self.descriptor
        if own is not None and hasattr(os, "sendfile"):

            def send(at: int, most: int) -> int:
                while True:
                    try:
                        return os.sendfile(own, source.descriptor, span.start + at, most)
                    except BlockingIOError:
                        self._wait()

            done = self._by_the_kernel(send, 0, span.length, copying)
        self.read_and_write(source, span, done, span.length, copying)


def _name_of(file: BinaryIO) -> str:
    """What a file object is called: by its path, its descriptor, or what it is."""
    name = getattr(file, "name", None)
    if isinstance(name, int):
        return f"descriptor {name}"
    if isinstance(name, str | bytes | os.PathLike) and name:
        return os.fsdecode(name)
    return f"a {type(file).__name__}"


def copy_content(content: PositionalReader, target: Target, by: Copying) -> None:
    """Copy all of `content`: by the kernel where it lies in a file, or read and written.

    Raises `TargetError`, and what reading raises.
    """
    offset = 0
    for reader, start, length in content.parts():
        file = reader and reader.in_file()
        if reader is None:
            target.zeros(offset, length)
            by.advance(length)
        elif file:
            target.copy(file[0], Span(file[1] + start, length, offset), by)
        else:
            target.read_and_write(reader, Span(start, length, offset), 0, length, by)
        offset += length
