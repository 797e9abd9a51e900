"""How much space generations take, what they share counted once.

Files that are linked are one file. Files that were cloned (btrfs, XFS) have the same blocks: where
these lie is what the kernel tells by FIEMAP (linux/fiemap.h).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_FIEMAP = 0xC020660B  # FS_IOC_FIEMAP
_REQUEST = struct.Struct("=QQLLLL")  # start, length, flags, extents found, room for so many, -
_EXTENT = struct.Struct("=QQQ16xL12x")  # offset in the file, place on the disk, length, flags
_LAST, _UNKNOWN = 0x01, 0x02
_ROOM = 500  # extents that are asked for at once

Piece = tuple[int, ...]
"""What takes space: a device and a place there; or a device and a file, if that is not known."""


def disk_use(directories: Iterable[Path]) -> int:
    """Bytes that the files in `directories` take on the disk. What cannot be seen counts 0."""
    pieces: dict[Piece, int] = {}
    for directory in directories:
        with suppress(OSError):
            for path in directory.iterdir():
                pieces.update(_pieces(path))
    return sum(pieces.values())


def _pieces(path: Path) -> dict[Piece, int]:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return {}
    size = status.st_blocks * 512
    with suppress(ImportError, OSError), open(path, "rb", buffering=0) as file:
        extents = list(_extents(file.fileno()))
        rest = size - sum(length for _, length in extents)
        # What is compressed, or not on the disk yet, shows there as something else.
        if rest >= 0 and all(place for place, _ in extents):
            shared: dict[Piece, int] = {(status.st_dev, *extent): extent[1] for extent in extents}
            return {**shared, (status.st_dev, status.st_ino): rest}
    return {(status.st_dev, status.st_ino): size}


def _extents(descriptor: int) -> Iterator[tuple[int, int]]:
    """Where the extents of a file lie, and how long they are. Raises `OSError`."""
    from fcntl import ioctl  # not on Windows

    start, flags = 0, 0
    while not flags & _LAST:
        request = bytearray(_REQUEST.size + _ROOM * _EXTENT.size)
        _REQUEST.pack_into(request, 0, start, (1 << 64) - 1 - start, 0, 0, _ROOM, 0)
        ioctl(descriptor, _FIEMAP, request)
        count = _REQUEST.unpack_from(request)[3]
        if not count:
            return
        for number in range(count):
            found = _EXTENT.unpack_from(request, _REQUEST.size + number * _EXTENT.size)
            offset, place, length, flags = found
            yield 0 if flags & _UNKNOWN else place, length
            start = offset + length
