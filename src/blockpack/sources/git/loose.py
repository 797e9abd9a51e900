"""Loose objects: those that lie in files of their own, as what was committed or pushed last does.

A file is the zlib stream of a header (``blob``, a space, the size in bytes, a NUL) and of the bytes
(gitformat-loose(5)). As with packs, what is wrong with one is left to git to say.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Sequence
from contextlib import suppress

_HEADER = 32
"""More bytes than a header has."""

_FIRST = 128
"""Bytes of a file that a header is in."""


class LooseBlobs:
    """The loose blobs in some directories of objects."""

    def __init__(self, directories: Sequence[str]) -> None:
        self._directories = tuple(directories)
        self._names: dict[str, dict[str, str]] = {}

    def size(self, oid: bytes) -> int | None:
        """The size of a blob in bytes; None if it is not loose, or git is to read it."""
        with suppress(OSError, zlib.error):
            data = self._file(oid, _FIRST)
            if data is not None:
                return _size(zlib.decompressobj().decompress(data, _HEADER))
        return None

    def read(self, oid: bytes, size: int) -> bytes | None:
        """The `size` bytes of a blob; None if git is to read it."""
        with suppress(OSError, zlib.error):
            data = self._file(oid, size + (size >> 8) + _FIRST)
            stream = zlib.decompressobj()
            if data is not None:
                found = stream.decompress(data, size + _HEADER)
                _, _, content = found.partition(b"\0")
                if stream.eof and len(content) == size and _size(found) == size:
                    return content
        return None

    def _file(self, oid: bytes, most: int) -> bytes | None:
        """The first bytes of the file of an object; None if it has none. Raises `OSError`."""
        name = oid.hex()
        path = self._listed(name[:2]).get(name[2:])
        if path is None:
            return None
        descriptor = opened(path)
        try:
            return os.read(descriptor, most)
        finally:
            os.close(descriptor)

    def _listed(self, begin: str) -> dict[str, str]:
        """The files of the objects whose ids begin so: most are in packs, and need no look."""
        if begin not in self._names:
            found: dict[str, str] = {}
            for directory in reversed(self._directories):
                place = os.path.join(directory, begin)
                with suppress(OSError):
                    found |= {name: os.path.join(place, name) for name in os.listdir(place)}
            self._names[begin] = found
        return self._names[begin]


def opened(path: str) -> int:
    """A descriptor on a regular file. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a regular file", path)
    return descriptor


def _size(data: bytes) -> int | None:
    head, end, _ = data.partition(b"\0")
    kind, _, size = head.partition(b" ")
    return int(size) if end and kind == b"blob" and size.isdigit() else None
