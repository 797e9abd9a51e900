"""Wiping: a file's bytes are overwritten, before or after its name is removed.

That is worth something where a file's blocks stay where they are. A file system that writes
elsewhere (btrfs, ZFS, any with snapshots), a journal of data, and a disk of flash keep the old
bytes all the same (docs/threat-model.md).
"""

from __future__ import annotations

import os
import stat

from ..errors import TargetError
from ..reading.gaps import holes, with_gaps
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
    size = status.st_size
    for at, end, is_hole in with_gaps(holes(descriptor, size), 0, size):
        while at < end and not is_hole:
            at += os.pwrite(descriptor, _ZEROS[: end - at], at)
    os.fsync(descriptor)
