"""Reading what extents refer to, and noticing sources that are not what they were.

A file is compared by its open descriptor, never by its name: size and time before the first
byte is used, and again after the last.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from .entry import decode
from .errors import SourceError
from .extent import FileRange, Stream

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a source that became a pipe must not hang us
    | getattr(os, "O_BINARY", 0)
)

_AGAIN = "pack again once it is left alone"


def open_range(extent: FileRange) -> int:
    """A descriptor for the file of `extent`. Raises `SourceError` if it cannot be opened."""
    try:
        return os.open(extent.path, _FLAGS)
    except OSError as error:
        raise _unreadable(extent, error) from None


def check_unchanged(descriptor: int, extent: FileRange) -> os.stat_result:
    """The status of the open file. Raises `SourceError` unless it is as it was planned."""
    try:
        status = os.fstat(descriptor)
    except OSError as error:
        raise _unreadable(extent, error) from None
    if status.st_size != extent.size or status.st_mtime_ns != extent.mtime_ns:
        raise changed(extent, status)
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(decode(extent.path), "is no regular file any more", _AGAIN)
    return status


def _unreadable(extent: FileRange, error: OSError) -> SourceError:
    rule = f"cannot be read: {(error.strerror or str(error)).lower()}"
    return SourceError(decode(extent.path), rule, _AGAIN)


def changed(extent: FileRange, status: os.stat_result) -> SourceError:
    """The error for a source that is not what it was."""
    path = decode(extent.path)
    if status.st_size != extent.size:
        how = "grew" if status.st_size > extent.size else "shrank"
        rule = f"{how} from {extent.size:,} to {status.st_size:,} bytes since it was planned"
    else:
        rule = "was modified since it was planned"
    return SourceError(path, rule, _AGAIN)


def read_into(descriptor: int, view: memoryview, extent: FileRange) -> None:
    """Fill `view` with the first bytes of `extent`. Raises `SourceError` if there are less."""
    try:
        done = read = os.preadv(descriptor, [view], extent.start)
        while done < len(view):  # short reads are rare, but allowed
            if not read:
                raise changed(extent, os.fstat(descriptor))
            read = os.preadv(descriptor, [view[done:]], extent.start + done)
            done += read
    except OSError as error:
        raise _unreadable(extent, error) from None


@contextmanager
def reading_errors(path: str) -> Iterator[None]:
    """Turn an operating system's error while reading `path` into a `SourceError`."""
    try:
        yield
    except OSError as error:
        rule = f"cannot be read: {(error.strerror or str(error)).lower()}"
        raise SourceError(path, rule) from None


def open_stream(extent: Stream) -> BinaryIO:
    """The file object of `extent`, at its start. Raises `SourceError` if it cannot be opened."""
    with reading_errors(extent.name):
        stream = extent.open()
    left = extent.start
    while left:  # not every stream can seek
        data = read_stream(stream, min(left, 1 << 20), extent)
        left -= len(data)
    return stream


def read_stream(stream: BinaryIO, most: int, extent: Stream) -> bytes:
    """Up to `most` bytes, at least one. Raises `SourceError` at the stream's early end."""
    with reading_errors(extent.name):
        data = stream.read(most)
    if not data:
        raise SourceError(extent.name, "ended before its planned size", _AGAIN)
    return data


def check_stream_end(stream: BinaryIO, extent: Stream) -> None:
    """Raise `SourceError` if the stream has more bytes than were planned."""
    with reading_errors(extent.name):
        more = stream.read(1)
    if more:
        raise SourceError(extent.name, "is longer than its planned size", _AGAIN)
