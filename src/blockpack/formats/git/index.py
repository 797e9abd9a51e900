"""The index of a pack, version 2 (gitformat-pack(5), "Version 2 pack-*.idx files").

    | Offset | Size  | Meaning                                                          |
    |--------|-------|------------------------------------------------------------------|
    | 0      | 4     | signature                                                        |
    | 4      | 4     | version 2                                                        |
    | 8      | 1024  | fan-out: how many ids begin with a byte not above 0, 1, … 255    |
    | 1032   | 20 n  | the object ids, sorted (32 n with SHA-256)                       |
    | …      | 4 n   | the CRC-32 of each object as it is packed                        |
    | …      | 4 n   | its offset in the pack; with the top bit set, which one below    |
    | …      | 8 m   | offsets of 2 GiB and more                                        |
    | …      | 20    | the pack's checksum                                              |
    | …      | 20    | the checksum of all that                                         |

All numbers are big-endian.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate, islice
from operator import itemgetter, lt

from .objects import OID_SIZES

SIGNATURE = b"\xfftOc"
VERSION = 2
FANOUT = 256
_HEAD = struct.Struct(">4sI")
HEAD_SIZE = _HEAD.size + 4 * FANOUT
"""The bytes before the ids."""
_LARGE = 1 << 31
_TOO_LARGE = 1 << 63
"""Where no file goes: an offset in one is a signed number of 64 bits."""

Data = bytes | mmap.mmap
"""An index in memory, or mapped."""


def is_index(head: bytes) -> bool:
    """Whether what begins with `head` is an index of version 2."""
    return len(head) >= _HEAD.size and _HEAD.unpack_from(head) == (SIGNATURE, VERSION)


def index_path(pack: str) -> str:
    """Where the index of the pack at this path is."""
    return f"{pack.removesuffix('.pack')}.idx"


def pack_index(
    ids: Sequence[bytes],
    checksums: Sequence[int],
    offsets: Sequence[int],
    pack_checksum: bytes,
    object_format: str,
) -> bytes:
    """The index of a pack, by the ids (raw), CRC-32s and offsets of its objects, in any order."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    places = array("Q", map(offsets.__getitem__, order))
    large = array("Q", [offset for offset in places if offset >= _LARGE])
    numbers = iter(range(_LARGE, 2 * _LARGE))
    small = array("I", [offset if offset < _LARGE else next(numbers) for offset in places])
    packed = b"".join(
        (
            _HEAD.pack(SIGNATURE, VERSION),
            _big_endian(array("I", _fanout(ids))),
            b"".join(map(ids.__getitem__, order)),
            _big_endian(array("I", map(checksums.__getitem__, order))),
            _big_endian(small),
            _big_endian(large),
            pack_checksum,
        )
    )
    return packed + _checksum(packed, object_format)


def _fanout(ids: Sequence[bytes]) -> list[int]:
    """How many ids begin with a byte not above 0, 1, … 255."""
    counts = Counter(map(itemgetter(0), ids))
    return list(accumulate(counts[first] for first in range(FANOUT)))


def _checksum(data: bytes, object_format: str) -> bytes:
    import hashlib  # it takes a while, and to look things up takes none

    return hashlib.new(object_format, data).digest()


def _big_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(code: str, data: Data, at: int, count: int) -> array[int]:
    numbers = array(code)
    numbers.frombytes(data[at : at + numbers.itemsize * count])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


class _Parts:
    """Where the parts of an index begin. Raises `ValueError` if it is none of version 2."""

    def __init__(self, data: Data, oid_size: int) -> None:
        if len(data) < HEAD_SIZE or not is_index(data[: _HEAD.size]):
            raise ValueError("it has no index of version 2")
        self._data = data
        self._oid_size = oid_size
        self.fanout = _numbers("I", data, _HEAD.size, FANOUT)
        self.count = self.fanout[-1]
        self.crcs_at = HEAD_SIZE + oid_size * self.count
        self.small_at = self.crcs_at + 4 * self.count
        self.large_at = self.small_at + 4 * self.count
        if list(self.fanout) != sorted(self.fanout) or len(data) < self.large_at:
            raise ValueError("its index is cut short, or its fan-out does not go up")

    def oids(self) -> list[bytes]:
        """The ids, raw, in order."""
        table, size = self._data[HEAD_SIZE : self.crcs_at], self._oid_size
        return [table[at : at + size] for at in range(0, len(table), size)]

    def small(self) -> array[int]:
        """Offsets by place; of one with the top bit set, the rest tells which of the large ones."""
        return _numbers("I", self._data, self.small_at, self.count)


class PackIndex:
    """An index that is read: each object's place by its id. Raises `ValueError` if it is none."""

    def __init__(self, data: bytes, object_format: str) -> None:
        oid_size = OID_SIZES[object_format]
        parts = _Parts(data, oid_size)
        self.oids = parts.oids()
        """Ids, raw, in order."""
        self.crcs = _numbers("I", data, parts.crcs_at, parts.count)
        """The CRC-32 of each as it is packed."""
        small = parts.small()
        large_count = sum(map(_LARGE.__le__, small))
        at = parts.large_at + 8 * large_count
        if len(data) < at + 2 * oid_size:
            raise ValueError("its index is cut short")
        large = _numbers("Q", data, parts.large_at, large_count)
        if max(small, default=0) >= _LARGE + large_count:
            raise ValueError("its index leads beyond its offsets")
        if max(large, default=0) >= _TOO_LARGE:
            raise ValueError("its index leads beyond where a file may go")
        whole = [offset if offset < _LARGE else large[offset - _LARGE] for offset in small]
        self.offsets = array("Q", whole)
        """Where each is, in bytes from the pack's first."""
        self.pack_checksum = data[at : at + oid_size]
        self.end = at + 2 * oid_size
        """The length of the index in bytes."""
        self.is_sound = (
            all(map(lt, self.oids, islice(self.oids, 1, None)))
            and list(parts.fanout) == _fanout(self.oids)
            and _checksum(data[: at + oid_size], object_format) == data[at + oid_size : self.end]
        )
        """Whether it is in order, and its checksum right."""


class IndexLookup(_Parts):
    """An index to look up so many objects in. Raises `ValueError` if it is none of version 2."""

    def __init__(self, data: mmap.mmap, oid_size: int, asked: int) -> None:
        super().__init__(data, oid_size)
        self._place: Callable[[bytes], int | None] = self._find
        if 16 * asked >= self.count:  # no few of very many
            self._place = dict(zip(self.oids(), self.small(), strict=True)).get

    def offset(self, oid: bytes) -> int | None:
        """Where the object `oid` (raw) begins in the pack, in bytes; None if it is not there."""
        offset = self._place(oid)
        if offset is None or offset < _LARGE:
            return offset
        at = self.large_at + 8 * (offset - _LARGE)
        found = int.from_bytes(self._data[at : at + 8])
        return found if found < _TOO_LARGE else None

    def _find(self, oid: bytes) -> int | None:
        """Where one object begins, as it stands there."""
        fanout, data, size = self.fanout, self._data, self._oid_size

        def at_place(place: int) -> bytes:
            at = HEAD_SIZE + size * place
            return data[at : at + size]

        begin, end = fanout[oid[0] - 1] if oid[0] else 0, fanout[oid[0]]
        place = begin + bisect_left(range(begin, end), oid, key=at_place)
        if place == end or at_place(place) != oid:
            return None
        at = self.small_at + 4 * place
        return int.from_bytes(data[at : at + 4])
