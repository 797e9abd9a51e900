"""Scanning a large directory by several processes.

Most sources are small, so the scan begins in this process, or where a head start has got to. If it
turns out large, the directories yet to read wait in a queue, and each process takes the next ones,
this one too. Rows come back by `marshal`, the fastest way for plain tuples (both ends are one
program).
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import BlockpackError, SourceError
from ..model.entry import Entry, decode
from ..workers.processors import processors
from .directory import Scan
from .listing import Row, Unread, batches

if TYPE_CHECKING:
    from ..workers.pool import Send, WorkerPool
    from .ahead import HeadStart

WORTHWHILE = 2_000
"""Names below this are read before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""


def scanned(scan: Scan, jobs: int | None, ahead: HeadStart | None) -> Iterator[list[Entry]]:
    """The entries of each directory of a new scan, in any order, by up to `jobs` processes.

    What `ahead` has found of the scan's directory by now is not looked for again.
    """
    scan.begin()
    yield from map(scan.entries, _listings(scan, jobs, ahead))


def _listings(scan: Scan, jobs: int | None, ahead: HeadStart | None) -> Iterator[list[Row]]:
    """What there is to scan: by this process alone, until it is worth others and can be shared."""
    found: Iterator[list[Row]] = iter(())
    seen = 0
    if ahead is not None and scan.plain and ahead.root == scan.root:
        head_start = ahead.call_off(partial(_lost, scan))
        if head_start is not None:
            seen, scan.pending, found = head_start
    rest = chain(found, scan.listings())
    while seen < WORTHWHILE or len(scan.pending) < 2:
        rows = next(rest, None)
        if rows is None:
            return
        yield rows
        seen += len(rows)
    workers = min(processors(jobs), len(scan.pending))
    yield from _shared_out(scan, workers, found) if workers > 1 else rest


def _shared_out(scan: Scan, workers: int, found: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """`found`, while other workers are at it already, and what is pending."""
    from ..workers.pool import WorkerPool

    shares = [scan.pending[first::SHARES] for first in range(min(SHARES, len(scan.pending)))]
    try:
        pool = WorkerPool.of(len(shares), partial(_lost, scan))
    except OSError:  # too few descriptors left
        yield from chain(found, scan.listings())
        return
    with pool:
        pool.start(workers - 1, lambda send: _work_off(scan, shares, pool, send))
        for rows in found:
            yield rows
            yield from _received(scan, pool, wait=False)
        for rows in _shares(scan, shares, pool):
            yield rows
            yield from _received(scan, pool, wait=False)
        yield from _received(scan, pool, wait=True)


def _shares(scan: Scan, shares: list[list[Unread]], pool: WorkerPool) -> Iterator[list[Row]]:
    """What a process lists: one share after another, until there are no more."""
    for number in pool.numbers():
        scan.pending = shares[number]
        yield from scan.listings()


def _lost(scan: Scan, how: str) -> SourceError:
    return SourceError(decode(scan.root), f"a process that reads it {how}", "scan it again")


def _work_off(scan: Scan, shares: list[list[Unread]], pool: WorkerPool, send: Send) -> None:
    """The work of another process."""
    scan.problems = []
    for batch in batches(_shares(scan, shares, pool)):
        send(marshal.dumps(batch))
    send(tuple(scan.problems))


def _received(scan: Scan, pool: WorkerPool, *, wait: bool) -> Iterator[list[Row]]:
    """What other processes have found."""
    for message in pool.messages(wait=wait):
        if isinstance(message, bytes):
            yield from marshal.loads(message)
        elif isinstance(message, tuple):
            scan.problems += (p for p in message if isinstance(p, BlockpackError))
