"""Opening targets so that no reader ever sees half an image, and no device is hurt.

A regular file is written without a name (`O_TMPFILE`) where the file system can, so that not
even a power cut leaves something behind, and gets the target's name when it is whole.
Elsewhere it has a temporary name beside the target until then.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import TargetError
from ..planning.layout import Layout
from .space import require_space
from .targets import Seekable, target_errors

_BLKSSZGET = 0x1268
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


@contextmanager
def replacing(path: str, layout: Layout, fsync: bool) -> Iterator[Seekable]:
    """A new file that takes the place of `path` if the block ends well.

    With `fsync` the file is flushed before it gets its name, and the directory after.
    Raises `TargetError`.
    """
    name = path
    path = os.path.realpath(path)  # a link stays, what it leads to is replaced
    directory = os.path.dirname(path)
    temporary = temporary_beside(path)
    descriptor = -1
    try:
        with target_errors(name):
            if not os.path.isdir(directory):
                raise TargetError(name, f"there is no directory {directory}", "make it first")
            require_space(directory, layout)
            descriptor, named = _create(temporary)
            with suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
            os.ftruncate(descriptor, layout.size)
        yield Seekable(name, descriptor, holes=True)
        with target_errors(name):
            if fsync:
                os.fsync(descriptor)
            if not named:
                _name(descriptor, temporary)
            closing, descriptor = descriptor, -1
            os.close(closing)  # the last chance of a network's file system to say that it is full
            os.replace(temporary, path)
            if fsync:
                _flush_directory(directory)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        with suppress(OSError):
            os.unlink(temporary)


def _create(temporary: str) -> tuple[int, bool]:
    """A new file: its descriptor, and whether it has the name `temporary` or none yet."""
    flags = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
        try:
            return os.open(os.path.dirname(temporary), flags | os.O_TMPFILE, 0o666), False
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    return os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o666), True


def _name(descriptor: int, path: str) -> None:
    """Give the nameless file `descriptor` the name `path` (open(2), "O_TMPFILE")."""
    # Following the link in /proc takes linkat(), which Python calls if given a directory.
    directory = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(descriptor), path, src_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def temporary_beside(path: str) -> str:
    """A name in the same directory that nobody has; short, whatever the target's name."""
    return os.path.join(os.path.dirname(path), f".blockpack-{os.urandom(8).hex()}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file of that name was made to be put in place of another one."""
    return re.fullmatch(r"\.blockpack-[0-9a-f]{16}\.tmp", name) is not None


def _flush_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def device(path: str, layout: Layout) -> Iterator[Seekable]:
    """The block device `path`, if nobody uses it and `layout` fits; flushed at the end.

    Raises `TargetError`.
    """
    name = path
    with target_errors(name):
        try:
            # O_EXCL on a device, without O_CREAT: refused while it is mounted or held.
            descriptor = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise TargetError(name, "the device is in use", "unmount it first") from None
            raise
    try:
        with target_errors(name):
            _require_fit(name, descriptor, layout)
        yield Seekable(name, descriptor, holes=False)
        with target_errors(name):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_fit(name: str, descriptor: int, layout: Layout) -> None:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size < layout.size:
        rule = f"the image has {layout.size:,} bytes, the device {size:,}"
        raise TargetError(name, rule, "use a larger device, or pack less")
    from fcntl import ioctl

    sector = int(struct.unpack("i", ioctl(descriptor, _BLKSSZGET, bytes(4)))[0])
    if sector > layout.sector_size:
        rule = f"the device has sectors of {sector} bytes, the image of {layout.sector_size}"
        raise TargetError(name, rule, option=f"sector_size={sector}")
