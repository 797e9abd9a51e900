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
from ..model.entry import decode
from ..model.extent import Data, Extent, FileRange, Readable, Stream
from .positional import PositionalFile

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a source that became a pipe must not hang us
    | getattr(os, "O_BINARY", 0)
)
_AGAIN = "pack again once it is left alone"
_SKIP = 1 << 20
"""Bytes of a stream that are read at once to get further in it."""


class OpenSource:
    """What extents refer to, open to be read; a context manager.

    Its methods raise `SourceError`.
    """

    extent: Extent

    def serves(self, extent: Extent) -> bool:
        """Whether the bytes of `extent` are in this source, as it was planned."""
        return extent is self.extent

    def read_into(self, view: memoryview, position: int) -> None:
        """Fill `view` with the bytes from `position` on."""
        raise NotImplementedError

    def check(self) -> object:
        """Raise if it is not as it was planned, as far as that shows by now."""

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OpenData(OpenSource):
    """Bytes that need no opening."""

    def __init__(self, extent: Data) -> None:
        self.extent = extent
        self._data = extent.data

    def read_into(self, view: memoryview, position: int) -> None:
        """Fill `view` with the bytes from `position` on."""
        view[:] = self._data[position : position + len(view)]


class OpenFile(OpenSource):
    """The file that a `FileRange` refers to, open at every position."""

    extent: FileRange

    def __init__(self, extent: FileRange, descriptor: int) -> None:
        self.extent = extent
        self.descriptor = descriptor

    @classmethod
    def of(cls, extent: FileRange) -> Self:
        """Open it. Raises `SourceError`."""
        try:
            return cls(extent, os.open(extent.path, _FLAGS))
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
            raise SourceError(decode(extent.path), "is no regular file any more", _AGAIN)
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


class OpenStream(OpenSource):
    """What a `Stream` is read from, open at one position.

    To go back is to begin again, unless the stream is one of ours that can be read anywhere.
    """

    extent: Stream

    def __init__(self, extent: Stream, stream: Readable) -> None:
        self.extent = extent
        self._stream = stream
        self._position = 0

    @classmethod
    def of(cls, extent: Stream) -> Self:
        """Open it. Raises `SourceError`."""
        try:
            return cls(extent, extent.store.open(extent.key, extent.name))
        except OSError as error:
            raise _unreadable_stream(extent, error) from None

    def serves(self, extent: Extent) -> bool:
        """Whether the bytes of `extent` are in this stream."""
        own = self.extent
        return type(extent) is Stream and extent.store is own.store and extent.key == own.key

    def read_into(self, view: memoryview, position: int) -> None:
        """Fill `view` with the bytes from `position` on. Raises `SourceError` if there are less."""
        if position != self._position:
            self._move(position)
        done = 0
        while done < len(view):
            data = self._read(len(view) - done)
            view[done : done + len(data)] = data
            done += len(data)

    def check(self) -> None:
        """Raise `SourceError` if all has been read that was planned, and there is more."""
        if self._position == self.extent.size:
            try:
                more = self._stream.read(1)
            except OSError as error:
                raise _unreadable_stream(self.extent, error) from None
            if more:
                raise SourceError(self.extent.name, "is longer than its planned size", _AGAIN)

    def close(self) -> None:
        """Let go of it. Raises `SourceError`."""
        try:
            self._stream.close()
        except OSError as error:
            raise _unreadable_stream(self.extent, error) from None

    def _move(self, position: int) -> None:
        if isinstance(self._stream, PositionalFile):  # not every stream can, and some only say so
            self._position = self._stream.seek(position)
            return
        if position < self._position:
            self._begin_again()
        while self._position < position:
            self._read(min(position - self._position, _SKIP))

    def _begin_again(self) -> None:
        self.close()
        self._stream = type(self).of(self.extent)._stream
        self._position = 0

    def _read(self, most: int) -> bytes:
        try:
            data = self._stream.read(most)
        except OSError as error:
            raise _unreadable_stream(self.extent, error) from None
        if not data:
            raise SourceError(self.extent.name, "ended before its planned size", _AGAIN)
        self._position += len(data)
        return data


def open_source(extent: Extent) -> OpenSource:
    """The source of `extent`, which has bytes of its own, open to be read. Raises `SourceError`."""
    if isinstance(extent, FileRange):
        return OpenFile.of(extent)
    if isinstance(extent, Stream):
        return OpenStream.of(extent)
    assert isinstance(extent, Data)
    return OpenData(extent)


def read_extent(extent: Extent, view: memoryview) -> None:
    """Fill `view` with all bytes of `extent`, whose length it has. Raises `SourceError`.

    Most sources are small, and this is all that happens to them.
    """
    if type(extent) is FileRange:
        _read_range(extent, view)
    elif type(extent) is Stream:
        with OpenStream.of(extent) as source:
            source.read_into(view, extent.start)
            source.check()
    else:
        view[:] = extent.data if type(extent) is Data else bytes(len(view))


def _read_range(extent: FileRange, view: memoryview) -> None:
    """As `OpenFile` does it, by as few calls as can be: there may be a million files."""
    try:
        descriptor = os.open(extent.path, _FLAGS)
    except OSError as error:
        raise _unreadable(extent, error) from None
    try:
        if os.preadv(descriptor, (view,), extent.start) == len(view):
            status = os.fstat(descriptor)
            if status.st_mtime_ns == extent.mtime_ns and status.st_size == extent.size:
                return
        source = OpenFile(extent, descriptor)  # takes its time, and tells what is wrong
        source.read_into(view, extent.start)
        source.check()
    except OSError as error:
        raise OpenFile(extent, descriptor).failed(error) from None
    finally:
        os.close(descriptor)


def changed(extent: FileRange, status: os.stat_result) -> SourceError:
    """The error for a file that is not what it was."""
    path = decode(extent.path)
    if status.st_size != extent.size:
        how = "grew" if status.st_size > extent.size else "shrank"
        rule = f"{how} from {extent.size:,} to {status.st_size:,} bytes since it was planned"
    else:
        rule = "was modified since it was planned"
    return SourceError(path, rule, _AGAIN)


def _unreadable(extent: FileRange, error: OSError) -> SourceError:
    return SourceError.of(decode(extent.path), "cannot be read", error, _AGAIN)


def _unreadable_stream(extent: Stream, error: OSError) -> SourceError:
    return SourceError.of(extent.name, "cannot be read", error)
