"""Following the chains of an allocation table that is not trusted.

Every cluster is followed once: a loop, or a second way to it, ends a chain. So reading takes no
longer than the image is large, whatever it says. Chains are followed a run of neighbours at a
time, for nearly all files lie in one piece.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress
from operator import xor

from . import table
from .table import FIRST_CLUSTER

CHUNK = 1 << 16
"""Table entries that are read at once."""

_CACHED_CHUNKS = 32

Runs = list[tuple[int, int]]
"""(first cluster, number of clusters), in a chain's order."""


Chain = tuple[Runs, int, str]
"""As much of a chain as was asked for, or can be followed: its runs, the table's entry after the
last of them (0 if there is none), and why it cannot be followed further (empty if it can).
"""


class _Chunk:
    """A stretch of the table from `start` on, what is followed of it, and the `ends` of runs."""

    __slots__ = ("_taken", "ends", "entries", "start")

    def __init__(self, start: int, entries: array[int], taken: bytearray) -> None:
        self.start = start
        self.entries = entries
        first, stop = start + 1, start + 1 + len(entries)
        self.ends = array("I")
        neighbours = table.consecutive(first, len(entries))
        if entries != neighbours:
            # All at once, as two long numbers.
            pair = (int.from_bytes(each, sys.byteorder) for each in (entries, neighbours))
            breaks = array("I", xor(*pair).to_bytes(4 * len(entries), sys.byteorder))
            self.ends.extend(compress(range(first, stop), breaks))
        self._taken = taken  # a bit for each

    def run(self, cluster: int) -> int:
        """How many neighbours, in this stretch, the chain has from `cluster` on."""
        at = bisect_right(self.ends, cluster)
        end = self.ends[at] if at < len(self.ends) else self.start + len(self.entries)
        return end - cluster

    def free(self, cluster: int, count: int) -> int:
        """How many of `count` clusters from `cluster` on were not followed before one that was."""
        place, bits = self._bits(cluster, count)
        both = int.from_bytes(self._taken[place], "little") & bits
        return (both & -both).bit_length() - 1 - (cluster & 7) if both else count

    def take(self, cluster: int, count: int) -> None:
        """Note that `count` clusters from `cluster` on were followed."""
        place, bits = self._bits(cluster, count)
        both = int.from_bytes(self._taken[place], "little") | bits
        self._taken[place] = both.to_bytes(place.stop - place.start, "little")

    def _bits(self, cluster: int, count: int) -> tuple[slice, int]:
        index = cluster - self.start
        return slice(index >> 3, index + count + 7 >> 3), (1 << count) - 1 << (index & 7)


class Allocation:
    """The table at `offset` of what `read_at` reads, and the clusters that a walk has followed."""

    def __init__(
        self, read_at: Callable[[int, int], bytes], offset: int, bits: int, clusters: int
    ) -> None:
        self._read_at = read_at
        self._offset = offset
        self._bits = bits
        self.stop = FIRST_CLUSTER + clusters
        """The number after the last cluster's."""
        self.end_of_chain = table.BAD[bits]
        """From this entry on, a chain ends. (To Linux a bad cluster is an end, too.)"""
        self.shared: list[int] = []
        """The clusters that a second chain led to."""
        self.followed = 0
        """How many clusters have been followed."""
        self._chunks: dict[int, _Chunk] = {}
        self._taken: dict[int, bytearray] = {}

    def chunks(self) -> Iterator[array[int]]:
        """The entries of all data clusters, in stretches. Raises `ImageError`."""
        for number in range(-(-self.stop // CHUNK)):
            entries = self._entries(number)
            yield entries if number else entries[FIRST_CLUSTER:]

    def follow_all(self, firsts: Sequence[int], counts: Sequence[int]) -> bool:
        """Follow chains of one piece each, end to end; False if they are not: then none was
        followed.
        """
        start = firsts[0]
        stop = start + sum(counts)
        if not FIRST_CLUSTER <= start < stop <= self.stop:
            return False
        borders = array("I", accumulate(counts, initial=start))
        if borders[:-1] != array("I", firsts):
            return False
        chunk = self._chunk(start)
        at = bisect_right(chunk.ends, start)
        if chunk.ends[at : at + len(firsts)] != borders[1:]:
            return False
        lasts = [chunk.entries[border - 1 - chunk.start] for border in borders[1:]]
        if min(lasts) < self.end_of_chain or chunk.free(start, stop - start) < stop - start:
            return False
        chunk.take(start, stop - start)
        self.followed += stop - start
        return True

    def follow(self, cluster: int, most: int) -> Chain:
        """The chain from `cluster` on, `most` clusters of it at the most. Raises `ImageError`."""
        runs: Runs = []
        following = 0
        while most:
            if not FIRST_CLUSTER <= cluster < self.stop:
                rule = f"its chain leads to cluster {cluster}, which does not exist"
                return runs, following, rule
            chunk = self._chunk(cluster)
            count = min(chunk.run(cluster), most)
            free = chunk.free(cluster, count)
            if free:
                chunk.take(cluster, free)
                self.followed += free
                runs.append((cluster, free))
            if free < count:
                self.shared.append(cluster + free)
                rule = f"its chain leads to cluster {cluster + free}, which is taken already"
                return runs, following, rule
            following = chunk.entries[cluster + count - 1 - chunk.start]
            if following >= self.end_of_chain:
                break
            most -= count
            cluster = following
        return runs, following, ""

    def _chunk(self, cluster: int) -> _Chunk:
        """The stretch that `cluster` is in. Raises `ImageError`."""
        number = cluster // CHUNK
        found = self._chunks.get(number)
        if found is None:
            if len(self._chunks) >= _CACHED_CHUNKS:
                self._chunks.clear()
            taken = self._taken.setdefault(number, bytearray(CHUNK // 8))
            found = _Chunk(number * CHUNK, self._entries(number), taken)
            self._chunks[number] = found
        return found

    def _entries(self, number: int) -> array[int]:
        """The entries from `number` × `CHUNK` on, as far as there are clusters."""
        start = number * CHUNK
        count = min(CHUNK, self.stop - start)
        offset = self._offset + table.table_bytes(self._bits, start - FIRST_CLUSTER)
        length = table.table_bytes(self._bits, count - FIRST_CLUSTER)
        return table.unpack(self._bits, self._read_at(offset, length), count)
