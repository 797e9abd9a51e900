"""The tar header: one block of 512 bytes before each member (POSIX ustar, IEEE Std 1003.1).

Numbers are octal text. `FIELDS` is the structure, once: the writer packs by it, the reader
unpacks by it, and docs/format/tar.md shows it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from zlib import adler32

BLOCK = 512
"""Bytes in a block; headers and contents take whole blocks."""

END = bytes(2 * BLOCK)
"""What ends an archive: two blocks of zeros."""

FIELDS = (
    # name, bytes
    ("name", 100),
    ("mode", 8),
    ("uid", 8),
    ("gid", 8),
    ("size", 12),
    ("mtime", 12),
    ("checksum", 8),
    ("typeflag", 1),
    ("linkname", 100),
    ("magic", 8),  # magic and version
    ("uname", 32),
    ("gname", 32),
    ("devmajor", 8),
    ("devminor", 8),
    ("prefix", 155),
    ("unused", 12),
)

USTAR = b"ustar\x0000"
GNU = b"ustar  \0"

FILE, HARDLINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"
EXTENDED, GLOBAL = b"x", b"g"
GNU_LONG_NAME, GNU_LONG_LINK = b"L", b"K"
GNU_SPARSE, GNU_CONTINUED = b"S", b"M"

EROFS_MEMBER = ".erofs"
"""The first member of an archive that is an EROFS, too, which no entry may be called then."""
EROFS_MARK = b"EROFS"
"""What `unused` has in that one's header: a file of that name that is packed again has NULs there,
as its metadata is of another archive.
"""

NAME_SIZE = 100
PREFIX_SIZE = 155
MAX_ID = 0o7777777
"""The greatest uid or gid that seven octal digits hold."""
MAX_SIZE = 0o77777777777
"""The greatest size (one below 8 GiB) or time that eleven octal digits hold."""

_STRUCT = struct.Struct("".join(f"{size}s" for _, size in FIELDS))
_CHECKSUM = slice(148, 156)
_UNUSED = slice(500, 512)
_BLANK = b" " * 8
_BLANKS = sum(_BLANK)
_DEVICE = b"0000000\0"
_OCTAL = re.compile(rb"[ \t\0]*(-?[0-7]+)?(?:[ \0].*)?", re.DOTALL)


K = TypeVar("K")
V = TypeVar("V")


class Header(NamedTuple):
    """The fields of a header that are read, as raw bytes, named as in `FIELDS`."""

    name: bytes
    mode: bytes
    uid: bytes
    gid: bytes
    size: bytes
    mtime: bytes
    checksum: bytes
    typeflag: bytes
    linkname: bytes
    magic: bytes
    prefix: bytes

    @classmethod
    def unpack(cls, block: bytes) -> Header:
        """The fields of a block of 512 bytes."""
        return cls._make(_READ.unpack(block))


_READ = struct.Struct(
    "".join(f"{size}{'s' if name in Header._fields else 'x'}" for name, size in FIELDS)
)


class Remembered(dict[K, V]):
    """What `make` makes of keys of which most come again."""

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[key] = value = self._make(key)
        return value


Numbers = Remembered[bytes, int | None]
"""Fields → their numbers."""
Sums = Remembered[bytes, int]
"""Checksum fields → the low half of Adler-32 that ASCII headers with them have."""

_REMEMBERED = 4096


def number(field: bytes) -> int | None:
    """A field's number: octal text, which may be short of its zeros or of its end, or GNU's base
    256; 0 if it is empty, and None if it is none of these.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << bits - 1)
    if field.isdigit():
        try:
            return int(field, 8)
        except ValueError:  # of 8 and 9
            return None
    found = _OCTAL.fullmatch(field)
    if found is None:
        return None
    return int(found[1], 8) if found[1] else 0


def text(field: bytes) -> bytes:
    """A field up to its first NUL."""
    return field.partition(b"\0")[0]


def low_half(checksum: bytes) -> int:
    """The low half of Adler-32 of the ASCII headers that have this checksum field."""
    stated = number(checksum)
    return -1 if stated is None else stated - _BLANKS + adler32(checksum) % _HALF


