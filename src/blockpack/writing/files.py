"""Opening targets so that no reader ever sees half an image, and no device is hurt.

A regular file is written without a name (`O_TMPFILE`) where the file system can, so that not
even a power cut leaves something behind, and gets the target's name when it is whole.
Elsewhere it has a temporary name beside the target until then.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..errors import TargetError
from ..model.extent import FileRange, Zeros
from ..planning.layout import CLONE_BLOCK, WORTH_CLONING, Layout
from ..reading.lifetime import held
from .place import Place
from .replacement import replaceable, replacing
from .targets import Seekable, Streaming, target_errors

_BLKSSZGET = 0x1268

_MOST_LINKS = 40  # as Linux follows

_OPEN_FILE = re.compile("/(?:dev|proc/(?:self|thread-self))/fd/([0-9]{1,9})")


@contextmanager
def regular_file(
    name: str, layout: Layout, *, fsync: bool, mode: int | None = None
) -> Iterator[Seekable]:
    """A new file for `layout` that takes the place of `name` if the block ends well.

    With `fsync` the file is flushed before it gets its name, and the directory after. `mode` is as
    in `replacing`. Raises `TargetError`.
    """
    with ExitStack() as stack:
        with target_errors(name):
            directory, last = final_place(name)
            require_space(directory, layout, name)
            place = stack.enter_context(Place.open(directory))
            new = replacing(place, last, flush=fsync, mode=mode)
            descriptor = stack.enter_context(new)
            os.ftruncate(descriptor, layout.size)
        yield Seekable(name, descriptor, holes=True)
        with target_errors(name):
            stack.close()


def final_place(name: str) -> tuple[str, str]:
    """The directory in which a file at `name` is written, and what it is called in there.

    Raises `TargetError` unless the directory is there, and may be written to.
    """
    with target_errors(name):
        directory, last = os.path.split(_final(name))
        directory = directory or os.curdir
        require_directory(directory, name)
        if re.match("/dev(?!/shm)(/|$)", os.path.realpath(directory)):  # a typing error: /dev/sdX
            rule = "there is no such device, and no file belongs there"
            raise TargetError(name, rule, "see which devices there are (lsblk)")
        if not os.access(directory, os.W_OK | os.X_OK):
            is_read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
            code = errno.EROFS if is_read_only else errno.EACCES
            raise OSError(code, os.strerror(code))
        return directory, last


def require_directory(directory: str, name: str) -> None:
    """Raise `TargetError` if there is no directory that `name` is to be made in."""
    if not os.path.isdir(directory):
        raise TargetError(name, f"there is no directory {directory}", "make it first")


def _final(path: str) -> str:
    """Where the links at `path` lead: they stay, and what they lead to is replaced.

    Raises `TargetError` for one that another user put where anybody may (as sysctl's
    fs.protected_symlinks), and `OSError`.
    """
    for _ in range(_MOST_LINKS):
        if not os.path.islink(path):
            return path
        directory, name = os.path.split(path)
        with Place.open(directory or os.curdir) as place:
            replaceable(place, name)
        path = os.path.join(directory, os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def own_descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the open file of this process that `path` is a name of, as ``/dev/stdout`` is
    of standard output; None if it is of none. What is open is written to, and never replaced.
    """
    at = os.fspath(path)
    for _ in range(_MOST_LINKS):
        found = _OPEN_FILE.fullmatch(os.path.abspath(at))
        if found:
            return int(found[1])
        try:
            at = os.path.join(os.path.dirname(at), os.readlink(at))
        except OSError:
            break
    return None


@contextmanager
def stream(path: str) -> Iterator[Streaming]:
    """A pipe, a device that takes bytes in order, or what is open. Raises `TargetError`."""
    number = own_descriptor(path)
    with target_errors(path):
        opened = path if number is None else os.dup(number)
        file = open(opened, "wb", buffering=0)  # noqa: SIM115 - closing it may fail, too
    try:
        yield Streaming(path, file, file.fileno())
    finally:
        with target_errors(path):
            file.close()


@contextmanager
def device(path: str, layout: Layout, *, sparing: bool = False) -> Iterator[Seekable]:
    """The block device `path`, if nobody uses it and `layout` fits; flushed at the end.

    A `sparing` one leaves what may be anything as it is.

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
    with held(descriptor):
        with target_errors(name):
            _require_fit(name, descriptor, layout)
        yield Seekable(name, descriptor, holes=False, sparing=sparing)
        with target_errors(name):
            os.fsync(descriptor)


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


def require_space(directory: str, layout: Layout, name: str) -> None:
    """Raise `TargetError` about `name` if it would not fit into the file system of `directory`."""
    free = free_bytes(directory)
    if layout.size <= free:
        return
    needed = _least(layout, os.stat(directory).st_dev)
    if needed > free:
        rule = f"takes {needed:,} bytes, and {free:,} are free there"
        raise TargetError(name, rule, "free some space, or choose another place")


def free_bytes(directory: str) -> int:
    """Bytes that may be written to the file system of `directory`."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _least(layout: Layout, device: int) -> int:
    """The least bytes that the image may take: no holes, and nothing that could be cloned."""
    needed = 0
    for extent in layout.extents:
        if type(extent) is Zeros:
            continue
        if type(extent) is FileRange and extent.length >= WORTH_CLONING:
            try:
                status = os.stat(extent.path)
            except OSError:
                continue  # the writer says what is wrong
            if status.st_dev == device and not (extent.offset | extent.start) % CLONE_BLOCK:
                continue
            needed += min(extent.length, getattr(status, "st_blocks", extent.length) * 512)
        else:
            needed += extent.length
    return needed
