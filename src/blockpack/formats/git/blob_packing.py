"""The contents of files as packed blobs.

Each content is read once, hashed, and deflated or found not worth it, by several processes where
that pays. What is small, or was deflated, goes to the spool as it will stand in the pack. Large
incompressible files stay where they are: the image stores their bytes between the marks of stored
blocks, and all that is kept of them is a checksum.

A unique size cannot be a duplicate: a large file that alone has its size is not even hashed here,
but when the pack's checksum is made, which reads it anyway (`assembly`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from attrs import define, field, frozen

from ...errors import SourceError
from ...model.entry import File
from ...model.extent import Extent, FileRange
from ...model.values import numerous
from ...reading.extents import open_source, read_extent
from ...reading.spool import Spool, SpoolWriter
from ...workers.pool import shared_out
from ...workers.processors import Jobs, processors
from . import deflate
from .deflate import PIECE, Deflating, Storing, is_worth_it
from .inflate import crc32
from .objects import begin_id, object_id
from .pack_format import BLOB, KINDS, adler_of, object_header, stored_size

LARGE = 64 << 10
"""Incompressible files from this size on (bytes) stay where they are."""

SHARES = 256
"""The most parts, but for one, that files are shared out in."""

WORTHWHILE = 16 << 20
"""Work below this (bytes, with a cost for each file) is done before a second process has begun."""

_FILE_COST = 32 << 10
"""What opening a file costs, in bytes packed in the same time."""


@numerous
class PackedBlob:
    """A file's content in a pack: `length` bytes there, header and zlib stream.

    They are in the spool from `start` on, or, if that is None, stored from `file` itself. `oid` is
    raw, `crc` the CRC-32 of those bytes, `adler` the Adler-32 of the content. A blob without an
    `oid` is deferred: nothing of that is known yet.
    """

    file: File
    oid: bytes
    length: int
    crc: int
    start: int | None = None
    adler: int = 0


@define
class _Facts:
    """What is known of the blobs of one share, in order; sent by the process that packed it."""

    oids: list[bytes] = field(factory=list)
    lengths: array[int] = field(factory=lambda: array("Q"))
    crcs: array[int] = field(factory=lambda: array("I"))
    starts: array[int] = field(factory=lambda: array("q"))
    adlers: array[int] = field(factory=lambda: array("I"))

    def add(self, oid: bytes, length: int, crc: int, *, start: int = -1, adler: int = 0) -> None:
        """Note one blob; without a `start` it is stored from its file."""
        self.oids.append(oid)
        self.lengths.append(length)
        self.crcs.append(crc)
        self.starts.append(start)
        self.adlers.append(adler)

    def blobs(self, files: Sequence[File]) -> Iterator[PackedBlob]:
        """The blobs of `files`, which these facts are about."""
        starts = (None if start < 0 else start for start in self.starts)
        facts = zip(self.oids, self.lengths, self.crcs, starts, self.adlers, strict=True)
        for file, fact in zip(files, facts, strict=True):
            yield PackedBlob(file, *fact)


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

    def pack(self, files: Sequence[File], jobs: Jobs) -> Iterator[PackedBlob]:
        """The blob of each file, in order. Raises `SourceError` and `TargetError`."""
        shares = _shares(files)
        worth = jobs != "auto" or _work(files) >= WORTHWHILE
        workers = processors(jobs) if worth else 1
        packed = shared_out(
            len(shares), workers, lambda number: self._share(files, shares[number]), _lost
        )
        facts = dict(packed)
        for number, share in enumerate(shares):
            yield from facts.pop(number).blobs(files[share.start : share.stop])

    def _share(self, files: Sequence[File], share: _Share) -> _Facts:
        facts = _Facts()
        room = SpoolWriter(self.spool, share.room)
        for file in files[share.start : share.stop]:
            extent = file.extent()
            pack = self._pack_whole if file.size <= PIECE else self._pack_large
            pack(file, extent, room, facts)
        room.flush()
        return facts

    def _pack_whole(self, file: File, extent: Extent, room: SpoolWriter, facts: _Facts) -> None:
        """Pack content that fits the buffer."""
        view = self._buffer[: file.size]
        read_extent(extent, view)
        oid = object_id(KINDS[BLOB], view, self.object_format)
        stream = deflate.packed(view, self.level)
        data = object_header(BLOB, file.size) + stream
        crc = crc32(data)
        is_stored = len(stream) == stored_size(file.size)
        if is_stored and file.size >= LARGE and type(extent) is FileRange:
            facts.add(oid, len(data), crc, adler=adler_of(stream))
            return
        facts.add(oid, len(data), crc, start=room.at)
        room.put(data)

    def _pack_large(self, file: File, extent: Extent, room: SpoolWriter, facts: _Facts) -> None:
        """Pack content that comes in pieces."""
        digest = begin_id(KINDS[BLOB], file.size, self.object_format)
        head = object_header(BLOB, file.size)
        with open_source(extent) as source:
            first = self._buffer
            source.read_into(first, 0)
            worth = is_worth_it(first, self.level)
            stays = not worth and type(extent) is FileRange
            if stays and file.size in self._unique_sizes:
                source.check()
                facts.add(b"", len(head) + stored_size(file.size), 0)
                return
            encoder = Deflating(self.level) if worth else Storing(file.size)
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
                put(encoder.feed(view))
            put(encoder.finish())
            source.check()
        if stays:
            assert isinstance(encoder, Storing)
            facts.add(digest.digest(), length, crc, adler=encoder.adler)
        else:
            facts.add(digest.digest(), length, crc, start=start)


@frozen
class _Share:
    """Files `start` up to, not including, `stop`; in the spool there is room for them at `room`."""

    start: int
    stop: int
    room: int


def _shares(files: Sequence[File]) -> list[_Share]:
    """The files in parts of about equal work."""
    budget = _work(files) // SHARES + 1
    shares = []
    start = room = taken = work = 0
    for number, file in enumerate(files, 1):
        work += _FILE_COST + file.size
        taken += _most_packed(file.size)
        if work >= budget or number == len(files):
            shares.append(_Share(start, number, room))
            start, room, work, taken = number, room + taken, 0, 0
    return shares


def _most_packed(size: int) -> int:
    """The most that content of `size` bytes takes, its header included (zlib's deflateBound)."""
    return size + (size >> 12) + (size >> 14) + (size >> 25) + 64


def _work(files: Iterable[File]) -> int:
    """The work that `files` are, in bytes packed in the same time."""
    return sum(_FILE_COST + file.size for file in files)


def _lost(how: str) -> SourceError:
    return SourceError("the source", f"a process that reads it {how}", "pack it again")
