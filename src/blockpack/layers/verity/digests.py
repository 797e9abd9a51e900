"""Hashing blocks, by several processes: a level of the tree after the other.

Each process reads stretches of blocks and writes their digests where they belong, into a temporary
file: memory is one buffer a process, whatever the size. Nothing is sent but that it was done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ...reading.positional import READ_ONLY, DescriptorReader, PartReader, PositionalReader
from ...reading.spool import Spool
from ...workers.pool import MOST_NUMBERS, lost_process, shared_out
from ...workers.processors import Jobs
from ...workers.sharing import Advance, SharedCount, ignore, jobs_for
from .hash_tree import HashTree

PIECE = 2 << 20
"""Bytes that are read at once."""

_LEAST = 16 << 20
"""Bytes of the smallest stretch that a process takes."""

_COST = 4
"""How many bytes are copied while one is hashed."""

_LOST = lost_process("a hashing process", "there is no hash tree")


def digests(
    tree: HashTree,
    reader: PositionalReader,
    block_size: int,
    start: int,
    stop: int,
    buffer: bytearray | None = None,
) -> Iterator[tuple[int, bytes]]:
    """The digests of blocks `start` to `stop`, in their slots, many at a time, with the number of
    the first. What is not there of the last block is zeros. The `buffer` of `PIECE` bytes is for
    who asks often: a new one costs its pages.
    """
    buffer = bytearray(PIECE) if buffer is None else buffer
    step = PIECE // block_size
    nothing = bytes(PIECE)
    of_zeros = tree.digests(memoryview(nothing)[:block_size], block_size)
    for first in range(start, stop, step):
        count = min(step, stop - first)
        view = memoryview(buffer)[: count * block_size]
        there = max(0, min(len(view), reader.size - first * block_size))
        reader.read_into(view[:there], first * block_size)
        view[there:] = bytes(len(view) - there)
        if count == step and buffer == nothing:  # at once, where views are compared byte by byte
            yield first, of_zeros * count
            continue
        yield first, tree.digests(view, block_size)


def hashed(
    tree: HashTree, data: PositionalReader, jobs: Jobs, advance: Advance
) -> tuple[Spool, bytes]:
    """The tree of `data` and its root hash. Raises `SourceError`, and `TargetError` for no room."""
    spool = Spool()
    spool.truncate(tree.size)
    spool.write(tree.superblock(), 0)
    reader, depth = data, 0
    for depth, level in enumerate(tree.levels, 1):
        _hash(tree, reader, depth, spool, jobs, advance)
        reader = PartReader(opened(spool), level.start, level.blocks * tree.hash_block_size)
        advance = ignore  # higher levels are a hundredth of the work
    ((_, root),) = digests(tree, reader, tree.level(depth)[1], 0, 1)
    return spool, root[: tree.digest_size]


def opened(spool: Spool) -> DescriptorReader:
    """What reads a spool, by a descriptor of its own."""
    return DescriptorReader(os.open(spool.path, READ_ONLY))


def _hash(
    tree: HashTree, reader: PositionalReader, depth: int, spool: Spool, jobs: Jobs, advance: Advance
) -> None:
    """Write a level of the tree: the digests of the blocks below it, which `reader` reads."""
    (_, block_size, blocks), start_of_level = tree.level(depth - 1), tree.level(depth)[0]
    step = max(-(-blocks // MOST_NUMBERS), _LEAST // block_size)
    stretches = -(-blocks // step)
    more = blocks * block_size * _COST
    count = jobs_for(stretches, jobs, more) if reader.forkable else 1
    done = SharedCount(advance)
    buffer = bytearray(PIECE)

    def work(number: int) -> None:
        start, stop = number * step, min((number + 1) * step, blocks)
        for first, found in digests(tree, reader, block_size, start, stop, buffer):
            spool.write(found, start_of_level + first * tree.slot)
            done.count(len(found) // tree.slot * block_size)

    for _ in shared_out(stretches, count, work, _LOST, done):
        pass
