"""The contents of files as packed blobs.

Each content is read once, hashed, and deflated or found not worth it, by several processes where
that pays. What is small, or was deflated, goes to the spool as it will stand in the pack. Large
incompressible files stay where they are: the image stores their bytes between the marks of stored
blocks, and all that is kept of them is a checksum.

A unique size cannot be a duplicate: a large file that alone has its size is not even hashed here,
but when the pack's checksum is made, which reads it anyway (`assembly`).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Self

from attrs import define, field

from ...model.entry import File
from ...model.extent import FileRange
from ...model.values import numerous
from ...reading.extents import open_source, read_extent
from ...reading.inflate import crc32
from ...reading.spool import Spool, SpoolWriter
from ...workers.pool import lost_reader, shared_out
from ...workers.processors import Jobs
from ...workers.sharing import jobs_for, stretches
from . import deflate
from .deflate import PIECE, Storing, is_worth_it
from .objects import begin_id, object_id
from .pack_format import BLOB, adler_of, most_packed, object_header, stored_size

LARGE = 64 << 10
"""Incompressible files from this size on (bytes) stay where they are."""

_COST = 4
"""Bytes that are copied while one is packed, at least."""

_Fact = tuple[bytes, int, int, int | None, int]
"""What is known of a packed blob, besides its file; sent by the process that packed it."""


@numerous
class PackedBlob:
    """A file's content in a pack: `length` bytes, which are in the spool from `start` on, or, if
    that is None, stored from `file` itself. `oid` is raw, `crc` the CRC-32 of those bytes, `adler`
    the Adler-32 of the content. Without an `oid` it is deferred: nothing of that is known yet.
    """

    file: File
    oid: bytes
    length: int
    crc: int
    start: int | None = None
    adler: int = 0


@define
class Packer:
    """Packs contents for one volume; `level` is that of deflating."""

    spool: Spool
    level: int
    object_format: str
    _unique_sizes: frozenset[int]
    """Sizes that one file alone has."""
    _buffer: memoryview = field(factory=lambda: memoryview(bytearray(PIECE)), init=False)

    @classmethod
    def of(cls, files: Sequence[File], level: int, object_format: str) -> Self:
        """The packer for `files`."""
        counts = Counter(file.size for file in files if file.size > PIECE)
        unique = frozenset(size for size, count in counts.items() if count == 1)
        return cls(Spool(), level, object_format, unique)

    def pack(self, files: Sequence[File], jobs: Jobs) -> list[PackedBlob]:
        """The blob of each file, in order. Raises `SourceError` and `TargetError`."""
        workers = jobs_for(len(files), jobs, _COST * sum(file.size for file in files))
        shares = stretches(files, max(workers, 2))  # what comes of one is in memory twice
        needs = (sum(most_packed(file.size) for file in share) for share in shares)
        rooms = [0, *accumulate(needs)]
        packed: list[list[PackedBlob]] = [[]] * len(shares)
        lost = lost_reader("the source")
        for number, facts in shared_out(
            len(shares), workers, lambda number: self._share(shares[number], rooms[number]), lost
        ):
            pairs = zip(shares[number], facts, strict=True)
            packed[number] = [PackedBlob(file, *fact) for file, fact in pairs]
        return [*chain.from_iterable(packed)]

    def _share(self, files: Sequence[File], room: int) -> list[_Fact]:
        """Pack `files` in order; in the spool there is room for them from byte `room` on."""
        writer = SpoolWriter(self.spool, room)
        facts = [
            (self._pack_whole if file.size <= PIECE else self._pack_large)(file, writer)
            for file in files
        ]
        writer.flush()
        return facts

    def _pack_whole(self, file: File, room: SpoolWriter) -> _Fact:
        """Pack content that fits the buffer."""
        extent = file.extent()
        view = self._buffer[: file.size]
        read_extent(extent, view)
        oid = object_id(BLOB, view, self.object_format)
        stream = deflate.packed(view, self.level)
        data = object_header(BLOB, file.size) + stream
        crc = crc32(data)
        is_stored = len(stream) == stored_size(file.size)
        if is_stored and file.size >= LARGE and type(extent) is FileRange:
            return oid, len(data), crc, None, adler_of(stream)
        start = room.at
        room.put(data)
        return oid, len(data), crc, start, 0

    def _pack_large(self, file: File, room: SpoolWriter) -> _Fact:
        """Pack content that comes in pieces."""
        extent = file.extent()
        digest = begin_id(BLOB, file.size, self.object_format)
        head = object_header(BLOB, file.size)
        with open_source(extent) as source:
            first = self._buffer
            source.read_into(first, 0)
            worth = is_worth_it(first, self.level)
            stays = not worth and type(extent) is FileRange
            if stays and file.size in self._unique_sizes:
                source.check()
                return b"", len(head) + stored_size(file.size), 0, None, 0
            storing = Storing(file.size)
            encoder = zlib.compressobj(self.level) if worth else storing
            start = room.at
            length, crc = 0, 0

            def put(data: bytes) -> None:
                nonlocal length, crc
                if not stays:
                    room.put(data)
                length += len(data)
                crc = crc32(data, crc)

            put(head)
            for position in range(0, file.size, PIECE):
                view = self._buffer[: min(PIECE, file.size - position)]
                if position:
                    source.read_into(view, position)
                digest.update(view)
                put(encoder.compress(view))
            put(encoder.flush())
            source.check()
        return digest.digest(), length, crc, None if stays else start, storing.adler
