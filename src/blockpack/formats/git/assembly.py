"""From objects to a pack: their order, and all that is counted and summed up over it.

    header | known blobs | deferred blobs | trees | commit | checksum

The number of objects stands in front, so it is known before deferred blobs are read. Their bytes
pass by when the pack's checksum is made, and that is when their ids come about.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, evolve, field, frozen

from ...model.extent import Data, Extent, FileRange, cut
from ...planning.runs import Run
from ...reading.extents import OpenFile
from ...reading.inflate import adler32, crc32, crc_of
from ...reading.spool import Spool
from .blob_packing import PackedBlob
from .deflate import PIECE, Storing, packed
from .objects import begin_id, object_id
from .pack_format import BLOB, ZLIB_STORED, adler_trailer, object_header, pack_header, stored_blocks

if TYPE_CHECKING:
    from .repository_packs import PackFile

    ObjectFile: TypeAlias = Spool | PackFile  # what holds packed objects

STRETCH = 4 << 20
"""Blobs end to end in the spool are one item of the layout up to this size (bytes)."""

_AHEAD = 3
"""Pieces that may wait for a hash; each is a little over 2 MiB."""


@frozen
class PackedRun:
    """`length` bytes of a store from `start` on: packed objects end to end."""

    store: ObjectFile
    start: int
    length: int


Item = bytes | PackedRun | PackedBlob
"""What a pack is made of: bytes, packed objects that are somewhere, a blob stored from its file."""


@define
class Assembly:
    """A pack, to which `count` objects are added in order until it is to `finish`."""

    count: int
    level: int
    object_format: str
    oids: list[bytes] = field(factory=list, init=False)
    """The ids of its objects, raw."""
    crcs: array[int] = field(factory=lambda: array("I"), init=False)
    offsets: array[int] = field(factory=lambda: array("Q"), init=False)
    """Where these begin, in bytes from its first."""
    size: int = field(default=0, init=False)
    """The bytes so far."""
    checksum: bytes = field(default=b"", init=False)
    """Its end, once it is finished."""
    _items: list[Item] = field(factory=list, init=False)
    _starts: array[int] = field(factory=lambda: array("Q"), init=False)
    _digest: Any = field(init=False)
    _store: ObjectFile | None = field(default=None, init=False)
    """Where the stretch is that is last and may grow, if one is; see `_grow`."""
    _from: int = field(default=0, init=False)
    _to: int = field(default=0, init=False)
    _open: list[tuple[bytes, int, int]] = field(factory=list, init=False)
    """Id, CRC-32 and length of the objects in that stretch."""

    def __attrs_post_init__(self) -> None:
        self._digest = hashlib.new(self.object_format, usedforsecurity=False)
        self._add(pack_header(self.count))

    def add_packed(self, oid: bytes, crc: int, store: ObjectFile, start: int, length: int) -> None:
        """Add a packed object: `length` bytes of `store` from `start` on. Raises `SourceError`."""
        self._note(oid, crc)
        self._grow(oid, crc, store, start, length)

    def add_delta(
        self, oid: bytes, head: bytes, store: ObjectFile, start: int, length: int, crc: int
    ) -> None:
        """Add a delta: another `head`, and bytes of `store`, of CRC-32 `crc`. As `add_packed`."""
        self._note(oid, crc_of(chain([head], store.read(start, length))))
        self._add(head)
        self._grow(oid, crc, store, start, length)

    def _grow(self, oid: bytes, crc: int, store: ObjectFile, start: int, length: int) -> None:
        """Add to the last stretch what follows it in its store; anything else begins a new one. It
        is an item once it grows no more (`settle`): there may be a million objects in it.
        """
        if store is not self._store or start != self._to or start - self._from >= STRETCH:
            self.settle()
            self._store, self._from = store, start
            self._starts.append(self.size)
        self._to = start + length
        self._open.append((oid, crc, length))
        self.size += length

    def add_blob(self, blob: PackedBlob, spool: Spool) -> None:
        """Add a blob of which all is known. Raises `SourceError`."""
        if blob.start is not None:
            self.add_packed(blob.oid, blob.crc, spool, blob.start, blob.length)
            return
        self._note(blob.oid, blob.crc)
        self.settle()
        self._begin(blob)
        storing = Storing(blob.file.size, blob.adler)
        self._digest.update(object_header(BLOB, blob.file.size))
        for view in _pieces(blob):
            self._digest.update(storing.frame(view))
        self._digest.update(storing.flush())
        self.size += blob.length

    def add_deferred(self, blob: PackedBlob) -> bytes:
        """Add a blob that is yet to read; its id, raw. Raises `SourceError`."""
        self.settle()
        known = _read_deferred(blob, self._digest, self.object_format)
        self._note(known.oid, known.crc)
        self._begin(known)
        self.size += known.length
        return known.oid

    def add_object(self, kind: int, data: bytes, *, level: int | None = None) -> bytes:
        """Add an object that is in memory, at another `level` if need be; its id, raw."""
        oid = object_id(kind, data, self.object_format)
        stream = packed(memoryview(data), self.level if level is None else level)
        whole = object_header(kind, len(data)) + stream
        self._note(oid, crc32(whole))
        self._add(whole)
        return oid

    def finish(self) -> None:
        """Add the checksum of it all. Raises `SourceError`."""
        assert len(self.oids) == self.count
        self.settle()
        self.checksum = self._digest.digest()
        self._add(self.checksum)

    def run(self, offset: int) -> Run:
        """Its bytes at `offset` of an image, once it is finished."""
        items, starts = self._items, self._starts

        def make(start: int, stop: int) -> Iterator[Extent]:
            for item, at in zip(items[start:stop], starts[start:stop], strict=True):
                if isinstance(item, bytes):
                    yield Data(offset + at, item)
                elif isinstance(item, PackedRun):
                    yield item.store.extent(offset + at, item.length, item.start)
                else:
                    yield from _stored_extents(item, offset + at)

        return Run(array("Q", [*map(offset.__add__, starts), offset + self.size]), make, dense=True)

    def _note(self, oid: bytes, crc: int) -> None:
        self.oids.append(oid)
        self.crcs.append(crc)
        self.offsets.append(self.size)

    def _begin(self, item: Item) -> None:
        self._starts.append(self.size)
        self._items.append(item)

    def _add(self, data: bytes) -> None:
        self.settle()
        self._begin(data)
        self._digest.update(data)
        self.size += len(data)

    def settle(self) -> None:
        """Read the stretch that is last, which grows no more. Raises `SourceError`."""
        store, self._store = self._store, None
        if store is None:
            return
        stretch = PackedRun(store, self._from, self._to - self._from)
        self._items.append(stretch)
        objects, self._open = iter(self._open), []
        oid, expected, left = next(objects)
        crc = 0
        for data in store.read(stretch.start, stretch.length):
            self._digest.update(data)
            view = memoryview(data)
            at = 0
            while at + left <= len(view):
                if crc32(view[at : at + left], crc) != expected:
                    raise store.damaged(oid)
                at += left
                oid, expected, left = next(objects, (b"", 0, stretch.length))
                crc = 0
            crc = crc32(view[at:], crc)
            left -= len(view) - at


def _pieces(blob: PackedBlob) -> Iterator[memoryview]:
    """The content of a blob, each piece in memory of its own. Raises `SourceError`."""
    extent = blob.file.extent()
    assert isinstance(extent, FileRange)
    with OpenFile.of(extent) as source:
        for position in range(0, extent.length, PIECE):
            view = memoryview(bytearray(min(PIECE, extent.length - position)))
            source.read_into(view, extent.start + position)
            yield view
        source.check()


def _read_deferred(blob: PackedBlob, checksum: Any, object_format: str) -> PackedBlob:
    """Read a blob, going on with the pack's checksum; the same with all that was not known. Hashing
    is most of the work, so each of the two hashes has a thread of its own.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    file = blob.file
    storing = Storing(file.size)
    digest = begin_id(BLOB, file.size, object_format)
    crc = 0

    def take_in(view: memoryview) -> None:
        digest.update(view)
        storing.adler = adler32(view, storing.adler)

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as contents, ThreadPoolExecutor(1) as packs:

        def put(data: bytes) -> None:
            nonlocal crc
            waiting.append(packs.submit(checksum.update, data))
            crc = crc32(data, crc)

        put(object_header(BLOB, file.size))
        for view in _pieces(blob):
            waiting.append(contents.submit(take_in, view))
            put(storing.frame(view))
            while len(waiting) > 2 * _AHEAD:
                waiting.popleft().result()
        for future in waiting:
            future.result()
        put(storing.flush())
    return evolve(blob, oid=digest.digest(), crc=crc, adler=storing.adler)


def _stored_extents(blob: PackedBlob, offset: int) -> Iterator[Extent]:
    file = blob.file
    whole = file.extent()
    before = object_header(BLOB, file.size) + ZLIB_STORED
    for start, length, mark in stored_blocks(file.size):
        before += mark
        yield Data(offset, before)
        offset += len(before)
        yield cut(whole, start, length, offset)
        offset += length
        before = b""
    yield Data(offset, adler_trailer(blob.adler))
