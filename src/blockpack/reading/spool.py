"""Bytes that wait for their image in a temporary file, which is gone with whoever refers to it.

Packed objects do, and archives that have to be decompressed. Processes may write into it side by
side, each where it was told to. It is sparse: room that turned out not to be needed takes none.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from ..errors import TargetError, reason
from ..model.extent import FileRange

_HAS_PATHS = os.path.isdir("/proc/self/fd")
"""Whether a file without a name can be found by its descriptor."""

_PIECE = 1 << 20
"""Bytes that are read at once."""

_GATHERED = 256 << 10
"""Bytes that are written at once, as long as objects are smaller."""


@contextmanager
def _errors() -> Iterator[None]:
    """Turn an operating system's error about the temporary file into a `TargetError`."""
    try:
        yield
    except OSError as error:
        rule = f"temporary data cannot be written there: {reason(error)}"
        remedy = "free some space, or set TMPDIR to a directory with more"
        raise TargetError(_directory(), rule, remedy) from None


def _directory() -> str:
    """Where temporary files go; `tempfile` names another directory once that one is full."""
    named = filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP")))
    if os.path.isdir(directory := next(named, "/tmp")):
        return directory
    import tempfile  # slow to import, and seldom needed

    return tempfile.gettempdir()


def _temporary_file() -> tuple[int, str | None]:
    """The descriptor of a new file, and its path if it has one."""
    if _HAS_PATHS and hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # not every file system has files without a name
            return os.open(_directory(), os.O_TMPFILE | os.O_EXCL | os.O_RDWR, 0o600), None
    import tempfile

    return tempfile.mkstemp(prefix="blockpack-")


_in_memory = ContextVar("_in_memory", default=False)


@contextmanager
def in_memory() -> Iterator[None]:
    """Spool to memory meanwhile, instead of to a file, because it is secret."""
    before = _in_memory.set(True)
    try:
        yield
    finally:
        _in_memory.reset(before)


def _end(descriptor: int, name: str | None) -> None:
    os.close(descriptor)
    if name is not None:
        os.unlink(name)


class Spool:
    """A temporary file without a name, where the system has such, that extents can refer to."""

    def __init__(self) -> None:
        name = None
        with _errors():
            if not _in_memory.get():
                self.descriptor, name = _temporary_file()
            elif _HAS_PATHS and hasattr(os, "memfd_create"):
                self.descriptor = os.memfd_create("blockpack")
            else:
                raise TargetError("", "temporary data cannot be kept in memory on this system")
        if _HAS_PATHS:  # of descriptors, which lead there in a forked process, too
            if name is not None:
                os.unlink(name)
            self.path, name = f"/proc/self/fd/{self.descriptor}".encode("ascii"), None
        else:
            self.path = os.fsencode(name or "")
        weakref.finalize(self, _end, self.descriptor, name)

    @property
    def size(self) -> int:
        """The length of the file in bytes."""
        return os.fstat(self.descriptor).st_size

    def write(self, data: bytes | bytearray, offset: int) -> None:
        """Write `data` at `offset` bytes. Raises `TargetError`."""
        view = memoryview(data)
        with _errors():
            while view:
                count = os.pwrite(self.descriptor, view, offset)
                view = view[count:]
                offset += count

    def truncate(self, size: int) -> None:
        """Make it `size` bytes long; what was never written is zeros. Raises `TargetError`."""
        with _errors():
            os.ftruncate(self.descriptor, size)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start` on, in pieces. Raises `TargetError`."""
        end = start + length
        while start < end:
            with _errors():
                data = os.pread(self.descriptor, min(end - start, _PIECE), start)
            if not data:
                rule = "temporary data there is gone"
                raise TargetError(_directory(), rule, "pack again")
            start += len(data)
            yield data

    def damaged(self, oid: bytes) -> TargetError:
        """The error for an object that has changed since it was written here."""
        return TargetError(_directory(), f"object {oid.hex()} was damaged there")

    def extent(self, offset: int, length: int, start: int) -> FileRange:
        """`length` bytes from `start` on, at `offset` of an image. All is written by now."""
        status = os.fstat(self.descriptor)
        return FileRange(offset, length, self.path, status.st_size, status.st_mtime_ns, start)


class SpoolWriter:
    """Puts bytes into a spool end to end, small pieces many at a time."""

    def __init__(self, spool: Spool, start: int) -> None:
        self.at = start
        """Where the next byte goes."""
        self._spool = spool
        self._waiting: list[bytes] = []
        self._written = start

    def put(self, data: bytes) -> None:
        """Put what comes next. Raises `TargetError`."""
        self._waiting.append(data)
        self.at += len(data)
        if self.at - self._written >= _GATHERED:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises `TargetError`."""
        self._spool.write(b"".join(self._waiting), self._written)
        self._waiting.clear()
        self._written = self.at
