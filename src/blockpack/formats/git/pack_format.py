"""The pack: git's container of objects (gitformat-pack(5), "pack-*.pack files").

    header (12) | object | object | … | checksum of all that (20, or 32 with SHA-256)

An object is a header (its type and size), then its bytes as a zlib stream (RFC 1950). What does not
get smaller is stored: a zlib stream of stored blocks, framed here by hand, so that its bytes follow
from the content alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..structure import Structure

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
"""The types of objects in a pack."""

KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
"""The types that an object can have by itself, as its id knows them."""

HEADER = Structure(
    ("signature", "4s"),
    ("version", "I"),
    ("objects", "I"),
    order=">",
)
"""The header, big-endian."""
SIGNATURE = b"PACK"
VERSION = 2

STORED = 0xFFFF
"""The most bytes in a stored block (RFC 1951, section 3.2.4)."""

ZLIB_STORED = b"\x78\x01"
"""The zlib header of a stream that was compressed as fast as possible: not at all."""
_STORED_BLOCK = struct.Struct("<BHH")
_ADLER = struct.Struct(">I")


def pack_header(objects: int) -> bytes:
    """The first 12 bytes of a pack of that many objects."""
    return HEADER.pack_all(SIGNATURE, VERSION, objects)


def object_header(kind: int, size: int) -> bytes:
    """What stands before an object's zlib stream: its type, and its size in bytes inflated."""
    byte = kind << 4 | size & 0xF
    size >>= 4
    packed = bytearray()
    while size:
        packed.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    packed.append(byte)
    return bytes(packed)


def type_and_size(data: bytes) -> tuple[int, int, int]:
    """An object's type and size, and where what follows them begins; 0 if there is no such."""
    byte = data[0]
    kind, size, shift = byte >> 4 & 7, byte & 0xF, 4
    at = 1
    while byte & 0x80:
        if at >= len(data) or shift > 60:
            return kind, size, 0
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
    return kind, size, at


def offset_header(distance: int) -> bytes:
    """How far before a delta its base begins, in bytes, as it stands after the delta's header."""
    packed = bytearray([distance & 0x7F])
    while distance := distance >> 7:
        distance -= 1
        packed.insert(0, 0x80 | distance & 0x7F)
    return bytes(packed)


def most_packed(size: int) -> int:
    """The most that an object of `size` bytes takes, its header included (zlib's deflateBound)."""
    return size + (size >> 12) + (size >> 14) + (size >> 25) + 64


def stored_size(size: int) -> int:
    """The length of the zlib stream that stores `size` bytes."""
    blocks = max(1, -(-size // STORED))
    return len(ZLIB_STORED) + blocks * _STORED_BLOCK.size + size + _ADLER.size


def stored_block(size: int, *, last: bool) -> bytes:
    """What stands before a stored block of `size` bytes."""
    return _STORED_BLOCK.pack(last, size, size ^ 0xFFFF)


def adler_trailer(adler: int) -> bytes:
    """The end of a zlib stream: the Adler-32 of what it holds."""
    return _ADLER.pack(adler)


def adler_of(stream: bytes) -> int:
    """The Adler-32 at the end of a zlib stream."""
    return int.from_bytes(stream[-_ADLER.size :])


def stored_blocks(size: int) -> Iterator[tuple[int, int, bytes]]:
    """The blocks that store `size` bytes: (start in the content, length, what stands before)."""
    for start in range(0, max(size, 1), STORED):
        length = min(STORED, size - start)
        yield start, length, stored_block(length, last=start + length == size)