def is_header(block: bytes, sums: Mapping[bytes, int]) -> bool:
    """Whether a block of 512 bytes has its right checksum; old writers added signed bytes."""
    if block.isascii():  # its bytes add up to less than 65521, so the low half has them all
        return adler32(block) & 0xFFFF == sums[block[_CHECKSUM]]
    total = checksum(block)
    high = block[:148] + block[156:]
    signed = total - 256 * (len(high) - len(high.translate(None, _HIGH)))
    return number(block[_CHECKSUM]) in (total, signed)


_HALF = 1 << 16
_HIGH = bytes(range(128, 256))


def pack(
    name: bytes,
    *,
    typeflag: bytes,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 0,
    linkname: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = USTAR,
    unused: bytes = b"",
) -> bytes:
    """A header block. Numbers that their fields cannot hold are for the caller to see to:
    negative or too large, they are written in base 256, GNU's way.
    """
    block = _STRUCT.pack(
        name,
        b"%07o\0" % mode,
        b"%07o\0" % uid if 0 <= uid <= MAX_ID else base_256(uid, 8),
        b"%07o\0" % gid if 0 <= gid <= MAX_ID else base_256(gid, 8),
        b"%011o\0" % size if size <= MAX_SIZE else base_256(size, 12),
        b"%011o\0" % mtime if 0 <= mtime <= MAX_SIZE else base_256(mtime, 12),
        _BLANK,
        typeflag,
        linkname,
        magic,
        b"",
        b"",
        _DEVICE,
        _DEVICE,
        prefix,
        unused,
    )
    return b"%b%06o\0 %b" % (block[:148], checksum(block), block[156:])


MakeHeader = Callable[[int, bytes, int], bytes]
"""Makes so many zeros, and the header of the file of that name and size (bytes)."""


def begins_erofs(block: bytes) -> bool:
    """Whether an archive that begins with this block is an EROFS, too."""
    name = f"{EROFS_MEMBER}\0".encode()
    return block.startswith(name) and text(block[_UNUSED]) == EROFS_MARK


def file_headers(mode: int, uid: int, gid: int, mtime: int) -> MakeHeader:
    """Makes headers of files that differ in name and size alone, several times as fast as `pack`.

    The name must fit its field, and so must the size; the zeros are fewer than a block. Mode, ids
    and time are as in `pack`.
    """
    block = pack(b"", typeflag=FILE, mode=mode, uid=uid, gid=gid, mtime=mtime)
    ids, time, rest = block[100:124], block[135:148], block[156:]
    zeros = [bytes(length) for length in range(BLOCK)]
    after_name = [bytes(NAME_SIZE - length) + ids for length in range(NAME_SIZE + 1)]
    # As in `checksum`: the bytes of a name and of digits add up to less than 65521.
    others = checksum(block) - sum(b"%011o" % 0) - 1

    def tail(low_half: int) -> bytes:
        return b"%b%06o\0 %b" % (time, others + low_half, rest)

    tails: Remembered[int, bytes] = Remembered(tail)

    def make(before: int, name: bytes, size: int) -> bytes:
        digits = b"%011o" % size
        end = tails[adler32(name + digits) & 0xFFFF]
        return b"".join((zeros[before], name, after_name[len(name)], digits, end))

    return make


def checksum(block: bytes) -> int:
    """The sum of a block's bytes, its checksum field taken as spaces."""
    # The low half of Adler-32 is one more than the sum of the bytes modulo 65521; the bytes
    # of half a block add up to 65280 at most. That is ten times as fast as sum().
    halves = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    return halves - (adler32(block[_CHECKSUM]) & 0xFFFF) + 1 + _BLANKS


def base_256(number: int, size: int) -> bytes:
    """`number` in `size` bytes of GNU's base 256: big-endian, two's complement, top bit set."""
    field = bytearray(number.to_bytes(size, "big", signed=True))
    field[0] |= 0x80
    return bytes(field)


def padded(size: int) -> int:
    """`size` rounded up to whole blocks, in bytes."""
    return (size + BLOCK - 1) & -BLOCK


def split_name(name: bytes) -> tuple[bytes, bytes] | None:
    """`name` as (prefix, name) of a ustar header, or None if it does not fit.

    The two are joined by the slash at which they are split.
    """
    if len(name) <= NAME_SIZE:
        return b"", name
    # The last slash that leaves a prefix short enough; not the one that ends a directory.
    slash = name.rfind(b"/", 1, min(PREFIX_SIZE + 1, len(name) - 1))
    if slash < 0 or len(name) - slash - 1 > NAME_SIZE:
        return None
    return name[:slash], name[slash + 1 :]
