"""Wiping: a file's bytes are overwritten, then its name is removed.

That is worth something where a file's blocks stay where they are. A file system that writes
elsewhere (btrfs, ZFS, any with snapshots), a journal of data, and a disk of flash keep the old
bytes all the same (docs/threat-model.md).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

_ZEROS = bytes(1 << 20)
_FLAGS = (
    os.O_WRONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


def wipe(path: str | os.PathLike[str]) -> None:
    """Overwrite the file at `path`, and remove it; of a link, only the link is removed.

    What is not there needs no wiping. Raises `OSError` if it cannot be removed.
    """
    with suppress(OSError):
        _make_writable(path)
        descriptor = os.open(path, _FLAGS)
        try:
            overwrite(descriptor)
        finally:
            os.close(descriptor)
    with suppress(FileNotFoundError):
        os.unlink(path)


def _make_writable(path: str | os.PathLike[str]) -> None:
    if stat.S_ISREG(os.lstat(path).st_mode):
        os.chmod(path, 0o600)


def overwrite(descriptor: int) -> None:
    """Fill an open regular file with zeros, as far as its blocks go, and flush it to the disk.

    Holes stay holes: nothing is in them, and to fill them may take more room than there is.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return
    for at, end in _blocks(descriptor, status.st_size):
        while at < end:
            at += os.pwrite(descriptor, _ZEROS[: end - at], at)
    os.fsync(descriptor)


def _blocks(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has blocks: begins and ends, or all of it where there is no telling."""
    if not hasattr(os, "SEEK_DATA"):
        yield 0, size
        return
    at = 0
    while at < size:
        try:
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno != errno.ENXIO:  # which is to say that there are no more
                yield at, size
            return
        yield begin, min(end, size)
        at = end


def wipe_tree(directory: str | os.PathLike[str]) -> None:
    """Wipe all files in a directory, and remove it with them; no link is followed.

    What is not there needs no wiping. Raises `OSError` if something cannot be removed.
    """
    for root, directories, files in os.walk(directory, topdown=False):
        for name in files:
            wipe(os.path.join(root, name))
        for name in directories:
            below = os.path.join(root, name)
            os.unlink(below) if os.path.islink(below) else os.rmdir(below)
    with suppress(FileNotFoundError):
        os.rmdir(directory)


class Replaced:
    """Wipes the file that another one takes the name of, once it has; a context manager.

    The name leads to a whole file at all times. If the block fails, the old file stays.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._descriptor = -1
        with suppress(OSError):
            self._descriptor = os.open(path, _FLAGS)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> None:
        if self._descriptor < 0:
            return
        try:
            if kind is None and os.fstat(self._descriptor).st_nlink == 0:
                with suppress(OSError):
                    overwrite(self._descriptor)
        finally:
            os.close(self._descriptor)
