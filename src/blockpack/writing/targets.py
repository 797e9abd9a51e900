"""Targets: where the bytes of an image go, and the fastest way there.

`Seekable` is a descriptor that takes bytes at any offset (a file, a block device), `Streaming`
takes them in order (a pipe, a socket, a file object). Who opens, guards and renames is in
`files`.
"""

from __future__ import annotations

import errno
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from attrs import define

from ..errors import TargetError
from ..model.extent import FileRange
from ..reading.extents import OpenFile, changed
from .clone import Cloner

ZEROS = memoryview(bytes(1 << 20))
"""Zeros to write where there are no holes."""

COPIED_AT_ONCE = 256 << 10
"""Bytes that are read and written at once: more would not stay in a processor's cache between the
two, and copying would take nearly twice as long."""

SENT_AT_ONCE = 16 << 20
"""Bytes that the kernel is told to copy by one system call, between which progress is told."""

_NOT_BY_THE_KERNEL = (
    *(errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY),
    errno.EIO,  # reading says what is wrong with the source
)
"""What the kernel says where it does not copy by itself, but reading and writing may do."""

_REASONS = {
    errno.ENOSPC: ("no space left there", "free some, or choose another place"),
    errno.EDQUOT: ("the disk quota is used up", "free some, or choose another place"),
    errno.EFBIG: ("the image is larger than a file may be there", "choose another file system"),
    errno.EPIPE: ("the reader went away before the image was complete", "have it read to the end"),
    errno.EROFS: ("the file system there is read-only", "choose another place"),
}
"""What the operating system says, in terms of an image, and what to do."""


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
        if error.errno in _REASONS:
            raise TargetError(name, *_REASONS[error.errno]) from None
        raise TargetError.of(name, "cannot be written", error) from None


class Target(ABC):
    """Where bytes go. Its methods raise `TargetError`; `copy` raises `SourceError` too."""

    name: str
    tally: Tally

    @abstractmethod
    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""

    @abstractmethod
    def zeros(self, offset: int, length: int) -> None:
        """Make `length` bytes at `offset` read as zeros."""

    @abstractmethod
    def copy(self, extent: FileRange, buffer: memoryview, advance: Callable[[int], None]) -> None:
        """Copy a range of a file. `buffer` is there to be used, and has `COPIED_AT_ONCE` or more;
        `advance` hears of each step.
        """


class Seekable(Target):
    """A descriptor that takes bytes at any offset.

    `holes` tells that what was never written reads as zeros there: a new file.
    """

    def __init__(self, name: str, descriptor: int, *, holes: bool) -> None:
        self.name = name
        self.descriptor = descriptor
        self.holes = holes
        self.tally = Tally()
        self._cloner = Cloner()

    def write(self, data: memoryview, offset: int) -> None:
        """Write by `pwrite`."""
        with target_errors(self.name):
            while data:
                count = os.pwrite(self.descriptor, data, offset)
                self.tally.copied += count
                data = data[count:]
                offset += count

    def zeros(self, offset: int, length: int) -> None:
        """Leave a hole, or write zeros where there are none."""
        if self.holes:
            self.tally.holes += length
            return
        while length:
            count = min(length, len(ZEROS))
            self.write(ZEROS[:count], offset)
            offset += count
            length -= count

    def copy(self, extent: FileRange, buffer: memoryview, advance: Callable[[int], None]) -> None:
        """Clone, else have the kernel copy, else read and write; holes in the source stay holes."""
        with OpenFile.of(extent) as source:
            status = source.check()
            done = 0
            if self.holes:
                with target_errors(self.name):
                    done = self._cloner.clone(
                        source.descriptor, status.st_dev, self.descriptor, extent
                    )
                self.tally.cloned += done
                advance(done)
            sparse = getattr(status, "st_blocks", 0) * 512 < status.st_size
            for start, end, is_hole in _parts(source.descriptor, extent, done, sparse):
                if is_hole:
                    self.zeros(extent.offset + start, end - start)
                    advance(end - start)
                else:
                    self._copy_part(source, extent, start, end, buffer, advance)
            source.check()

    def _copy_part(
        self,
        source: OpenFile,
        extent: FileRange,
        start: int,
        end: int,
        buffer: memoryview,
        advance: Callable[[int], None],
    ) -> None:
        start = self._copy_in_kernel(source, extent, start, end, advance)
        for at in range(start, end, COPIED_AT_ONCE):
            view = buffer[: min(COPIED_AT_ONCE, end - at)]
            source.read_into(view, extent.start + at)
            self.write(view, extent.offset + at)
            advance(len(view))

    def _copy_in_kernel(
        self,
        source: OpenFile,
        extent: FileRange,
        start: int,
        end: int,
        advance: Callable[[int], None],
    ) -> int:
        """Copy by `copy_file_range` as far as it goes; up to where that is.

        It spares the way through this process' memory. Devices and other file systems refuse.
        """
        if not hasattr(os, "copy_file_range"):
            return start
        while start < end:
            most = min(end - start, SENT_AT_ONCE)
            try:
                count = os.copy_file_range(
                    *(source.descriptor, self.descriptor, most),
                    *(extent.start + start, extent.offset + start),
                )
            except OSError as error:
                if error.errno in _NOT_BY_THE_KERNEL:
                    break
                with target_errors(self.name):
                    raise
            if not count:  # some file systems cannot; reading says whether the source shrank
                break
            start += count
            self.tally.copied += count
            advance(count)
        return start


