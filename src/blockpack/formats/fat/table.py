"""The file allocation table (FAT specification, section 4).

An entry says which cluster follows in a file, or that it is the last. Files here lie end to end
without gaps, so entries are computed: cluster *n* is followed by *n* + 1 except at the end of a
chain, and any stretch of the table can be made by itself.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest

from attrs import frozen

from .boot_sector import MEDIA_FIXED

FIRST_CLUSTER = 2
"""The number of the data area's first cluster; 0 and 1 are reserved."""

END_OF_CHAIN = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
"""What marks the last cluster of a chain. Any value from 7 below on does, for a reader."""

BAD = {12: 0xFF7, 16: 0xFFF7, 32: 0x0FFFFFF7}
"""What marks a cluster that cannot be used."""

_CODES = {16: "H", 32: "I"}


def table_bytes(bits: int, clusters: int) -> int:
    """The bytes that a table for `clusters` data clusters takes."""
    return ((clusters + FIRST_CLUSTER) * bits + 7) // 8


@frozen
class Chains:
    """Chains end to end from cluster 2 on, by the first cluster of each, and the first free one."""

    bits: int
    firsts: Sequence[int]
    media: int = MEDIA_FIXED
    """The media byte, which entry 0 repeats."""

    @property
    def end(self) -> int:
        """The first cluster that is free."""
        return self.firsts[-1]

    def entries(self, start: int, stop: int) -> array[int]:
        """The table's entries `start` up to, not including, `stop`."""
        used = max(min(stop, self.end), start)
        found = consecutive(start + 1, used - start)
        end_of_chain = END_OF_CHAIN[self.bits]
        # The last cluster of a chain is the one before the next chain's first.
        index = bisect_left(self.firsts, start + 1)
        while index < len(self.firsts) and self.firsts[index] <= used:
            found[self.firsts[index] - 1 - start] = end_of_chain
            index += 1
        found.frombytes(bytes(4 * (stop - used)))
        for reserved in range(start, min(stop, FIRST_CLUSTER)):
            # Entry 1 says "clean, no errors".
            mark = end_of_chain & ~0xFF | self.media if reserved == 0 else end_of_chain
            found[reserved - start] = mark
        return found

    def pack(self, start: int, stop: int) -> bytes:
        """The same as bytes. FAT12 packs pairs, so there `start` is even."""
        entries = self.entries(start, stop)
        if self.bits == 12:
            return pack_12(entries)
        packed = array(_CODES[self.bits], entries) if self.bits == 16 else entries
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tobytes()


def consecutive(first: int, count: int) -> array[int]:
    """`count` numbers from `first` on: at once, as one long number of 32-bit digits."""
    if sys.byteorder == "big" or not count:
        return array("I", range(first, first + count))
    steps, ones = _digits(count)
    found = array("I")
    found.frombytes((steps + first * ones).to_bytes(4 * count, "little"))
    return found


@lru_cache(maxsize=4)
def _digits(count: int) -> tuple[int, int]:
    """Numbers whose `count` 32-bit digits are 0, 1, 2, …, and 1 each."""
    steps, ones = array("I", range(count)), array("I", [1]) * count
    return int.from_bytes(steps.tobytes(), "little"), int.from_bytes(ones.tobytes(), "little")


def pack_12(entries: Sequence[int]) -> bytes:
    """FAT12's entries: two in three bytes; the last of an odd number takes two."""
    packed = bytearray()
    for low, high in zip_longest(entries[::2], entries[1::2], fillvalue=0):
        packed += (low | high << 12).to_bytes(3, "little")
    return bytes(packed[: (12 * len(entries) + 7) // 8])


def unpack(bits: int, table: bytes, count: int) -> array[int]:
    """The first `count` entries of a table's bytes, without FAT32's reserved top bits."""
    if bits == 12:
        entries = array("I")
        for at in range(0, (count + 1) // 2 * 3, 3):
            pair = int.from_bytes(table[at : at + 3], "little")
            entries.extend((pair & 0xFFF, pair >> 12))
        return entries[:count]
    if bits == 32:
        # All at once, as one long number.
        used = int.from_bytes(table, "little") & int.from_bytes(
            b"\xff\xff\xff\x0f" * count, "little"
        )
        table = used.to_bytes(4 * count, "little")
    found = array(_CODES[bits], table[: count * bits // 8])
    if sys.byteorder == "big":
        found.byteswap()
    return array("I", found) if bits == 16 else found
