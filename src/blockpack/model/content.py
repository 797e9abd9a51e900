"""What a caller has for a file's bytes, as a store and a key: the contents that `Tree.add` takes.

Bytes are their own key. A path names a file on disk, which the kernel reads by itself. Everything
else is opened when it is read: a file object that seeks, a resource (`importlib.resources`), or
whatever a callable opens.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Hashable
from contextlib import closing
from typing import IO, ClassVar, Literal, Protocol

from attrs import frozen

from ..errors import SourceError, UsageError, bytes_of, reading_errors, require_open, size_of
from .entry import MEMORY, File, location
from .extent import Extent, FileRange, Readable, Stream


class Resource(Protocol):
    """What `importlib.resources` gives for a file, as far as it is needed."""

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        """The file."""


class SeekingFile(Protocol):
    """A file object that seeks."""

    def read(self, most: int, /) -> bytes:
        """The next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move; the new position."""


Content = (
    bytes
    | bytearray
    | memoryview
    | os.PathLike[str]
    | Resource
    | SeekingFile
    | Callable[[], Readable]
)
"""Bytes; the path of a file; a file object that seeks; a resource; or what opens a file object."""


@frozen(weakref_slot=False)
class FilesOnDisk:
    """Files on disk: a key is what comes after `above` in a file's absolute path, as bytes or, for
    it can be the very string that is the path in the tree, as text.
    """

    forkable: ClassVar[bool] = True

    above: bytes = b""

    def path(self, file: File) -> bytes:
        """Where it is."""
        key: str | bytes = file.key  # type: ignore[assignment]
        # As `encode` does it, without a call: there may be a million files.
        return self.above + (
            key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
        )

    def extent(self, file: File, offset: int) -> Extent:
        """The whole file; its size and time are compared when it is read."""
        return FileRange(offset, file.size, self.path(file), file.size, file.stamp)


DISK = FilesOnDisk()
"""The one store of files on disk that are named one by one."""


class Opened:
    """What a callable opens, anew each time that it is read; it is in no other process."""

    forkable: ClassVar[bool] = False

    def __init__(self, opening: Callable[[], Readable], identity: Hashable = None) -> None:
        """What has the same `identity` opens the same bytes; without one, nothing else does."""
        self._opening = opening
        self._identity = identity

    def extent(self, file: File, offset: int) -> Extent:
        """All of it as a stream."""
        return Stream(offset, file.size, self, None, file.path)

    def open(self, key: Hashable, name: str) -> Readable:
        """It from its start."""
        return self._opening()

    def identity(self, key: Hashable) -> Hashable:
        """What was given as such, or it alone."""
        return self._identity or self


class _Called(Opened):
    """What a caller's callable opens."""

    def open(self, key: Hashable, name: str) -> Readable:
        """It from its start. Raises `UsageError` for what is no binary file."""
        return _Guarded(self._opening(), name)


class _Guarded:
    """A caller's file object, which gives bytes, and no more than are asked for, or an error."""

    def __init__(self, file: Readable, path: str) -> None:
        if not hasattr(file, "read") or not hasattr(file, "close"):
            rule = f"{type(file).__name__} is not a file object"
            raise UsageError(path, rule, "give what opens a binary file")
        require_open(file, path)
        self._file = file
        self._path = path
        self.close = file.close

    def read(self, most: int, /) -> bytes:
        return bytes_of(self._file, most, self._path)


class _Shared:
    """A caller's file object, read from a position of one's own."""

    def __init__(self, file: SeekingFile, path: str, lock: threading.Lock) -> None:
        self._file = file
        self._path = path
        self._lock = lock
        self._position = 0

    def read(self, most: int, /) -> bytes:
        with self._lock:
            require_open(self._file, self._path)
            self._file.seek(self._position)
            data = bytes_of(self._file, most, self._path)
        self._position += len(data)
        return data

    def close(self) -> None:
        """It is the caller's to close."""


def file_of(path: str, content: Content, size: int | None) -> File:
    """The file `path` with `content`; `size` (bytes) is needed for a callable, and must be right
    for all else. Raises `UsageError` for a wrong type or size, and `SourceError` for what cannot be
    read.
    """
    if callable(content):
        if size is None:
            raise UsageError(path, "a callable needs a size", "give its size")
        return File(path, size, _Called(content), None)
    found = _measured(path, content)
    if size is not None and size != found.size:
        rule = f"has {found.size:,} bytes, and size says {size}"
        raise UsageError(path, rule, "leave the size out")
    return found


def _measured(path: str, content: object) -> File:
    if isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
        return File(path, len(data), MEMORY, data)
    if isinstance(content, os.PathLike):
        return on_disk(path, os.fsdecode(content))
    if hasattr(content, "seek") and hasattr(content, "read"):
        lock = threading.Lock()
        require_open(content, path)
        with reading_errors(path):
            size = size_of(content)
            bytes_of(content, 0, path)
        return File(path, size, Opened(lambda: _Shared(content, path, lock)), None)
    if hasattr(content, "open"):
        opened = _Called(lambda: content.open("rb"))
        return File(path, _length(path, opened), opened, None)
    rule = f"{type(content).__name__} is not content for a file"
    raise UsageError(path, rule, "give bytes, a Path, a file object, or what opens one and a size")


def _length(path: str, resource: Opened) -> int:
    """The bytes of a resource, which has no size but that of what is read."""
    with reading_errors(path), closing(resource.open(None, path)) as file:
        return sum(map(len, iter(lambda: file.read(1 << 20), b"")))


def on_disk(path: str, at: str) -> File:
    """The file at `at`, as `path`; a symbolic link to a file is followed. Raises `SourceError`."""
    place = os.path.abspath(location(at))
    with reading_errors(at):
        status = os.stat(place)
    if stat.S_ISDIR(status.st_mode):
        remedy = "give a file, or join its tree: join(path, scan(directory))"
        raise SourceError(at, "is a directory", remedy)
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(at, "is not a regular file", "give the path of a file")
    if not os.access(place, os.R_OK):
        raise SourceError(at, "cannot be read: permission denied", "make it readable")
    time, owner = status.st_mtime_ns, (status.st_uid, status.st_gid)
    return File(path, status.st_size, DISK, place, time, stat.S_IMODE(status.st_mode), time, *owner)
