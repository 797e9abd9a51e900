"""Objects as a repository has them packed, to be taken over byte by byte.

An object is taken from a pack (`objects/pack/*.pack`) by that pack's index. One that is whole stays
as it is; of a delta the header is made anew, for it says how far before the delta its base is. Each
object's CRC-32 is compared with the index's, as git does when it takes objects over.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import chain, pairwise, repeat
from pathlib import Path

from attrs import define, field

from ..errors import ImageError, SourceError
from ..extent import FileRange
from ..reading import OpenFile, reading_errors
from ..sources.git.repository import Repository
from .assembly import Assembly
from .index import PackIndex
from .pack import KINDS, OFS_DELTA, object_header, offset_header
from .store import Header, PackStore

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
        remedy = f"look into it: {repository.told('fsck')}"
        with reading_errors(str(path)):
            try:
                data = path.with_suffix(".idx").read_bytes()
                index = PackIndex(data, repository.object_format)
            except ValueError as error:
                raise SourceError(str(path), f"is damaged: {error}", remedy) from None
            if not index.is_sound:
                rule = "is damaged: its index is out of order, or has a wrong checksum"
                raise SourceError(str(path), rule, remedy)
            return cls(path, repository, index)

    def __attrs_post_init__(self) -> None:
        status = self.path.stat()
        path = os.fsencode(self.path)
        self._file = FileRange(0, status.st_size, path, status.st_size, status.st_mtime_ns)
        end = status.st_size - self.repository.oid_size
        self.ends = dict(pairwise((*sorted(self.index.offsets), end)))
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

    def header(self, oid: bytes, offset: int) -> Header:
        """The header of the object that begins at `offset`. Raises `SourceError`."""
        try:
            return self.store.header(offset)
        except ImageError:
            raise self.damaged(oid) from None

    def base(self, oid: bytes, offset: int) -> bytes | None:
        """The id of the base of a delta; None for what is none. Raises `SourceError`."""
        first = os.pread(self._source.descriptor, 1, offset)
        if first and first[0] >> 4 & 7 in KINDS:
            return None  # most are whole, and that is all there is to know
        base = self.header(oid, offset).base
        if base is None or isinstance(base, bytes):
            return base
        if base not in self.oids:
            raise self.damaged(oid)
        return self.oids[base]

    def damaged(self, oid: bytes) -> SourceError:
        """The error for an object that is not what the index says."""
        rule = f"object {oid.hex()} is damaged in {self.path}"
        remedy = f"look into it: {self.repository.told('fsck')}"
        return SourceError(self.repository.path, rule, remedy)

    def _bytes(self, start: int, length: int) -> bytes:
        try:
            data = os.pread(self._source.descriptor, length, start)
        except OSError as error:
            raise self._source.failed(error) from None
        if len(data) < length:
            rest = bytearray(length - len(data))
            self._source.read_into(memoryview(rest), start + len(data))
            data += rest
        return data


class RepositoryPacks:
    """Packs of a repository; objects are taken from the first that has them."""

    def __init__(self, repository: Repository, paths: Iterable[Path]) -> None:
        with ExitStack() as opened:
            self.packs = [
                opened.enter_context(closing(PackFile.at(path, repository))) for path in paths
            ]
            self._files = opened.pop_all()
        self._places: dict[bytes, tuple[int, int, int]] = {}
        """The number of its pack, where it begins there, and its CRC-32, by an object's id."""
        for number in reversed(range(len(self.packs))):
            index = self.packs[number].index
            places = zip(repeat(number), index.offsets, index.crcs)
            self._places.update(zip(index.oids, places, strict=True))
        self._bases: dict[bytes, bytes] = {}
        """The base of each delta that is to be taken."""
        self._added: dict[bytes, int] = {}
        """Where in the new pack each object begins that is there."""

    def close(self) -> None:
        """Let go of all files."""
        self._files.close()

    def divide(self, oids: frozenset[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Those of `oids` that can be taken, each after its base; and those that cannot.

        The latter are in no pack, or deltas whose base is not among `oids`. They may be bases of
        others, and so are to be added before these. Raises `SourceError`.
        """
        taken: list[bytes] = []
        left: list[bytes] = []
        come: set[bytes] = set()
        waiting: dict[bytes, list[bytes]] = {}  # deltas, by the base that is still to come
        for oid in self._in_order(oids):
            base = self._base(oid)
            if base is not None and base in oids and base not in come:
                waiting.setdefault(base, []).append(oid)
                continue
            (taken if oid in self._places and (base is None or base in oids) else left).append(oid)
            ready = [oid]
            while ready:
                come.add(ready[-1])
                on_top = waiting.pop(ready.pop(), [])
                taken += on_top
                ready += on_top
        left += chain.from_iterable(waiting.values())  # in a circle: git is to say so
        return taken, left

    def take(self, oid: bytes, assembly: Assembly) -> None:
        """Add an object that can be taken to `assembly`. Raises `SourceError`."""
        number, offset, crc = self._places[oid]
        pack = self.packs[number]
        end = pack.ends[offset]
        at = assembly.size
        self.note(oid, at)
        base = self._bases.get(oid)
        if base is None:
            assembly.add_packed(oid, crc, pack, offset, end - offset)
            return
        header = pack.header(oid, offset)
        original = zlib.crc32(b"".join(pack.read(offset, header.data - offset)))
        stream = 0
        for data in pack.read(header.data, end - header.data):
            original = zlib.crc32(data, original)
            stream = zlib.crc32(data, stream)
        if original != crc:
            raise pack.damaged(oid)
        head = object_header(OFS_DELTA, header.size) + offset_header(at - self._added[base])
        assembly.add_delta(oid, head, pack, header.data, end - header.data, stream)

    def note(self, oid: bytes, at: int) -> None:
        """Note that an object begins at byte `at` of the new pack, where deltas may refer to it."""
        self._added[oid] = at

    def _in_order(self, oids: frozenset[bytes]) -> Iterator[bytes]:
        """`oids` in the order of the packs; those that are not packed last, by themselves."""
        packed = oids & self._places.keys()
        yield from (oid for *_, oid in sorted((*self._places[oid][:2], oid) for oid in packed))
        yield from sorted(oids - packed)

    def _base(self, oid: bytes) -> bytes | None:
        """The id of the base of a delta; None for what is none. Raises `SourceError`."""
        found = self._places.get(oid)
        if found is None:
            return None
        pack = self.packs[found[0]]
        base = pack.base(oid, found[1])
        if base is not None:
            self._bases[oid] = base
        return base
