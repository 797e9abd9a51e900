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
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
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
    """The index of a pack.

    `ids` (raw), `checksums` (CRC-32) and `offsets` (bytes from the pack's first) are those of its
    objects, in any order.
    """
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


class PackIndex:
    """An index that is read: each object's place by its id. Raises `ValueError` if it is none."""

    def __init__(self, data: bytes, object_format: str) -> None:
        oid_size = OID_SIZES[object_format]
        if len(data) < HEAD_SIZE or not is_index(data[: _HEAD.size]):
            raise ValueError("it has no index of version 2")
        fanout = _numbers("I", data, _HEAD.size, FANOUT)
        count = fanout[-1]
        at = HEAD_SIZE
        least = at + count * (oid_size + 8) + 2 * oid_size
        if list(fanout) != sorted(fanout) or len(data) < least:
            raise ValueError("its index is cut short, or its fan-out does not go up")
        self.oids = [data[at + oid_size * n : at + oid_size * (n + 1)] for n in range(count)]
        """Ids, raw, in order."""
        at += oid_size * count
        self.crcs = _numbers("I", data, at, count)
        """The CRC-32 of each as it is packed."""
        small = _numbers("I", data, at + 4 * count, count)
        at += 8 * count
        large_count = sum(map(_LARGE.__le__, small))
        if len(data) < least + 8 * large_count:
            raise ValueError("its index is cut short")
        large = _numbers("Q", data, at, large_count)
        at += 8 * large_count
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
            and list(fanout) == _fanout(self.oids)
            and _checksum(data[: at + oid_size], object_format) == data[at + oid_size : self.end]
        )
        """Whether it is in order, and its checksum right."""


def _numbers(code: str, data: bytes, at: int, count: int) -> array[int]:
    numbers = array(code)
    numbers.frombytes(data[at : at + numbers.itemsize * count])
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


class IndexLookup:
    """An index to look single objects up in. Raises `ValueError` if it is none of version 2."""

    def __init__(self, data: mmap.mmap, oid_size: int) -> None:
        self._data = data
        self._oid_size = oid_size
        if len(data) < HEAD_SIZE or not is_index(data[: _HEAD.size]):
            raise ValueError("it is not an index of version 2")
        self._fanout = (0, *_numbers("I", data[:HEAD_SIZE], _HEAD.size, FANOUT))
        count = self._fanout[-1]
        self._oids_at = HEAD_SIZE
        self._offsets_at = self._oids_at + count * (oid_size + 4)
        if len(data) < self._offsets_at + 4 * count:
            raise ValueError("it is cut short")
        self._asked = 0
        self._table: dict[bytes, int] | None = None

    def find(self, oid: bytes) -> int | None:
        """Where the object `oid` (raw) begins in the pack, in bytes; None if it is not there."""
        data, size, first = self._data, self._oid_size, self._oids_at
        low, high = self._fanout[oid[0]], self._fanout[oid[0] + 1]
        while low < high:
            middle = (low + high) // 2
            at = first + size * middle
            found = data[at : at + size]
            if found < oid:
                low = middle + 1
            elif found > oid:
                high = middle
            else:
                return self._offset(middle)
        return None

    def offsets(self, oids: Collection[bytes]) -> Iterable[int | None]:
        """What `find` would tell of each of `oids`."""
        self._asked += len(oids)
        if self._table is None and 16 * self._asked < self._fanout[-1]:  # a few of very many
            return map(self.find, oids)
        if self._table is None:
            self._table = self._all()
        return map(self._table.get, oids)

    def _all(self) -> dict[bytes, int]:
        """Where each object begins, by its id."""
        count, size = self._fanout[-1], self._oid_size
        table = self._data[self._oids_at : self._oids_at + count * size]
        ids = [table[at : at + size] for at in range(0, count * size, size)]
        offsets = _numbers(
            "I", self._data[self._offsets_at : self._offsets_at + 4 * count], 0, count
        )
        found = dict(zip(ids, offsets, strict=True))
        if max(offsets, default=0) >= _LARGE:
            whole = ((oid, self._large(offset)) for oid, offset in found.items())
            found = {oid: offset for oid, offset in whole if offset is not None}
        return found

    def _offset(self, place: int) -> int | None:
        at = self._offsets_at + 4 * place
        offset = int.from_bytes(self._data[at : at + 4])
        return self._large(offset)

    def _large(self, offset: int) -> int | None:
        """The offset that `offset` stands for if its top bit is set; None if it can be none."""
        if offset < _LARGE:
            return offset
        at = self._offsets_at + 4 * self._fanout[-1] + 8 * (offset - _LARGE)
        found = int.from_bytes(self._data[at : at + 8])
        return found if found < _TOO_LARGE else None
