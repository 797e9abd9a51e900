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

import hashlib
import struct
import sys
from array import array
from collections.abc import Sequence

SIGNATURE = b"\xfftOc"
VERSION = 2
FANOUT = 256
_HEAD = struct.Struct(">4sI")
_LARGE = 1 << 31


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
    fanout = array("I", bytes(4 * FANOUT))
    for oid in ids:
        fanout[oid[0]] += 1
    for first in range(1, FANOUT):
        fanout[first] += fanout[first - 1]
    small = array("I", bytes(4 * len(order)))
    large = array("Q")
    for place, number in enumerate(order):
        offset = offsets[number]
        if offset >= _LARGE:
            large.append(offset)
            offset = _LARGE | len(large) - 1
        small[place] = offset
    packed = b"".join(
        (
            _HEAD.pack(SIGNATURE, VERSION),
            _big_endian(fanout),
            b"".join(ids[number] for number in order),
            _big_endian(array("I", (checksums[number] for number in order))),
            _big_endian(small),
            _big_endian(large),
            pack_checksum,
        )
    )
    return packed + hashlib.new(object_format, packed).digest()


def _big_endian(numbers: array[int]) -> bytes:
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()
