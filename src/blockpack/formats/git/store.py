"""Reading objects out of a pack, none of it trusted.

An object is found by its offset and read as a stream, whatever its size. One that is a delta takes
its base, and both are in memory then; so there are bounds to what deltas may come to.
What an object's id says is for `GitReader.verify` to recompute. A store serves any number of
threads: reading is positional, and what it keeps is under a lock.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator

from attrs import define, field, frozen

from ...errors import ImageError
from ...reading.recent import Recent
from .objects import OID_SIZES
from .pack_format import BLOB, KINDS, OFS_DELTA, REF_DELTA, type_and_size

MOST_DELTA = 64 << 20
"""The most bytes that a delta, its base or its result may have."""

MOST_CHAIN = 4096
"""The most deltas on top of one another: what git itself allows."""

MOST_META = 64 << 20
"""The most bytes of a tree or a commit."""

_MOST_KEPT = 32 << 20
_LEAST_WORK = 1 << 30
_MOST_GAIN = 1024
_HEADER_BYTES = 64
_PIECE = 64 << 10
_ZLIB_HEADER, _ZLIB_TRAILER = 2, 4
"""Bytes around the blocks of a zlib stream (RFC 1950)."""

ReadAt = Callable[[int, int], bytes]
"""Gives bytes of the pack: ``read_at(offset, length)``, less than `length` at its end."""


@frozen
class ObjectHeader:
    """What stands before an object's zlib stream, which begins at `data` (bytes, in the pack) and
    inflates to `size`. `base` is the offset or the id of a delta's base.
    """

    offset: int
    kind: int
    size: int
    data: int
    base: int | bytes | None = None


@define
class PackStore:
    """The objects of a pack; `offsets` has where each begins by its id, as far as that is known."""

    read_at: ReadAt
    end: int
    """Where its objects end, and its checksum begins."""
    object_format: str
    offsets: dict[bytes, int] = field(factory=dict)
    _resolved: Recent[int, tuple[int, bytes]] = field(
        factory=lambda: Recent(_MOST_KEPT, lambda found: len(found[1])), init=False
    )
    """Deltas that were resolved last, by offset: the type and bytes that they came to."""
    _work: int = field(default=0, init=False)
    _paid: set[int] = field(factory=set, init=False)
    """Deltas whose work was counted: to read one again costs nothing."""
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    @property
    def oid_size(self) -> int:
        """Bytes of an object id."""
        return OID_SIZES[self.object_format]

    def header(self, offset: int) -> ObjectHeader:
        """The header of the object at `offset`. Raises `ImageError`."""
        if not 12 <= offset < self.end:
            raise ImageError("", f"an object at byte {offset:,} of the pack is outside of it")
        data = self.read_at(offset, min(_HEADER_BYTES, self.end - offset))
        kind, size, at = type_and_size(data)
        base: int | bytes | None = None
        if not at:
            raise ImageError("", f"the object at byte {offset:,} of the pack has no size")
        if kind == OFS_DELTA:
            back, at = _offset_back(data, at)
            base = offset - back
            if not 12 <= base < offset:
                raise ImageError("", f"the delta at byte {offset:,} of the pack has no base")
        elif kind == REF_DELTA:
            base = data[at : at + self.oid_size]
            at += self.oid_size
        elif kind not in KINDS:
            raise ImageError("", f"the object at byte {offset:,} of the pack is not an object")
        return ObjectHeader(offset, kind, size, offset + at, base)

    def end_of_damaged(self, offset: int) -> int | None:
        """Where the object at `offset` ends though its checksum is wrong; None if nothing tells."""
        try:
            header = self.header(offset)
        except ImageError:
            return None
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        at = header.data + _ZLIB_HEADER
        left = header.size + _PIECE  # it may have more than it says, but not without end
        while not stream.eof and left > 0:
            data = stream.unconsumed_tail
            if not data:
                data = self.read_at(at, max(0, min(_PIECE, self.end - at)))
                at += len(data)
            try:
                left -= len(stream.decompress(data, _PIECE))
            except zlib.error:
                return None
            if not data:
                return None
        return at - len(stream.unused_data) + _ZLIB_TRAILER if stream.eof else None

    def whole(self, header: ObjectHeader, most: int) -> bytes:
        """What the object's stream inflates to, `most` bytes at most. Raises `ImageError`."""
        if header.size > most:
            rule = f"the object at byte {header.offset:,} of the pack has {header.size:,} bytes"
            raise ImageError("", f"{rule}, and {most:,} are the most that are read at once")
        return b"".join(Inflating(self, header))

    def resolved(self, header: ObjectHeader) -> tuple[int, bytes | None]:
        """The type of an object; and if it is a delta, its bytes. Raises `ImageError`."""
        if header.kind in KINDS:
            return header.kind, None
        with self._lock:
            before = self._work
            found = self._resolve(header)
            if header.offset in self._paid:
                self._work = before
            self._paid.add(header.offset)
            return found

    def _resolve(self, header: ObjectHeader) -> tuple[int, bytes]:
        # Deltas are inflated one by one: all at once may be any number of bytes.
        deltas: list[ObjectHeader] = []
        known = self._resolved.get(header.offset)
        while known is None and header.kind not in KINDS:
            if len(deltas) == MOST_CHAIN:
                raise ImageError("", "there are too many deltas on top of one another")
            deltas.append(header)
            base = header.base
            assert base is not None
            header = self.header(self.offset_of(base) if isinstance(base, bytes) else base)
            known = self._resolved.get(header.offset)
        kind, data = known or (header.kind, self._piece(header))
        for delta in reversed(deltas):
            data = apply_delta(data, self._piece(delta))
            self._count(len(data))
            self._resolved.keep(delta.offset, (kind, data))
        return kind, data

    def _piece(self, header: ObjectHeader) -> bytes:
        """A delta, or what is below all deltas."""
        self._count(header.size)
        return self.whole(header, MOST_DELTA)

    def _count(self, size: int) -> None:
        """Count bytes that deltas come to: a small pack must not keep us busy for ever."""
        self._work += size
        if self._work > _LEAST_WORK + _MOST_GAIN * self.end:
            raise ImageError("", "its deltas come to far more than any repository's")

    def size_of(self, header: ObjectHeader) -> int:
        """The size of an object, which for a delta is what it comes to. Raises `ImageError`."""
        if header.kind in KINDS:
            return header.size
        start = next(iter(Inflating(self, header)), b"")
        _, at = _delta_size(start, 0)
        return _delta_size(start, at)[0]

    def meta(self, oid: bytes) -> tuple[int, bytes]:
        """The type and the bytes of a tree, a commit or a tag. Raises `ImageError` for another."""
        header = self.header(self.offset_of(oid))
        kind, data = self.resolved(header)
        if kind == BLOB:
            raise ImageError("", f"object {oid.hex()} is a file's content, and should be none")
        return kind, self.whole(header, MOST_META) if data is None else data

    def object(self, oid: bytes, kind: int) -> bytes:
        """The bytes of a tree or a commit. Raises `ImageError` if it is not there, or another."""
        found, data = self.meta(oid)
        if found != kind:
            what = KINDS[kind].decode()
            rule = f"object {oid.hex()} is a {KINDS[found].decode()}, and should be a {what}"
            raise ImageError("", rule)
        return data

    def blob(self, oid: bytes) -> ObjectHeader:
        """The header of a blob, or of the delta that it is. Raises `ImageError` as `meta` does."""
        header = self.header(self.offset_of(oid))
        if header.kind in KINDS and header.kind != BLOB:
            raise ImageError("", f"object {oid.hex()} is not a blob")
        return header

    def offset_of(self, oid: bytes) -> int:
        """Where the object of that id begins. Raises `ImageError` if it is not there."""
        try:
            return self.offsets[oid]
        except KeyError:
            raise ImageError("", f"object {oid.hex()} is not in the image") from None


