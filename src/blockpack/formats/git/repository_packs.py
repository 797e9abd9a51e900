"""Objects as a repository has them packed, to be taken over byte by byte.

An object is taken from a pack (`objects/pack/*.pack`) by that pack's index. One that is whole stays
as it is; of a delta the header is made anew, for it says how far before the delta its base is. Each
object's CRC-32 is compared with the index's, as git does when it takes objects over.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cached_property
from itertools import pairwise

from attrs import evolve

from ...errors import ImageError, SourceError, reading_errors
from ...model.extent import FileRange
from ...model.values import numerous
from ...reading.extents import OpenFile
from .index import PackIndex, index_path
from .objects import OID_SIZES
from .origin import ObjectSource
from .store import ObjectHeader, PackStore

_PIECE = 1 << 20


@numerous
class Packed:
    """An object as a pack has it: the bytes `start` to `end`, their CRC-32, a delta's base."""

    pack: PackFile
    oid: bytes
    start: int
    end: int
    crc: int
    base: bytes | None


class PackFile:
    """A pack of a repository, open, with its index. Raises `SourceError` if one is damaged."""

    def __init__(self, path: str, repository: ObjectSource) -> None:
        self.path = path
        self.repository = repository
        with reading_errors(path):
            try:
                with open(index_path(path), "rb") as file:
                    index = PackIndex(file.read(), repository.object_format)
            except ValueError as error:
                raise SourceError(path, f"is damaged: {error}", repository.fsck) from None
            if not index.is_sound:
                rule = "is damaged: its index is out of order, or has a wrong checksum"
                raise SourceError(path, rule, repository.fsck)
            status = os.stat(path)
        self.index = index
        name = os.fsencode(path)
        self._source = OpenFile.of(FileRange(0, 0, name, status.st_size, status.st_mtime_ns))
        end = status.st_size - OID_SIZES[repository.object_format]
        self._ends = dict(pairwise((*sorted(index.offsets), end)))
        self.store = PackStore(self._bytes, end, repository.object_format)

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    @cached_property
    def oids(self) -> dict[int, bytes]:
        """The id of each object by where it begins."""
        return dict(zip(self.index.offsets, self.index.oids, strict=True))

    def extent(self, offset: int, length: int, start: int) -> FileRange:
        """`length` bytes from `start` on, at `offset` of an image."""
        return evolve(self._source.extent, offset=offset, length=length, start=start)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start` on, in pieces. Raises `SourceError`."""
        for at in range(start, start + length, _PIECE):
            yield self._bytes(at, min(_PIECE, start + length - at))
        self._source.check()

    def header(self, oid: bytes, offset: int) -> ObjectHeader:
        """The header of the object that begins at `offset`. Raises `SourceError`."""
        try:
            return self.store.header(offset)
        except ImageError:
            raise self.damaged(oid) from None

    def objects(self, oids: Collection[bytes]) -> Iterator[Packed]:
        """Those of the objects `oids` that are here, in order. Raises `SourceError`."""
        index = self.index
        here = [place for place, oid in enumerate(index.oids) if oid in oids]
        here.sort(key=index.offsets.__getitem__)
        for place in here:
            oid, start = index.oids[place], index.offsets[place]
            base = self.header(oid, start).base
            if isinstance(base, int):
                if base not in self.oids:
                    raise self.damaged(oid)
                base = self.oids[base]
            yield Packed(self, oid, start, self._ends[start], index.crcs[place], base)

    def damaged(self, oid: bytes) -> SourceError:
        """The error for an object that is not what the index says."""
        rule = f"object {oid.hex()} is damaged in {self.path}"
        return SourceError(self.repository.path, rule, self.repository.fsck)

    def _bytes(self, start: int, length: int) -> bytes:
        data = bytearray(length)
        self._source.read_into(memoryview(data), start)
        return bytes(data)
