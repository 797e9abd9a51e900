"""Objects as a repository has them packed, to be taken over byte by byte.

An object is taken from a pack (`objects/pack/*.pack`) by that pack's index. One that is whole stays
as it is; of a delta the header is made anew, for it says how far before the delta its base is. Each
object's CRC-32 is compared with the index's, as git does when it takes objects over.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from itertools import chain, pairwise

from attrs import define, field

from ...errors import ImageError, SourceError, reading_errors
from ...model.extent import FileRange
from ...model.values import numerous
from ...reading.extents import OpenFile
from .assembly import Assembly
from .index import PackIndex, index_path
from .inflate import crc32
from .origin import ObjectSource
from .pack_format import KINDS, OFS_DELTA, object_header, offset_header
from .store import ObjectHeader, PackStore

_PIECE = 1 << 20

_WHOLE = frozenset(bytes((byte,)) for byte in range(256) if byte >> 4 & 7 in KINDS)
"""What objects that are no deltas begin with."""


@numerous
class Packed:
    """An object as a pack has it: the bytes from `start` up to, not including, `end`.

    `crc` is their CRC-32, `base` the id of a delta's base. Ids are raw.
    """

    pack: PackFile
    oid: bytes
    start: int
    end: int
    crc: int
    base: bytes | None


@define(eq=False, slots=False)
class PackFile:
    """A pack of a repository, open to be read."""

    path: str
    repository: ObjectSource
    index: PackIndex
    ends: dict[int, int] = field(init=False)
    """Where each object ends, by where it begins."""
    store: PackStore = field(init=False)
    _file: FileRange = field(init=False)
    _source: OpenFile = field(init=False)

    @classmethod
    def at(cls, path: str, repository: ObjectSource) -> PackFile:
        """The pack at `path`, beside which is its index. Raises `SourceError`."""
        remedy = f"look into it: {repository.told('fsck')}"
        with reading_errors(path):
            try:
                with open(index_path(path), "rb") as file:
                    index = PackIndex(file.read(), repository.object_format)
            except ValueError as error:
                raise SourceError(path, f"is damaged: {error}", remedy) from None
            if not index.is_sound:
                rule = "is damaged: its index is out of order, or has a wrong checksum"
                raise SourceError(path, rule, remedy)
            return cls(path, repository, index)

    def __attrs_post_init__(self) -> None:
        status = os.stat(self.path)
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
        starts = [index.offsets[place] for place in here]
        for place, start, is_whole in zip(here, starts, self._are_whole(starts), strict=True):
            oid = index.oids[place]
            base = None if is_whole else self._base(oid, start)
            yield Packed(self, oid, start, self.ends[start], index.crcs[place], base)

    def _are_whole(self, starts: Iterable[int]) -> list[bool]:
        """Whether each object that begins at one of `starts` is no delta."""
        descriptor = self._source.descriptor
        try:
            return [os.pread(descriptor, 1, start) in _WHOLE for start in starts]
        except OSError as error:
            raise self._source.failed(error) from None

    def _base(self, oid: bytes, offset: int) -> bytes:
        """The id of the base of the delta that begins at `offset`."""
        base = self.header(oid, offset).base
        if isinstance(base, bytes):
            return base
        if base is None or base not in self.oids:
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

    def __init__(self, repository: ObjectSource, paths: Iterable[str]) -> None:
        with ExitStack() as opened:
            self.packs = [
                opened.enter_context(closing(PackFile.at(path, repository))) for path in paths
            ]
            self._files = opened.pop_all()
        self._bases: set[bytes] = set()
        """The bases of all deltas that are to be taken."""
        self._added: dict[bytes, int] = {}
        """Where in the new pack each of these bases begins that is there."""

    def close(self) -> None:
        """Let go of all files."""
        self._files.close()

    def divide(self, oids: frozenset[bytes]) -> tuple[list[Packed], list[bytes]]:
        """Those of `oids` that can be taken, each after its base; and those that cannot.

        The latter are in no pack, or deltas whose base is not among `oids`. They may be bases of
        others, and so are to be added before these. Raises `SourceError`.
        """
        packed: dict[bytes, Packed] = {}
        for pack in self.packs:
            packed |= {found.oid: found for found in pack.objects(oids - packed.keys())}
        loose = sorted(oids - packed.keys())
        bases = {found.base for found in packed.values() if found.base is not None}
        if not bases:
            return [*packed.values()], loose
        self._bases |= bases
        return _after_their_bases(packed, loose)

    def take(self, found: Packed, assembly: Assembly) -> None:
        """Add an object that can be taken to `assembly`. Raises `SourceError`."""
        pack, start, end = found.pack, found.start, found.end
        at = assembly.size
        self.note(found.oid, at)
        if found.base is None:
            assembly.add_packed(found.oid, found.crc, pack, start, end - start)
            return
        header = pack.header(found.oid, start)
        original = crc32(b"".join(pack.read(start, header.data - start)))
        stream = 0
        for data in pack.read(header.data, end - header.data):
            original = crc32(data, original)
            stream = crc32(data, stream)
        if original != found.crc:
            raise pack.damaged(found.oid)
        head = object_header(OFS_DELTA, header.size) + offset_header(at - self._added[found.base])
        assembly.add_delta(found.oid, head, pack, header.data, end - header.data, stream)

    def note(self, oid: bytes, at: int) -> None:
        """Note that an object begins at byte `at` of the new pack, where deltas may refer to it."""
        if oid in self._bases:
            self._added[oid] = at


def _after_their_bases(
    packed: Mapping[bytes, Packed], loose: Iterable[bytes]
) -> tuple[list[Packed], list[bytes]]:
    """All that can be taken, each after its base, and all that cannot."""
    taken: list[Packed] = []
    left = [*loose]
    come = {*left}
    waiting: dict[bytes, list[Packed]] = {}  # deltas, by the base that is still to come
    for found in packed.values():
        base = found.base
        if base is None or base in come:
            taken.append(found)
        elif base in packed:
            waiting.setdefault(base, []).append(found)
            continue
        else:
            left.append(found.oid)
        ready = [found.oid]
        while ready:
            come.add(ready[-1])
            on_top = waiting.pop(ready.pop(), [])
            taken += on_top
            ready += [delta.oid for delta in on_top]
    left += (found.oid for found in chain.from_iterable(waiting.values()))  # in a circle
    return taken, left
