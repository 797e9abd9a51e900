"""Cloning: sharing a file's blocks with the image instead of copying them.

btrfs, XFS and their like can make a range of one file refer to the blocks of another, if both
begin on a block's boundary. The kernel's `FICLONERANGE` does just that or fails; it never
falls back to copying.
"""

from __future__ import annotations

import errno
import os
import struct

from ..planning.layout import CLONE_BLOCK
from ..reading.lifetime import on_failure

FICLONERANGE = 0x4020940D
"""The ioctl's number (linux/fs.h); its argument is `struct file_clone_range`."""

_RANGE = struct.Struct("=qQQQ")  # source descriptor, source offset, length, target offset

_NEVER = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EACCES)
_NOT_THIS = (errno.EINVAL, errno.ETXTBSY, errno.EAGAIN)


class Cloner:
    """Clones ranges into one target, and remembers which file systems cannot."""

    def __init__(self) -> None:
        self._refused: set[int] = set()

    def clone(
        self, source: int, device: int, target: int, start: int, length: int, offset: int
    ) -> int:
        """Clone the whole blocks of `length` bytes from `start` of the descriptor `source`, a file
        on `device`, to `offset` of the descriptor `target`.

        The number of bytes that are done: 0 where it is not possible. Raises `OSError` if
        the target's file system is full.
        """
        length -= length % CLONE_BLOCK
        if device in self._refused or not length or (offset | start) % CLONE_BLOCK:
            return 0
        refusal = _refusal(source, target, start, length, offset)
        if refusal in _NEVER:
            self._refused.add(device)
        return 0 if refusal else length


def clone_file(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> bool:
    """Make `target` a new file of the blocks of `source`; False, and none, if it cannot be done.

    Raises `OSError` if it cannot be made, or there is no room.
    """
    with (
        open(source, "rb") as old,
        open(target, "xb") as new,
        on_failure(lambda: os.unlink(target)),
    ):
        refusal = _refusal(old.fileno(), new.fileno(), 0, 0, 0)  # no length: to the end
    if refusal:
        os.unlink(target)
    return not refusal


def _refusal(source: int, target: int, start: int, length: int, offset: int) -> int:
    """Clone a range: 0, or the number of the error by which the system says that it does not.

    Raises `OSError` for others.
    """
    try:
        from fcntl import ioctl  # not on Windows

        ioctl(target, FICLONERANGE, _RANGE.pack(source, start, length, offset))
    except ImportError:
        return errno.ENOSYS
    except OSError as error:
        if error.errno in (*_NEVER, *_NOT_THIS):
            return error.errno
        raise
    return 0
