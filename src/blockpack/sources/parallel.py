"""Scanning a large directory by several processes.

Most sources are small, so the scan begins in this process. If it turns out large, the directories
yet to read wait in a queue, and each process takes the next ones, this one too. Entries
come back as plain tuples, for which `marshal` is the fastest way (both ends are one program).
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..entry import Directory, Entry, File, Symlink, decode
from ..errors import BlockpackError, SourceError
from ..processors import processors
from .directory import PERMISSIONS, Scan, Unread

if TYPE_CHECKING:
    from ..processes import Send, WorkerPool

WORTHWHILE = 2_000
"""Names below this are read before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""

BATCH = 4_000
"""Entries sent at once."""

_Plain = tuple[str, int | str | None, int, int, int, int, tuple[int, int] | None]
"""An entry: path; a file's size, a link's target or None; mode, mtime_ns, uid, gid; inode."""


def scanned(scan: Scan, jobs: int | None) -> Iterator[list[Entry]]:
    """`Scan.entries` of a new scan, in another order, by up to `jobs` processes."""
    scan.begin()
    seen = 0
    for listing in scan.entries():
        yield listing
        seen += len(listing)
        if seen >= WORTHWHILE and len(scan.pending) > 1:
            break
    workers = min(processors(jobs), len(scan.pending))
    yield from _shared_out(scan, workers) if workers > 1 else scan.entries()


def _shared_out(scan: Scan, workers: int) -> Iterator[list[Entry]]:
    from ..processes import WorkerPool

    shares = [scan.pending[first::SHARES] for first in range(min(SHARES, len(scan.pending)))]
    try:
        pool = WorkerPool.of(len(shares), lambda how: _lost(scan, how))
    except OSError:  # too few descriptors left
        yield from scan.entries()
        return
    with pool:
        pool.start(workers - 1, lambda send: _work_off(scan, shares, pool, send))
        for number in pool.numbers():
            scan.pending = shares[number]
            yield from scan.entries()
            yield from _received(scan, pool, wait=False)
        yield from _received(scan, pool, wait=True)


def _lost(scan: Scan, how: str) -> SourceError:
    return SourceError(decode(scan.root), f"a process that reads it {how}", "scan it again")


def _work_off(scan: Scan, shares: list[list[Unread]], pool: WorkerPool, send: Send) -> None:
    """The work of another process: one share after another, until there are no more."""
    scan.problems = []
    batch: list[list[_Plain]] = []
    count = 0
    for number in pool.numbers():
        scan.pending = shares[number]
        for listing in scan.entries():
            batch.append([_plain(entry) for entry in listing])
            count += len(listing)
            if count >= BATCH:
                send(marshal.dumps(batch))
                batch, count = [], 0
    send(marshal.dumps(batch))
    send(tuple(scan.problems))


def _received(scan: Scan, pool: WorkerPool, *, wait: bool) -> Iterator[list[Entry]]:
    """What other processes have found."""
    for message in pool.messages(wait=wait):
        if isinstance(message, bytes):
            for listing in marshal.loads(message):
                yield [_entry(scan, *fields) for fields in listing]
        elif isinstance(message, tuple):
            scan.problems += (p for p in message if isinstance(p, BlockpackError))


def _plain(entry: Entry) -> _Plain:
    if type(entry) is File:
        what: int | str | None = entry.size
        inode = entry.inode
    else:
        what = entry.target if type(entry) is Symlink else None
        inode = None
    return entry.path, what, entry.mode, entry.mtime_ns, entry.uid, entry.gid, inode


def _entry(
    scan: Scan,
    path: str,
    what: int | str | None,
    mode: int,
    mtime_ns: int,
    uid: int,
    gid: int,
    inode: tuple[int, int] | None,
) -> Entry:
    mode = PERMISSIONS[mode]  # one integer for all that share it, as in a scan
    if type(what) is int:
        return File(path, what, scan.content, mode, mtime_ns, uid, gid, inode)
    if type(what) is str:
        return Symlink(path, what, mode, mtime_ns, uid, gid)
    return Directory(path, mode, mtime_ns, uid, gid)
