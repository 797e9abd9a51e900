"""Small blobs read straight from a repository's packs, where they are whole.

A question to git and its answer take longer than reading a small blob. Most are in a pack, whole,
whose index tells where. Whatever is not so (deltas, loose objects, what was packed meanwhile) is
left to git, and so is to say what is wrong with one.
"""

from __future__ import annotations

import marshal
import mmap
import os
import weakref
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from ...errors import SourceError
from ...git.index import IndexLookup
from ...git.pack import BLOB
from ...git.store import type_and_size
from ...processors import processors
from .repository import Repository

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

WORTHWHILE = 10_000
"""Blobs that one process finds before another has started."""

_AHEAD = 256 << 10
"""Bytes that are read at once where one blob follows another."""


Place = tuple[int, int, int]
"""Where a blob is: the number of its pack, where its zlib stream begins there, and its size, the
latter in bytes."""


class Packs:
    """The packs of a repository, open to be read by any number of processes."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._packs: list[tuple[int, IndexLookup]] = []
        self._read = (0, 0, b"")  # what was read last: number of the pack, offset, bytes
        weakref.finalize(self, _close, self._packs)
        for path in pack_paths(repository):
            with suppress(OSError, ValueError):  # git knows what is wrong, or what came instead
                index = IndexLookup(_mapped(path.with_suffix(".idx")), repository.oid_size)
                self._packs.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), index))

    def places(self, oids: Iterable[bytes], jobs: int | None) -> dict[bytes, Place]:
        """Where each of the blobs `oids` is, and its size, of those that are in a pack, whole.

        Many are looked for by `jobs` processes (1: only this one; None: as many as pay). Raises
        `SourceError`.
        """
        wanted = [*oids]
        jobs = min(processors(jobs), len(wanted) // WORTHWHILE)
        if jobs < 2:
            return self._places(wanted)
        from ...processes import shared_out

        size = -(-len(wanted) // jobs)

        def work(number: int) -> bytes:
            share = wanted[number * size : (number + 1) * size]
            found = self._places(share)
            return marshal.dumps([found.get(oid) for oid in share])

        told = dict(shared_out(jobs, jobs, work, self._lost))
        places = chain.from_iterable(marshal.loads(told[number]) for number in range(jobs))
        return {oid: place for oid, place in zip(wanted, places, strict=True) if place is not None}

    def _lost(self, how: str) -> SourceError:
        return SourceError(self._repository.path, f"a process that reads it {how}", "pack it again")

    def _places(self, oids: Collection[bytes]) -> dict[bytes, Place]:
        """`places`, by this process alone."""
        found: dict[bytes, Place] = {}
        for number, (descriptor, index) in enumerate(self._packs):
            missing = [oid for oid in oids if oid not in found] if found else oids
            for oid, offset in index.found(missing):
                try:
                    head = os.pread(descriptor, _HEADER, offset)
                except OSError:  # whether it matters is for git to say
                    continue
                kind, size, at = type_and_size(head) if head else (0, 0, 0)
                if kind == BLOB and at and size < _TOO_LARGE:
                    found[oid] = (number, offset + at, size)
        return found

    def read(self, number: int, offset: int, size: int) -> bytes | None:
        """The `size` bytes of the blob at `offset` of pack `number`; None if git is to read it."""
        most = size + (size >> 12) + (size >> 14) + _FRAME  # as zlib's compressBound()
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(self._bytes(number, offset, most), max(size, 1))
        except (OSError, zlib.error):
            return None
        return data if stream.eof and len(data) == size else None

    def _bytes(self, number: int, offset: int, most: int) -> memoryview:
        """Bytes of pack `number` from `offset` on, up to `most`.

        Blobs mostly lie there in the order of the tree, so more is read if one follows another.
        """
        last, start, data = self._read
        at = offset - start
        if last != number or not 0 <= at <= len(data) - most:
            follows = last == number and 0 <= at <= len(data)
            data = os.pread(self._packs[number][0], max(most, _AHEAD if follows else 0), offset)
            self._read = number, offset, data
            at = 0
        return memoryview(data)[at : at + most]


def pack_paths(repository: Repository) -> list[Path]:
    """The packs of a repository, and of those that it borrows objects from, in a fixed order.

    Of more than `MOST_PACKS` these are the largest.
    """
    found: list[Path] = []
    for directory in _object_directories(Path(repository.common_dir, "objects")):
        packs = sorted(directory.glob("pack/*.pack"))
        found += (path for path in packs if path.with_suffix(".idx").is_file())
    if len(found) > MOST_PACKS:
        largest = {*sorted(found, key=_size, reverse=True)[:MOST_PACKS]}
        found = [path for path in found if path in largest]
    return found


def _object_directories(first: Path) -> Iterator[Path]:
    """A repository's directory of objects, and those that it borrows from, each once."""
    met = {os.path.realpath(first)}
    level = [first]
    for _ in range(_MOST_LEVELS + 1):
        yield from level
        others = {os.path.realpath(other): other for above in level for other in _alternates(above)}
        level = [other for real, other in others.items() if real not in met]
        met |= others.keys()


def _alternates(directory: Path) -> Iterator[Path]:
    """Those that a directory of objects itself names (gitrepository-layout(5))."""
    with suppress(OSError):
        lines = os.fsdecode((directory / "info" / "alternates").read_bytes()).splitlines()
        yield from (directory / line for line in lines if line and not line.startswith("#"))


def _size(path: Path) -> int:
    with suppress(OSError):  # it has just been packed anew
        return path.stat().st_size
    return 0


def _mapped(path: Path) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _close(packs: list[tuple[int, IndexLookup]]) -> None:
    for descriptor, _ in packs:
        os.close(descriptor)
