"""Listing a large directory by several processes.

Most sources are small, so the walk begins in this process. If it turns out large, and several may
work, the directories yet to read wait in a queue, and each process takes the next ones, this one
too. Rows come back by `marshal`, the fastest way for plain tuples (both ends are one
program).
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from ..errors import BlockpackError, SourceError
from ..model.entry import Entry, decode
from ..workers.processors import processors
from .directory_walk import DirectoryWalk, Row, Unread

if TYPE_CHECKING:
    from ..workers.pool import Send, WorkerPool

WORTHWHILE = 2_000
"""Names below this are read before a second process has started."""

BATCH = 4_000
"""Rows, or a few more, that are sent at once."""

SHARES = 512
"""The most parts that directories are shared out in."""


def listed(walk: DirectoryWalk) -> Iterator[list[Entry]]:
    """The entries of each directory of a new walk, in any order."""
    walk.begin()
    yield from map(walk.entries, _listings(walk))


def _listings(walk: DirectoryWalk) -> Iterator[list[Row]]:
    """What there is to list: by this process alone, until it is worth others and can be shared."""
    rest = walk.listings()
    seen = 0
    while seen < WORTHWHILE or len(walk.pending) < 2:
        rows = next(rest, None)
        if rows is None:
            return
        yield rows
        seen += len(rows)
    workers = min(processors(walk.options.jobs), len(walk.pending))
    yield from _shared_out(walk, workers) if workers > 1 else rest


def _shared_out(walk: DirectoryWalk, workers: int) -> Iterator[list[Row]]:
    """What is pending, listed by several processes."""
    from ..workers.pool import WorkerPool

    shares = [walk.pending[first::SHARES] for first in range(min(SHARES, len(walk.pending)))]
    try:
        pool = WorkerPool.of(len(shares), partial(_lost, walk))
    except OSError:  # too few descriptors left
        yield from walk.listings()
        return
    with pool:
        pool.start(workers - 1, lambda send: _work_off(walk, shares, pool, send))
        for rows in _shares(walk, shares, pool):
            yield rows
            yield from _received(walk, pool, wait=False)
        yield from _received(walk, pool, wait=True)


def _shares(
    walk: DirectoryWalk, shares: list[list[Unread]], pool: WorkerPool
) -> Iterator[list[Row]]:
    """What a process lists: one share after another, until there are no more."""
    for number in pool.numbers():
        walk.pending = shares[number]
        yield from walk.listings()


def _lost(walk: DirectoryWalk, how: str) -> SourceError:
    return SourceError(decode(walk.root), f"a process that reads it {how}", "scan it again")


def _work_off(
    walk: DirectoryWalk, shares: list[list[Unread]], pool: WorkerPool, send: Send
) -> None:
    """The work of another process."""
    walk.problems = []
    for batch in _batches(_shares(walk, shares, pool)):
        send(marshal.dumps(batch))
    send(tuple(walk.problems))


def _batches(listings: Iterable[list[Row]]) -> Iterator[list[list[Row]]]:
    """`listings`, as many together as have `BATCH` rows; the last ones with as many as are left."""
    batch: list[list[Row]] = []
    count = 0
    for rows in listings:
        batch.append(rows)
        count += len(rows)
        if count >= BATCH:
            yield batch
            batch, count = [], 0
    yield batch


def _received(walk: DirectoryWalk, pool: WorkerPool, *, wait: bool) -> Iterator[list[Row]]:
    """What other processes have found."""
    for message in pool.messages(wait=wait):
        if isinstance(message, bytes):
            yield from marshal.loads(message)
        elif isinstance(message, tuple):
            walk.problems += (p for p in message if isinstance(p, BlockpackError))
