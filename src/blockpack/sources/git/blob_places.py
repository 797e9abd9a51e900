"""Where blobs are in packs, as arrays: there may be a million."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Self

from attrs import frozen

TOO_LARGE = 1 << 63
"""Bytes that no blob has, whatever a pack or git says."""

UNKNOWN = (1 << 64) - 1
"""The size of a blob that no pack has whole, as long as git has not told it."""

PLACE_BYTES = sum(array(code).itemsize for code in "IQQ")
"""Bytes that one takes."""


@frozen
class Places:
    """Where blobs are, in the order in which they were asked for.

    For each the number of its pack in `packs`; in `offsets` where its zlib stream begins there, and
    in `sizes` its size, both in bytes. What git is to read has the offset 0.
    """

    packs: array[int]
    offsets: array[int]
    sizes: array[int]

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Those of `count` blobs of which nothing is known yet."""
        zeros = array("Q", [0]) * count
        return cls(array("I", [0]) * count, zeros, array("Q", [UNKNOWN]) * count)

    def of(self, numbers: Iterable[int]) -> Places:
        """Those of the blobs with these numbers alone, in that order."""
        kept = [*numbers]
        packs, offsets, sizes = (map(each.__getitem__, kept) for each in self.arrays)
        return Places(array("I", packs), array("Q", offsets), array("Q", sizes))

    def extend(self, other: Places) -> None:
        """Those of more blobs."""
        for own, others in zip(self.arrays, other.arrays, strict=True):
            own.extend(others)

    def to_bytes(self) -> bytes:
        """All of them, as `add_bytes` takes them."""
        return b"".join(numbers.tobytes() for numbers in self.arrays)

    def add_bytes(self, data: bytes) -> int:
        """Those of more blobs, of which another process of this machine made bytes; how many."""
        count = len(data) // PLACE_BYTES
        at = 0
        for numbers in self.arrays:
            end = at + count * numbers.itemsize
            numbers.frombytes(data[at:end])
            at = end
        return count

    @property
    def arrays(self) -> tuple[array[int], array[int], array[int]]:
        """All that they are."""
        return self.packs, self.offsets, self.sizes
