"""Small blobs read straight from a repository's packs, where they are whole.

A question to git and its answer take longer than reading a small blob. Most are in a pack, whole,
whose index tells where, or lie in a file of their own (`loose`). Whatever is not so (deltas, what
was packed meanwhile) is left to git, and so is to say what is wrong with one.
"""

from __future__ import annotations

import os
import sys
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ...formats.git.index import HEAD_SIZE, index_path, is_index
from ...formats.git.pack_format import most_packed
from ...reading.inflate import InflateError, decompress
from .loose import opened

_PACK = ".pack"

MOST_PACKS = 64
"""The most packs of a repository that are open at once, for descriptors are scarce. Git packs a
repository anew that has more than 50 (git-config(1), "gc.autoPackLimit"); what is in others is left
to git."""

_MOST_LEVELS = 6
"""How far git goes from one repository to another that it borrows from."""

_AT_ONCE = 64 << 10
"""A blob up to this size (bytes) is inflated by one call that knows no bounds: a lying pack cannot
make more than a thousand times as much of it."""

_AHEAD = 128 << 10
"""Bytes that are read at once where one blob follows another."""


class Packs:
    """Packs of a repository, those at `paths`, open to be read by any number of processes."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths: list[str] = []
        self.descriptors: list[int] = []
        self._read = (0, 0, memoryview(b""))  # what was read last: a pack's number, offset, bytes
        weakref.finalize(self, _close, self.descriptors)
        for path in paths:
            with suppress(OSError):  # git knows what is wrong, or what came instead
                self.descriptors.append(opened(path))
                self.paths.append(path)

    @classmethod
    def shared(cls, paths: Iterable[str]) -> Packs:
        """Those at `paths`; one for all who have them open, as long as they stay the same."""
        key = tuple(map(_identity, paths))
        packs = _open.get(key)
        if packs is None:
            packs = _open[key] = cls(paths)
        return packs

    def read(self, number: int, offset: int, size: int) -> bytes | None:
        """The `size` bytes of the blob at `offset` of pack `number`; None if git is to read it."""
        most = most_packed(size)
        try:
            last, start, ahead = self._read
            at = offset - start
            if last != number or not 0 <= at <= len(ahead) - most:
                ahead = self._read_on(number, offset, most)
                at = 0
            stream = ahead[at : at + most]
            if size <= _AT_ONCE:
                data = decompress(stream, bufsize=size or 1)
            else:
                inflating = zlib.decompressobj()
                data = inflating.decompress(stream, size)
                if not inflating.eof:
                    return None
        except (OSError, InflateError, zlib.error):  # of either library
            return None
        return data if len(data) == size else None

    def _read_on(self, number: int, offset: int, most: int) -> memoryview:
        """Bytes of pack `number` from `offset` on, `most` or more, as blobs mostly lie in tree
        order.
        """
        last, start, data = self._read
        follows = last == number and 0 <= offset - start <= len(data)
        read = os.pread(self.descriptors[number], max(most, _AHEAD if follows else 0), offset)
        data = memoryview(read)
        self._read = number, offset, data
        return data


def pack_paths(common_dir: str) -> list[str]:
    """The packs of the repository with this common directory, and of those that it borrows objects
    from, in a fixed order.

    Of more than `MOST_PACKS`, or than there are descriptors for, these are the largest.
    """
    found: list[str] = []
    for directory in object_directories(common_dir):
        place = os.path.join(directory, "pack")
        with suppress(OSError):
            paths = (os.path.join(place, name) for name in sorted(os.listdir(place)))
            found += (path for path in paths if path.endswith(_PACK) and _is_indexed(path))
    most = min(MOST_PACKS, _descriptors() // 8)
    if len(found) > most:
        largest = {*sorted(found, key=_size, reverse=True)[:most]}
        found = [path for path in found if path in largest]
    return found


def _descriptors() -> int:
    """How many files this process may have open."""
    try:
        import resource
    except ImportError:  # no Unix
        return 8 * MOST_PACKS
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most


def _is_indexed(path: str) -> bool:
    """Whether the pack at `path` has an index of version 2: of another one, git reads it."""
    with suppress(OSError), open(index_path(path), "rb") as index:
        return is_index(index.read(HEAD_SIZE))
    return False


def object_directories(common_dir: str) -> Iterator[str]:
    """The objects of the repository with this common directory, and of those that it borrows from,
    each directory once.
    """
    first = os.path.join(common_dir, "objects")
    met = {os.path.realpath(first)}
    level = [first]
    for _ in range(_MOST_LEVELS + 1):
        yield from level
        others = {os.path.realpath(other): other for above in level for other in _alternates(above)}
        level = [other for real, other in others.items() if real not in met]
        met |= others.keys()


def _alternates(directory: str) -> Iterator[str]:
    """Those that a directory of objects itself names (gitrepository-layout(5))."""
    with suppress(OSError), open(os.path.join(directory, "info", "alternates"), "rb") as file:
        for line in os.fsdecode(file.read()).split("\n"):
            if line and not line.startswith("#"):
                yield os.path.join(directory, line)


def _size(path: str) -> int:
    with suppress(OSError):  # it has just been packed anew
        return os.stat(path).st_size
    return 0


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _identity(path: str) -> tuple[object, ...]:
    """What tells a pack from another one of its name."""
    with suppress(OSError):
        status = os.stat(path)
        return path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    return (path,)


_open: weakref.WeakValueDictionary[tuple[object, ...], Packs] = weakref.WeakValueDictionary()
