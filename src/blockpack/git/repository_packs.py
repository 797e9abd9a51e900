"""Objects as a repository has them packed, to be taken over byte by byte.

An object is taken from a pack (`objects/pack/*.pack`) by that pack's index. One that is whole stays
as it is; of a delta the header is made anew, for it says how far before the delta its base is. Each
object's CRC-32 is compared with the index's, as git does when it takes objects over.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from attrs import define, field

from ..errors import SourceError
from ..extent import FileRange
from ..reading import OpenFile, reading_errors
from ..sources.git.packs import pack_paths
from ..sources.git.repository import Repository
from .assembly import Assembly
from .index import PackIndex
from .pack import KINDS, OFS_DELTA, object_header, offset_header
from .store import PackStore

_PIECE = 1 << 20


@define(eq=False, slots=False)
class PackFile:
    """A pack of a repository, open to be read."""

    path: Path
    repository: Repository
    index: PackIndex
    ends: dict[int, int] = field(init=False)
    """Where each object ends, by where it begins."""
    store: PackStore = field(init=False)
    _file: FileRange = field(init=False)
    _source: OpenFile = field(init=False)

    @classmethod
    def at(cls, path: Path, repository: Repository) -> PackFile:
        """The pack at `path`, beside which is its index. Raises `SourceError`."""
        with reading_errors(str(path)):
            data = path.with_suffix(".idx").read_bytes()
            try:
                return cls(path, repository, PackIndex(data, repository.object_format))
            except ValueError as error:
                remedy = f"look into it: {repository.told('fsck')}"
                raise SourceError(str(path), f"is damaged: {error}", remedy) from None

    def __attrs_post_init__(self) -> None:
        status = self.path.stat()
        path = os.fsencode(self.path)
        self._file = FileRange(0, status.st_size, path, status.st_size, status.st_mtime_ns)
        end = status.st_size - self.repository.oid_size
        offsets = sorted(self.index.offsets)
        self.ends = dict(zip(offsets, [*offsets[1:], end], strict=True))
        self._source = OpenFile.of(self._file)
        self.store = PackStore(self._bytes, end, self.repository.oid_size)

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    @cached_property
    def oids(self) -> dict[int, bytes]:
        """The id of each object by where it begins."""
        return dict(zip(self.index.offsets, self.index.oids, strict=True))

    def extent(self, offset: int, length: int, start: int) -> FileRange:
        """`length` bytes from `start` on, at `offset` of an image."""
        file = self._file
        return FileRange(offset, length, file.path, file.size, file.mtime_ns, start)

    def read(self, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start` on, in pieces. Raises `SourceError`."""
        for at in range(start, start + length, _PIECE):
            yield self._bytes(at, min(_PIECE, start + length - at))
        self._source.check()

    def check(self, oid: bytes, expected: int, actual: int) -> None:
        """Raise `SourceError` if an object's CRC-32 is not the index's."""
        if actual != expected:
            rule = f"object {oid.hex()} is damaged in {self.path}"
            remedy = f"look into it: {self.repository.told('fsck')}"
            raise SourceError(self.repository.path, rule, remedy)

    def _bytes(self, start: int, length: int) -> bytes:
        data = bytearray(length)
        self._source.read_into(memoryview(data), start)
        return bytes(data)


class RepositoryPacks:
    """All packs of a repository; objects are taken from the first that has them."""

    def __init__(self, repository: Repository) -> None:
        self.packs = [PackFile.at(path, repository) for path in pack_paths(repository)]
        self._places: dict[bytes, tuple[int, int]] = {}
        for number in reversed(range(len(self.packs))):
            index = self.packs[number].index
            places = ((number, position) for position in range(len(index.oids)))
            self._places.update(zip(index.oids, places, strict=True))
        self._taken: dict[bytes, int] = {}
        """Where in the new pack each object begins that was taken."""

    def close(self) -> None:
        """Let go of all files."""
        for pack in self.packs:
            pack.close()

    def in_order(self, oids: Iterable[bytes]) -> list[bytes]:
        """`oids` in the order of the packs; those that are not packed last, by themselves."""
        last = len(self.packs), 0

        def place(oid: bytes) -> tuple[int, int, bytes]:
            number, position = self._places.get(oid, last)
            offset = self.packs[number].index.offsets[position] if number < last[0] else 0
            return number, offset, oid

        return sorted(oids, key=place)

    def take(self, oid: bytes, assembly: Assembly) -> bool:
        """Add an object to `assembly`; False if it is in no pack, or is a delta without its base.

        Raises `SourceError`.
        """
        found = self._places.get(oid)
        if found is None:
            return False
        pack = self.packs[found[0]]
        offset, crc = pack.index.offsets[found[1]], pack.index.crcs[found[1]]
        end = pack.ends[offset]
        at = assembly.size
        header = pack.store.header(offset)
        if header.kind in KINDS:
            assembly.add_packed(oid, crc, pack, offset, end - offset)
        else:
            base = header.base
            base_oid = base if isinstance(base, bytes) else pack.oids.get(base or 0, b"")
            if base_oid not in self._taken:
                return False
            original = zlib.crc32(b"".join(pack.read(offset, header.data - offset)))
            stream = 0
            for data in pack.read(header.data, end - header.data):
                original = zlib.crc32(data, original)
                stream = zlib.crc32(data, stream)
            pack.check(oid, crc, original)
            head = object_header(OFS_DELTA, header.size)
            head += offset_header(at - self._taken[base_oid])
            assembly.add_delta(oid, head, pack, header.data, end - header.data, stream)
        self._taken[oid] = at
        return True
