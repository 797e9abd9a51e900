"""Reading what extents refer to, and noticing sources that are not what they were.

Rule 1: positions are the source's own, in bytes from its start, so that one open source serves all
extents of it.
Rule 2: a file is compared by its open descriptor, never by its name: size and time before the first
byte is used, and again after the last.
Rule 3: a stream has just as many bytes as were planned.
"""

from __future__ import annotations

import os
import stat
from typing import Self

from ..errors import SourceError
from ..model.content import FilesOnDisk
from ..model.entry import File, decode
from ..model.extent import Data, Extent, FileRange, Readable, Stream, WholeStore
from .lifetime import Closing
from .positional import AGAIN, READ_ONLY, BytesReader, ReopenedReader

SOURCE_FLAGS = READ_ONLY | getattr(os, "O_NONBLOCK", 0)
"""Flags for opening a source: one that became a pipe must not hang us."""


class OpenData(BytesReader):
    """Bytes that need no opening."""

    def serves(self, extent: Extent) -> bool:
        """False: there is nothing to be kept open."""
        return False

    def check(self) -> None:
        """Nothing changes them."""


class OpenFile(Closing):
    """The file that a `FileRange` refers to, open at every position; a context manager."""

    def __init__(self, extent: FileRange, descriptor: int) -> None:
        self.extent = extent
        self.descriptor = descriptor

    @classmethod
    def of(cls, extent: FileRange) -> Self:
        """Open it. Raises `SourceError`."""
        try:
            return cls(extent, os.open(extent.path, SOURCE_FLAGS))
        except OSError as error:
            raise _unreadable(extent, error) from None

    def serves(self, extent: Extent) -> bool:
        """Whether the bytes of `extent` are in this file, as it was planned."""
        own = self.extent
        return (
            type(extent) is FileRange
            and extent.path == own.path
            and (extent.size, extent.mtime_ns) == (own.size, own.mtime_ns)
        )

    def read_into(self, view: memoryview, position: int) -> None:
        """Fill `view` with the bytes from `position` on. Raises `SourceError` if there are less."""
        try:
            done = read = os.preadv(self.descriptor, [view], position)
            while done < len(view):  # short reads are rare, but allowed
                if not read:
                    raise changed(self.extent, os.fstat(self.descriptor))
                read = os.preadv(self.descriptor, [view[done:]], position + done)
                done += read
        except OSError as error:
            raise self.failed(error) from None

    def check(self) -> os.stat_result:
        """The file's status. Raises `SourceError` unless it is as it was planned."""
        extent = self.extent
        try:
            status = os.fstat(self.descriptor)
        except OSError as error:
            raise _unreadable(extent, error) from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(decode(extent.path), "is not a regular file any more", AGAIN)
        if status.st_size != extent.size or status.st_mtime_ns != extent.mtime_ns:
            raise changed(extent, status)
        return status

    def failed(self, error: OSError) -> SourceError:
        """What to raise for an `error` in reading; a file that became something else says so."""
        self.check()
        return _unreadable(self.extent, error)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


class OpenStream(ReopenedReader):
    """What a `Stream` is read from. Raises `SourceError` if it cannot be opened, and if it has less
    bytes than were planned, or more.
    """

    def __init__(self, extent: Stream) -> None:
        self.extent = extent

        def opening() -> Readable:
            return extent.store.open(extent.key, extent.name)

        super().__init__(opening, extent.size, extent.name, seeks=False)

    def serves(self, extent: Extent) -> bool:
        """Whether the bytes of `extent` are in this stream."""
        own = self.extent
        return type(extent) is Stream and extent.store is own.store and extent.key == own.key


OpenSource = OpenData | OpenFile | OpenStream
"""What extents refer to, open to be read; its methods raise `SourceError`."""


def open_source(extent: Extent) -> OpenSource:
    """The source of `extent`, which has bytes of its own, open to be read. Raises `SourceError`."""
    if isinstance(extent, FileRange):
        return OpenFile.of(extent)
    if isinstance(extent, Stream):
        return OpenStream(extent)
    assert isinstance(extent, Data)
    return OpenData(extent.data)


def read_extent(extent: Extent, view: memoryview) -> None:
    """Fill `view` with all bytes of `extent`, whose length it has. Raises `SourceError`.

    Most sources are small, and this is all that happens to them.
    """
    if type(extent) is FileRange:
        read_range(view, extent.path, extent.start, extent.size, extent.mtime_ns)
    elif type(extent) is Stream:
        _read_stream(extent, view)
    else:
        view[:] = extent.data if type(extent) is Data else bytes(len(view))


def file_bytes(file: File) -> bytes:
    """All bytes of a file, which is small. Raises `SourceError`."""
    data = bytearray(file.size)
    if data:
        read_extent(file.extent(), memoryview(data))
    return bytes(data)


def read_file(file: File, view: memoryview) -> bool:
    """Fill `view`, which has the size of `file`, with all its bytes; False if that takes an extent,
    for the file is neither on disk by itself nor whole in its store.

    Raises `SourceError`.
    """
    store = file.store
    if type(store) is FilesOnDisk:
        read_range(view, store.path(file), 0, file.size, file.stamp)
        return True
    data = store.whole(file.key) if isinstance(store, WholeStore) else None
    if data is None or len(data) != len(view):
        return False
    view[:] = data
    return True


def read_range(
    view: memoryview, path: bytes, start: int, size: int, mtime_ns: int, descriptor: int = -1
) -> None:
    """Fill `view` with bytes of a file as `OpenFile` does it, by as few calls as can be: there may
    be a million files. It is opened for that, unless it has a `descriptor`. Raises `SourceError`.
    """
    opening = descriptor < 0
    if opening:
        try:
            descriptor = os.open(path, SOURCE_FLAGS)
        except OSError as error:
            raise _unreadable(FileRange(0, len(view), path, size, mtime_ns, start), error) from None
    try:
        if os.preadv(descriptor, (view,), start) == len(view):
            status = os.fstat(descriptor)
            if status.st_mtime_ns == mtime_ns and status.st_size == size:
                return
        source = OpenFile(FileRange(0, len(view), path, size, mtime_ns, start), descriptor)
        source.read_into(view, start)  # takes its time, and tells what is wrong
        source.check()
    except OSError as error:
        extent = FileRange(0, len(view), path, size, mtime_ns, start)
        raise OpenFile(extent, descriptor).failed(error) from None
    finally:
        if opening:
            os.close(descriptor)


def _read_stream(extent: Stream, view: memoryview) -> None:
    """As `OpenStream` does it, by as few calls as can be: so packing a commit takes no longer than
    ``git archive``.
    """
    try:
        file = extent.store.open(extent.key, extent.name)
        try:
            data = file.read(len(view)) if len(view) == extent.size else b""
            if len(data) == len(view) and not file.read(1):
                view[:] = data
                return
        finally:
            file.close()
    except OSError as error:
        raise SourceError.of(extent.name, "cannot be read", error) from None
    with OpenStream(extent) as source:  # takes its time, and tells what is wrong
        source.read_into(view, extent.start)
        source.check()


def changed(extent: FileRange, status: os.stat_result) -> SourceError:
    """The error for a file that has changed."""
    path = decode(extent.path)
    if status.st_size != extent.size:
        how = "grew" if status.st_size > extent.size else "shrank"
        rule = f"{how} from {extent.size:,} to {status.st_size:,} bytes since it was planned"
    else:
        rule = "was modified since it was planned"
    return SourceError(path, rule, AGAIN)


def _unreadable(extent: FileRange, error: OSError) -> SourceError:
    return SourceError.of(decode(extent.path), "cannot be read", error, AGAIN)