class Inflating:
    """The inflated bytes of one object, in pieces; then `end` is the next one's. Raises
    `ImageError`.
    """

    def __init__(self, store: PackStore, header: ObjectHeader) -> None:
        self._store = store
        self.header = header
        self.end = header.data

    def __iter__(self) -> Iterator[bytes]:
        """The pieces; the last one only once the stream's own checksum is found to be right."""
        store, header = self._store, self.header
        where = f"the object at byte {header.offset:,} of the pack"
        stream = zlib.decompressobj()
        at = header.data
        left = header.size
        last = b""
        while not stream.eof:
            data = stream.unconsumed_tail
            if not data:
                data = store.read_at(at, min(_PIECE, store.end - at))
                if not data:
                    raise ImageError("", f"{where} is cut short")
                at += len(data)
            try:
                piece = stream.decompress(data, min(left, _PIECE) + 1)
            except zlib.error as error:
                raise ImageError("", f"{where} is damaged ({error})") from None
            left -= len(piece)
            if left < 0:
                raise ImageError("", f"{where} is longer than it says")
            if piece and left:
                yield piece
            else:
                last = last or piece
        if left:
            raise ImageError("", f"{where} is shorter than it says")
        self.end = at - len(stream.unused_data)
        if last:
            yield last


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """What `delta` makes of `base` ("Deltified representation"). Raises `ImageError`."""
    base_size, at = _delta_size(delta, 0)
    size, at = _delta_size(delta, at)
    if base_size != len(base) or size > MOST_DELTA:
        raise ImageError("", "a delta is not for its base, or comes to too much")
    result = bytearray()
    try:
        while at < len(delta):
            command = delta[at]
            at += 1
            if command & 0x80:
                numbers = [0, 0]
                for bit in range(7):
                    if command >> bit & 1:
                        numbers[bit >= 4] |= delta[at] << 8 * (bit if bit < 4 else bit - 4)
                        at += 1
                start, length = numbers[0], numbers[1] or 0x10000
                if start + length > len(base):
                    raise ImageError("", "a delta copies what its base does not have")
                result += base[start : start + length]
            elif command:
                if at + command > len(delta):
                    raise IndexError
                result += delta[at : at + command]
                at += command
            else:
                raise ImageError("", "a delta has an invalid command")
            if len(result) > size:
                break
    except IndexError:
        raise ImageError("", "a delta is cut short") from None
    if len(result) != size:
        raise ImageError("", "a delta does not come to the size that it says")
    return bytes(result)


def _delta_size(delta: bytes, at: int) -> tuple[int, int]:
    """A size at the beginning of a delta, and where what follows begins. Raises `ImageError`."""
    value = shift = 0
    while True:
        if at >= len(delta) or shift > 63:
            raise ImageError("", "a delta has no size")
        byte = delta[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def _offset_back(data: bytes, at: int) -> tuple[int, int]:
    """How far before a delta its base begins, and where what follows that number does."""
    value = -1
    while True:
        if at >= len(data) or value > 1 << 63:
            raise ImageError("", "a delta has no base")
        byte = data[at]
        at += 1
        value = (value + 1) << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at
