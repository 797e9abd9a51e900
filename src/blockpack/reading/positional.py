"""Reading at a position: whatever is read at an offset has no position of its own.

So any number of threads can read one thing, and nobody holds a position for another. A file object
that has one is made anew for whoever wants one (`PositionalReader.file`). Where there is nothing
but somebody else's `seek` and `read`, one lock keeps the two together, in `SeekingReader` alone.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from ..errors import ImageError, SourceError, bytes_of, reading_errors, size_of
from .lifetime import Closing

READ_AHEAD = 128 << 10
"""Bytes that a file object reads at once, if less is asked for."""

AGAIN = "start again while nothing changes it"
"""What to do about a source that changed."""

READ_ONLY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Flags for opening what is read."""

_SKIP = 1 << 20
"""Bytes that are read at once to get further in what does not seek."""

_UNFIT = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
}
"""Kinds that are never opened to look inside: that may hang, or do something."""


def open_for_reading(
    path: str | bytes | os.PathLike[str], name: str, *, pipes: bool = False
) -> int:
    """A descriptor of the file, device or, if they are welcome, pipe at `path`.

    Raises `SourceError` about `name` if it cannot be opened, or is something else.
    """
    with reading_errors(name):
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind in _UNFIT and not (pipes and kind == stat.S_IFIFO):
            rule = f"is {_UNFIT[kind]}, not an image or archive"
            raise SourceError(name, rule, "give a file or a block device")
        return os.open(path, READ_ONLY)


class PositionalReader(Closing, ABC):
    """Bytes that are read at any position by any thread; a context manager that closes.

    `size` is how many there are.
    """

    forkable: bool = True
    """Whether a forked process may go on reading, beside this one."""

    read_ahead: int = 0
    """How many bytes are worth reading at once, where some of them are needed; 0 where each has its
    price."""

    def __init__(self, size: int) -> None:
        self.size = size

    @abstractmethod
    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes.

        `view` is not empty and ends where the bytes do, or before.
        """

    def read_at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position` on; less at the end."""
        view = memoryview(bytearray(max(min(length, self.size - position), 0)))
        return bytes(view[: self.fill(view, position)])

    def read_into(self, view: memoryview, position: int) -> None:
        """Fill `view` with the bytes from `position` on. Raises `ImageError` if there are less."""
        try:  # `reading_errors` takes its time, and clients ask for little at a time
            done = self.fill(view, position)
        except OSError as error:
            raise SourceError.of("the image", "cannot be read", error) from None
        if done < len(view):
            raise ImageError("", f"the image ends early, at byte {position + done:,}")

    def fill(self, view: memoryview, position: int) -> int:
        """Fill `view` as `pread` does, but all of it if there is as much."""
        done = 0
        while done < len(view) and (count := self.pread(view[done:], position + done)):
            done += count
        return done

    def parts(self) -> Iterator[tuple[PositionalReader | None, int, int]]:
        """Where all bytes are to be had, in order, as (reader, position, length).

        A reader of None has nothing but zeros. So who copies can go past those between.
        """
        yield self, 0, self.size

    def file(self, read_ahead: int = READ_AHEAD, *, owned: bool = False) -> BinaryIO:
        """A seekable file object over the bytes, with a position and a buffer of its own.

        `owned` has it close this reader with it.
        """
        return cast(BinaryIO, io.BufferedReader(PositionalFile(self, owned=owned), read_ahead))

    def in_file(self) -> tuple[DescriptorReader, int] | None:
        """The file that has these bytes as they are, and where in it; None if none has."""
        return None


class PositionalFile(io.RawIOBase):
    """A seekable, read-only binary file over a reader, with a position of its own.

    `owned` tells to close the reader with it.
    """

    mode = "rb"
    """As files on disk tell it."""

    def __init__(self, reader: PositionalReader, *, owned: bool = False) -> None:
        super().__init__()
        self.reader = reader
        self._owned = owned
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` bytes from the start, the position or the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.reader.size}
        if whence not in base:
            raise ValueError(f"unsupported whence {whence}")
        position = base[whence] + offset
        if position < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))  # as files do it
        self._position = position
        return position

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`; all that there are for less than 0."""
        return super().read(size) or b""  # None is for files that do not block

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer`, or a first part of it, from the position on; the number of bytes."""
        view = memoryview(buffer).cast("B")[: max(self.reader.size - self._position, 0)]
        count = self.reader.pread(view, self._position) if view else 0
        self._position += count
        return count

    def close(self) -> None:
        """Close, and with it the reader if it is owned."""
        if self._owned and not self.closed:
            self.reader.close()
        super().close()


