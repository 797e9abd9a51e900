"""Directory entries (FAT specification, sections 6 and 7).

A directory is 32-byte entries: for each name its long-name entries, last part first, then the
short entry with all the rest. `ENTRY` and `LONG` are the structures, once.
"""

from __future__ import annotations

import time

from ...model.entry import EPOCH
from ..structure import Structure
from .names import LONG_UNITS

SIZE = 32
"""Bytes in an entry."""

ENTRY = Structure(
    ("name", "11s"),
    ("attributes", "B"),
    ("case", "B"),
    ("created_tenths", "B"),
    ("created_time", "H"),
    ("created_date", "H"),
    ("accessed_date", "H"),
    ("cluster_high", "H"),
    ("modified_time", "H"),
    ("modified_date", "H"),
    ("cluster_low", "H"),
    ("size", "I"),
)
"""A short entry."""

LONG = Structure(
    ("order", "B"),
    ("units_1", "10s"),
    ("attributes", "B"),
    ("type", "B"),
    ("checksum", "B"),
    ("units_2", "12s"),
    ("cluster", "H"),
    ("units_3", "4s"),
)
"""A long-name entry."""

READ_ONLY, HIDDEN, SYSTEM, VOLUME_ID, DIRECTORY, ARCHIVE = 1, 2, 4, 8, 16, 32
LONG_NAME = READ_ONLY | HIDDEN | SYSTEM | VOLUME_ID
LAST_LONG = 0x40
MAX_ENTRIES = 65_536
"""The most entries in a directory (2 MiB): what drivers read."""
FREE, END = 0xE5, 0x00
"""The first byte of an entry that is free, and of one after which all are."""

DOT, DOTDOT = b".          ", b"..         "

FIRST_TIME = EPOCH
"""1980-01-01 00:00:00 in seconds since 1970: FAT's first time."""
LAST_TIME = 4_354_819_199
"""2107-12-31 23:59:59, its last (it shows the even second before)."""


def has_time(seconds: int) -> bool:
    """Whether FAT can show the time `seconds` (since 1970)."""
    return FIRST_TIME <= seconds <= LAST_TIME


def fat_time(seconds: int) -> tuple[int, int]:
    """(date, time) in FAT's form, of UTC; FAT counts in steps of two seconds."""
    moment = time.gmtime(seconds)
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date, moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2


def pack_entry(
    name: bytes,
    attributes: int,
    stamp: tuple[int, int],
    cluster: int = 0,
    size: int = 0,
    case: int = 0,
) -> bytes:
    """A short entry. `name` has 11 bytes, `stamp` is `fat_time`'s, `case` are `names.case_bits`."""
    date, clock = stamp
    high, low = cluster >> 16, cluster & 0xFFFF
    return ENTRY.pack_all(
        name, attributes, case, 0, clock, date, date, high, clock, date, low, size
    )


_ROTATED = tuple((byte & 1) << 7 | byte >> 1 for byte in range(256)) * 2
"""Each byte rotated right by one bit, by its value and by that plus 256."""


def checksum(name: bytes) -> int:
    """The checksum of a short name's 11 bytes, which ties long-name entries to it."""
    rotated = _ROTATED
    a, b, c, d, e, f, g, h, i, j, k = name
    # Written out, for it is done for every name.
    total = rotated[rotated[rotated[rotated[rotated[a] + b] + c] + d] + e] + f
    return rotated[rotated[rotated[rotated[rotated[total] + g] + h] + i] + j] + k & 0xFF


def checksums(data: bytes) -> bytes:
    """`checksum` of each entry's first 11 bytes, at once: in one number of 16 bits for each."""
    lanes = bytes(2) * (len(data) // SIZE)
    ones = int.from_bytes(b"\1\0" * (len(data) // SIZE), "little")
    total = 0
    for column in range(len(DOT)):
        names = bytearray(lanes)
        names[::2] = data[column::SIZE]
        rotated = (total & ones) << 7 | (total >> 1 & ones * 0x7F)
        total = rotated + int.from_bytes(names, "little") & ones * 0xFF
    return total.to_bytes(len(lanes), "little")[::2]


def pack_long(text: bytes, short: bytes) -> bytes:
    """The long-name entries that hold `text` (`names.long_text`) before the short name `short`."""
    check = checksum(short)
    count = len(text) // (2 * LONG_UNITS)
    packed = []
    for order in range(count, 0, -1):
        part = text[26 * order - 26 : 26 * order]
        mark = order | LAST_LONG if order == count else order
        packed.append(
            LONG.pack_all(mark, part[:10], LONG_NAME, 0, check, part[10:22], 0, part[22:])
        )
    return b"".join(packed)
