"""Small blobs read straight from a repository's packs, where they are whole.

A question to git and its answer take longer than reading a small blob. Most are in a pack, whole,
whose index tells where. Whatever is not so (deltas, loose objects, what was packed meanwhile) is
left to git, and so is to say what is wrong with one.
"""

from __future__ import annotations

import mmap
import os
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from ...git.index import IndexLookup
from ...git.pack import BLOB, type_and_size
from .places import Places
from .repository import Repository

_PACK = ".pack"

_HEADER = 16
"""More bytes than the type and size of an object take."""

_FRAME = 64
"""More bytes than a zlib stream has besides its blocks."""

_TOO_LARGE = 1 << 63
"""Bytes that no blob has, whatever a pack says."""

MOST_PACKS = 64
"""The most packs of a repository that are open at once, each with its index, for descriptors are
scarce. Git packs a repository anew that has more than 50 (git-config(1), "gc.autoPackLimit"); what
is in others is left to git."""

_MOST_LEVELS = 6
"""How far git goes from one repository to another that it borrows from."""

_AT_ONCE = 64 << 10
"""A blob up to this size (bytes) is inflated by one call that knows no bounds: a lying pack cannot
make more than a thousand times as much of it."""

_AHEAD = 128 << 10
"""Bytes that are read at once where one blob follows another."""


class Packs:
    """Packs of a repository, those at `paths`, open to be read by any number of processes."""

    def __init__(self, repository: Repository, paths: Iterable[str]) -> None:
        self.repository = repository
        self._packs: list[tuple[int, IndexLookup]] = []
        self._read = (0, 0, memoryview(b""))  # what was read last: a pack's number, offset, bytes
        weakref.finalize(self, _close, self._packs)
        for path in paths:
            with suppress(OSError, ValueError):  # git knows what is wrong, or what came instead
                index = IndexLookup(_mapped(index_path(path)), repository.oid_size)
                self._packs.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), index))

    def find(self, oids: Sequence[bytes]) -> Places:
        """Where each of the blobs `oids` is."""
        places = Places.unknown(len(oids))
        missing: Sequence[int] = range(len(oids))
        for pack in range(len(self._packs)):
            missing = self._find(pack, oids, missing, places)
        return places

    def _find(
        self, pack: int, oids: Sequence[bytes], wanted: Sequence[int], places: Places
    ) -> list[int]:
        """Find in one pack those of `oids` with the numbers `wanted`; those that are not there."""
        descriptor, index = self._packs[pack]
        packs, starts, sizes = places.arrays
        missing = []
        offsets = index.offsets([oids[number] for number in wanted])
        for number, offset in zip(wanted, offsets, strict=True):
            if offset is not None:
                try:
                    header = os.pread(descriptor, _HEADER, offset)
                except OSError:  # whether it matters is for git to say
                    header = b""
                kind, size, length = type_and_size(header) if header else (0, 0, 0)
                if kind == BLOB and length and size < _TOO_LARGE:
                    packs[number] = pack
                    starts[number] = offset + length
                    sizes[number] = size
                    continue
            missing.append(number)
        return missing

    def read(self, number: int, offset: int, size: int) -> bytes | None:
        """The `size` bytes of the blob at `offset` of pack `number`; None if git is to read it."""
        most = size + (size >> 12) + (size >> 14) + _FRAME  # as zlib's compressBound()
        try:
            last, start, ahead = self._read
            at = offset - start
            if last != number or not 0 <= at <= len(ahead) - most:
                ahead = self._read_on(number, offset, most)
                at = 0
            stream = ahead[at : at + most]
            if size <= _AT_ONCE:
                data = zlib.decompress(stream, bufsize=size or 1)
            else:
                inflating = zlib.decompressobj()
                data = inflating.decompress(stream, size)
                if not inflating.eof:
                    return None
        except (OSError, zlib.error):
            return None
        return data if len(data) == size else None

    def _read_on(self, number: int, offset: int, most: int) -> memoryview:
        """Bytes of pack `number` from `offset` on, `most` or more if there are so many.

        Blobs mostly lie there in the order of the tree, so more is read if one follows another.
        """
        last, start, data = self._read
        follows = last == number and 0 <= offset - start <= len(data)
        read = os.pread(self._packs[number][0], max(most, _AHEAD if follows else 0), offset)
        self._read = number, offset, memoryview(read)
        return self._read[2]


def pack_paths(repository: Repository) -> list[str]:
    """The packs of a repository, and of those that it borrows objects from, in a fixed order.

    Of more than `MOST_PACKS` these are the largest.
    """
    found: list[str] = []
    for directory in _object_directories(os.path.join(repository.common_dir, "objects")):
        found += _packs_in(os.path.join(directory, "pack"))
    if len(found) > MOST_PACKS:
        largest = {*sorted(found, key=_size, reverse=True)[:MOST_PACKS]}
        found = [path for path in found if path in largest]
    return found


def index_path(pack: str) -> str:
    """Where the index of the pack at this path is."""
    return f"{pack.removesuffix(_PACK)}.idx"


def _packs_in(directory: str) -> Iterator[str]:
    with suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if name.endswith(_PACK) and os.path.isfile(index_path(path)):
                yield path


def _object_directories(first: str) -> Iterator[str]:
    """A repository's directory of objects, and those that it borrows from, each once."""
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


def _mapped(path: str) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _close(packs: list[tuple[int, IndexLookup]]) -> None:
    for descriptor, _ in packs:
        os.close(descriptor)