class DescriptorReader(PositionalReader):
    """A file or a device, by a descriptor of its own."""

    read_ahead = 256 << 10

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        status = os.fstat(descriptor)
        regular = stat.S_ISREG(status.st_mode)
        super().__init__(status.st_size if regular else os.lseek(descriptor, 0, os.SEEK_END))

    def read_at(self, position: int, length: int) -> bytes:
        """By `pread`, which makes no buffer that is filled twice."""
        data = os.pread(self.descriptor, length, position)
        return data if len(data) == length else super().read_at(position, length)

    def pread(self, view: memoryview, position: int) -> int:
        """By `preadv`."""
        return os.preadv(self.descriptor, [view], position)

    def in_file(self) -> tuple[DescriptorReader, int]:
        """Itself, from its begin."""
        return self, 0

    def check(self) -> os.stat_result:
        """The file's status. Raises `SourceError`."""
        with reading_errors("the image"):
            return os.fstat(self.descriptor)

    def close(self) -> None:
        """Close the descriptor."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class BytesReader(PositionalReader):
    """Bytes in memory."""

    read_ahead = 256 << 10

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        super().__init__(len(self._data))

    def pread(self, view: memoryview, position: int) -> int:
        """All of `view`."""
        view[:] = self._data[position : position + len(view)]
        return len(view)


class ReaderThrough(PositionalReader):
    """`size` bytes that are read by way of another reader, which is as able; closing closes it."""

    def __init__(self, whole: PositionalReader, size: int) -> None:
        super().__init__(size)
        self.forkable = whole.forkable
        self.read_ahead = whole.read_ahead
        self._whole = whole

    def close(self) -> None:
        """Close the other reader."""
        self._whole.close()


class PartReader(ReaderThrough):
    """`size` bytes of another reader from `start` on, or as many as there are."""

    def __init__(self, whole: PositionalReader, start: int, size: int) -> None:
        super().__init__(whole, max(0, min(size, whole.size - start)))
        self._start = start

    def pread(self, view: memoryview, position: int) -> int:
        """Of the whole, as far as the part goes."""
        view = view[: max(self.size - position, 0)]
        return self._whole.pread(view, self._start + position) if view else 0

    def read_at(self, position: int, length: int) -> bytes:
        """Of the whole, as far as the part goes."""
        length = min(length, self.size - position)
        return self._whole.read_at(self._start + position, length) if length > 0 else b""

    def read_into(self, view: memoryview, position: int) -> None:
        """Of the whole. Raises `ImageError` where the part ends before."""
        if position + len(view) > self.size:
            raise ImageError("", f"the image ends early, at byte {self.size:,}")
        self._whole.read_into(view, self._start + position)

    def in_file(self) -> tuple[DescriptorReader, int] | None:
        """The whole's, further on."""
        found = self._whole.in_file()
        return None if found is None else (found[0], found[1] + self._start)


class SeekingReader(PositionalReader):
    """Somebody's file object that seeks, which nobody else is to move meanwhile."""

    forkable = False  # its position may be shared

    read_ahead = 256 << 10

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._lock = threading.Lock()
        bytes_of(file, 0, name)
        super().__init__(size_of(file))

    def pread(self, view: memoryview, position: int) -> int:
        """By `seek` and `read`."""
        with self._lock:
            self._file.seek(position)
            data = bytes_of(self._file, len(view), self._name)
        view[: len(data)] = data
        return len(data)


class ReopenedReader(PositionalReader):
    """What `opening` opens as a file object from its start, read at any position.

    It is moved only where it has to be, for that may cost a connection. One that does not seek is
    opened again to go back; so is one of which that is only said, without `seeks`.

    Raises `SourceError` about `name` for what goes wrong; and if there are less than `size` bytes,
    or more, with the `remedy` for that.
    """

    forkable = False
    remedy = AGAIN
    errors = staticmethod(reading_errors)
    """What turns errors of the file object into such."""

    def __init__(
        self, opening: Callable[[], Any], size: int, name: str, *, seeks: bool = True
    ) -> None:
        super().__init__(size)
        self.name = name
        self._opening = opening
        self._seeks = seeks
        self._lock = threading.Lock()
        self._at = 0
        with self.errors(name):
            self._file = opening()

    def pread(self, view: memoryview, position: int) -> int:
        """By `read`, at its place."""
        with self.errors(self.name), self._lock:
            if position != self._at:
                self._move(position)
            data = self._read(len(view))
            view[: len(data)] = data
        self.check()
        return len(data)

    def check(self) -> None:
        """Raise `SourceError` if all has been read, and there is more."""
        with self.errors(self.name), self._lock:
            if self._at == self.size and self._file.read(1):
                raise SourceError(self.name, "is longer than its planned size", self.remedy)

    def _move(self, position: int) -> None:
        ours = isinstance(self._file, PositionalFile)
        if ours or (self._seeks and self._file.seekable()):
            self._at = self._file.seek(position)
            return
        if position < self._at:
            self._file.close()
            self._file = self._opening()
            self._at = 0
        while self._at < position:
            self._read(min(position - self._at, _SKIP))

    def _read(self, most: int) -> bytes:
        data: bytes = self._file.read(most)
        if not data:
            raise SourceError(self.name, "ended before its planned size", self.remedy)
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file object."""
        with self.errors(self.name):
            self._file.close()


def reader_of(file: BinaryIO, name: str = "the image") -> PositionalReader:
    """A reader of what is in an open binary file, which stays the caller's to close; `name` is for
    messages.

    Past the object goes only what is plainly a descriptor's file, for others may do something to
    the bytes (decompress, decrypt).
    """
    raw = getattr(file, "raw", file)
    if isinstance(raw, PositionalFile):
        return raw.reader
    if type(raw) is io.FileIO and raw.seekable():
        return DescriptorReader(_of_its_own(raw.fileno()))
    return SeekingReader(file, name)


def _of_its_own(descriptor: int) -> int:
    """Another descriptor of the same file, whose position is not the caller's where that can be."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", READ_ONLY)
    except OSError:
        return os.dup(descriptor)
