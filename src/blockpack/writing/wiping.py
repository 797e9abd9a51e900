"""Wiping: a file's bytes are overwritten, before or after its name is removed.

That is worth something where a file's blocks stay where they are. A file system that writes
elsewhere (btrfs, ZFS, any with snapshots), a journal of data, and a disk of flash keep the old
bytes all the same (docs/threat-model.md).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from ..errors import TargetError
from ..reading.lifetime import held
from ..reading.ownership import open_trusted

_ZEROS = bytes(1 << 20)


def open_to_wipe(name: str | bytes, dir_fd: int | None) -> int:
    """The descriptor of a file that may be overwritten: a regular one that has no other name.

    It may have been given to another user, as libvirt gives images to QEMU's. Raises `TargetError`
    for others, and `OSError` if it cannot be opened.
    """

    def opened(flags: int) -> int:
        return open_trusted(name, TargetError, dir_fd=dir_fd, flags=flags, of_anybody=True)

    try:
        return opened(os.O_WRONLY)
    except PermissionError:  # it is read-only, as an image of a generation
        with held(opened(os.O_RDONLY)) as descriptor:
            os.fchmod(descriptor, 0o600)
        return opened(os.O_WRONLY)


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
