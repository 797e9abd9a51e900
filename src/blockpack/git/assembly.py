"""From objects to a pack: their order, and all that is counted and summed up over it.

    header | known blobs | deferred blobs | trees | commit | checksum

The number of objects stands in front, so it is known before deferred blobs are read. Their bytes
pass by when the pack's checksum is made, and that is when their ids come about.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import define, evolve, field, frozen

from ..extent import Data, Extent, FileRange
from ..layout import Run
from ..reading import OpenFile
from .blobs import Blob
from .deflate import PIECE, Storing, packed
from .objects import begin_id, object_id
from .pack import (
    BLOB,
    HEADER,
    KINDS,
    ZLIB_STORED,
    adler_trailer,
    object_header,
    pack_header,
    stored_blocks,
)
from .spool import Spool

STRETCH = 4 << 20
"""Blobs end to end in the spool are one item of the layout up to this size (bytes)."""

_AHEAD = 3
"""Pieces that may wait for a hash; each is a little over 2 MiB."""


@frozen
class Stretch:
    """`length` bytes of the spool from `start` on."""

    start: int
    length: int


Item = bytes | Stretch | Blob
"""What a pack is made of: bytes, blobs in the spool, and a blob stored from its file."""


@frozen(eq=False)
class Pack:
    """A pack of `size` bytes, whose end is `checksum` (raw).

    `oids` (raw), `crcs` and `offsets` (from its first byte) are those of its objects, in order.
    `items` and where each of them `starts` (from the first byte, too) are what it is made of.
    """

    size: int
    checksum: bytes
    oids: Sequence[bytes]
    crcs: Sequence[int]
    offsets: Sequence[int]
    items: Sequence[Item]
    starts: Sequence[int]
    spool: Spool

    def run(self, offset: int) -> Run:
        """Its bytes at `offset` of an image."""

        def make(start: int, stop: int) -> Iterator[Extent]:
            for item, at in zip(self.items[start:stop], self.starts[start:stop], strict=True):
                if isinstance(item, bytes):
                    yield Data(offset + at, item)
                elif isinstance(item, Stretch):
                    yield self.spool.extent(offset + at, item.length, item.start)
                else:
                    yield from _stored_extents(item, offset + at)

        return Run(
            array("Q", [*(offset + start for start in self.starts), offset + self.size]), make
        )


@define
class Assembly:
    """A pack in the making, to which `count` objects are added in order."""

    count: int
    level: int
    object_format: str
    spool: Spool
    oids: list[bytes] = field(factory=list, init=False)
    _crcs: array[int] = field(factory=lambda: array("I"), init=False)
    _offsets: array[int] = field(factory=lambda: array("Q"), init=False)
    _items: list[Item] = field(factory=list, init=False)
    _starts: array[int] = field(factory=lambda: array("Q"), init=False)
    _checksum: _Checksum = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._checksum = _Checksum(self.object_format)
        self._add(pack_header(self.count))

    @property
    def size(self) -> int:
        """The bytes so far."""
        return self._checksum.size

    def add_blobs(self, blobs: Iterable[Blob]) -> None:
        """Add blobs of which all is known. Raises `SourceError`."""
        at = self.size
        stretch = Stretch(0, 0)
        for blob in blobs:
            self._note(blob.oid, blob.crc, at)
            at += blob.length
            if blob.start is None:
                self._add_stretch(stretch)
                stretch = Stretch(0, 0)
                self._begin(blob)
                for framed in _stored_pieces(blob):
                    self._checksum.update(framed)
            elif stretch.length and (
                stretch.start + stretch.length == blob.start and stretch.length < STRETCH
            ):
                stretch = Stretch(stretch.start, stretch.length + blob.length)
            else:
                self._add_stretch(stretch)
                stretch = Stretch(blob.start, blob.length)
        self._add_stretch(stretch)

    def add_pack(self, pack: Pack) -> None:
        """Add all objects of a `pack` that is in the spool of this one."""
        start, end = HEADER.size, pack.size - len(pack.checksum)
        self.oids += pack.oids
        self._crcs.extend(pack.crcs)
        self._offsets.extend(pack.offsets)
        self._add_stretch(Stretch(start, end - start))

    def add_deferred(self, blob: Blob) -> bytes:
        """Add a blob that is yet to read; its id, raw. Raises `SourceError`."""
        at = self.size
        number = len(self._items)
        self._begin(blob)
        known = _read_deferred(blob, self._checksum, self.object_format)
        self._items[number] = known
        self._note(known.oid, known.crc, at)
        return known.oid

    def add_object(self, kind: int, data: bytes, *, level: int | None = None) -> bytes:
        """Add an object that is in memory, at another `level` if need be; its id, raw."""
        oid = object_id(KINDS[kind], data, self.object_format)
        level = self.level if level is None else level
        stream = object_header(kind, len(data)) + packed(memoryview(data), level)
        self._note(oid, zlib.crc32(stream), self.size)
        self._add(stream)
        return oid

    def finish(self) -> Pack:
        """The pack."""
        assert len(self.oids) == self.count
        checksum = self._checksum.digest()
        self._add(checksum)
        return Pack(
            self.size,
            checksum,
            self.oids,
            self._crcs,
            self._offsets,
            self._items,
            self._starts,
            self.spool,
        )

    def _note(self, oid: bytes, crc: int, at: int) -> None:
        self.oids.append(oid)
        self._crcs.append(crc)
        self._offsets.append(at)

    def _begin(self, item: Item) -> None:
        self._starts.append(self.size)
        self._items.append(item)

    def _add(self, data: bytes) -> None:
        self._begin(data)
        self._checksum.update(data)

    def _add_stretch(self, stretch: Stretch) -> None:
        if stretch.length:
            self._begin(stretch)
            for data in self.spool.read(stretch.start, stretch.length):
                self._checksum.update(data)


class _Checksum:
    """The hash of a pack's bytes, and how many these have been."""

    def __init__(self, object_format: str) -> None:
        self._hash: Any = hashlib.new(object_format, usedforsecurity=False)
        self.size = 0

    def update(self, data: bytes) -> None:
        """Go on with `data`."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> bytes:
        """The hash, raw."""
        raw: bytes = self._hash.digest()
        return raw


def _stored_pieces(blob: Blob) -> Iterator[bytes]:
    """The packed bytes of a blob that is stored from its file. Raises `SourceError`."""
    storing = Storing(blob.file.size, blob.adler)
    yield object_header(BLOB, blob.file.size)
    for view in _pieces(blob):
        yield storing.frame(view)
    yield storing.finish()


def _pieces(blob: Blob) -> Iterator[memoryview]:
    """The content of a blob, each piece in memory of its own. Raises `SourceError`."""
    extent = blob.file.content.extent(blob.file, 0)
    assert isinstance(extent, FileRange)
    with OpenFile.of(extent) as source:
        for position in range(0, extent.length, PIECE):
            view = memoryview(bytearray(min(PIECE, extent.length - position)))
            source.read_into(view, extent.start + position)
            yield view
        source.check()


def _read_deferred(blob: Blob, checksum: _Checksum, object_format: str) -> Blob:
    """Read a blob, going on with the pack's checksum; the same with all that was not known.

    Hashing is most of the work, and there are two hashes to make: each has a thread of its own.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    file = blob.file
    storing = Storing(file.size)
    digest = begin_id(KINDS[BLOB], file.size, object_format)
    crc = 0

    def take_in(view: memoryview) -> None:
        digest.update(view)
        storing.adler = zlib.adler32(view, storing.adler)

    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as contents, ThreadPoolExecutor(1) as packs:

        def put(data: bytes) -> None:
            nonlocal crc
            waiting.append(packs.submit(checksum.update, data))
            crc = zlib.crc32(data, crc)

        put(object_header(BLOB, file.size))
        for view in _pieces(blob):
            waiting.append(contents.submit(take_in, view))
            put(storing.frame(view))
            while len(waiting) > 2 * _AHEAD:
                waiting.popleft().result()
        for future in waiting:
            future.result()
        put(storing.finish())
    return evolve(blob, oid=digest.digest(), crc=crc, adler=storing.adler)


def _stored_extents(blob: Blob, offset: int) -> Iterator[Extent]:
    """The extents of a blob that is stored from its file."""
    file = blob.file
    whole = file.content.extent(file, 0)
    assert isinstance(whole, FileRange)
    before = object_header(BLOB, file.size) + ZLIB_STORED
    for start, length, mark in stored_blocks(file.size):
        before += mark
        yield Data(offset, before)
        offset += len(before)
        yield FileRange(offset, length, whole.path, whole.size, whole.mtime_ns, whole.start + start)
        offset += length
        before = b""
    yield Data(offset, adler_trailer(blob.adler))