def _parts(
    source: int, extent: FileRange, done: int, sparse: bool
) -> Iterator[tuple[int, int, bool]]:
    """What is left of `extent` after `done` bytes, as (start, end, whether it is a hole)."""
    base = extent.start
    while done < extent.length:
        if not sparse:
            yield done, extent.length, False
            return
        try:
            data = os.lseek(source, base + done, os.SEEK_DATA) - base
            hole = os.lseek(source, base + data, os.SEEK_HOLE) - base
        except OSError as error:
            # ENXIO: no data from there on. Whoever reads on will see whether the source shrank.
            if error.errno != errno.ENXIO:
                sparse = False  # holes are not told here
                continue
            data = hole = extent.length
        if data > done:
            yield done, min(data, extent.length), True
        if data < extent.length:
            yield data, min(hole, extent.length), False
        done = hole


class Streaming(Target):
    """A file object that takes bytes in order, with its descriptor if it is a pipe or such."""

    def __init__(self, name: str, file: BinaryIO, descriptor: int | None = None) -> None:
        self.name = name
        self.file = file
        self.descriptor = descriptor
        self.tally = Tally()

    @classmethod
    def to(cls, file: BinaryIO) -> Streaming:
        """The target for `file`.

        A descriptor is used past it only if it is plainly a descriptor's file, for others may
        do something to the bytes (compress, encrypt), and only where nobody can seek.
        """
        name = str(getattr(file, "name", "the output"))
        raw = getattr(file, "raw", file)
        if type(raw) is io.FileIO and not raw.seekable():
            stream = cls(name, file, raw.fileno())
            stream.flush()
            return stream
        return cls(name, file)

    def write(self, data: memoryview, offset: int) -> None:
        """Write, whatever the offset: the order is the place."""
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
            return written
        if isinstance(self.file, io.RawIOBase):  # it has no room
            self._wait()
            return 0
        return len(data)

    def flush(self) -> None:
        """Have the file object let go of what it holds back."""
        with target_errors(self.name):
            while True:
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

    def zeros(self, offset: int, length: int) -> None:
        """Write zeros."""
        while length:
            count = min(length, len(ZEROS))
            self.write(ZEROS[:count], offset)
            length -= count

    def copy(self, extent: FileRange, buffer: memoryview, advance: Callable[[int], None]) -> None:
        """Have the kernel send the file where it can, else read and write."""
        with OpenFile.of(extent) as source:
            source.check()
            done = self._send(source, extent, advance)
            for at in range(done, extent.length, COPIED_AT_ONCE):
                view = buffer[: min(COPIED_AT_ONCE, extent.length - at)]
                source.read_into(view, extent.start + at)
                self.write(view, extent.offset + at)
                advance(len(view))
            source.check()

    def _send(self, source: OpenFile, extent: FileRange, advance: Callable[[int], None]) -> int:
        """Send by `sendfile` as far as it goes; the number of bytes."""
        done = 0
        if self.descriptor is None or not hasattr(os, "sendfile"):
            return done
        while done < extent.length:
            position, most = extent.start + done, min(extent.length - done, SENT_AT_ONCE)
            try:
                count = os.sendfile(self.descriptor, source.descriptor, position, most)
            except BlockingIOError:
                self._wait()
                continue
            except OSError as error:
                if error.errno in (*_NOT_BY_THE_KERNEL, errno.ENOTSOCK):
                    break
                with target_errors(self.name):
                    raise
            if not count:
                raise changed(extent, os.fstat(source.descriptor))
            done += count
            self.tally.copied += count
            advance(count)
        return done
