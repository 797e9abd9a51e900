"""Several processes write different parts of one image.

The layout is known, so any process can write any part of it with `pwrite`. Pieces of about equal
work wait in a pipe, and each worker takes the next one; what it did, or what went wrong, comes
back through a pipe of its own.
"""

from __future__ import annotations

import os
import selectors
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator

from attrs import frozen

from ..errors import TargetError
from ..layout import Layout
from ..processes import Send, Worker, processors
from .targets import Seekable, Tally
from .transfer import Advance, Transfer

ITEM_COST = 32 << 10
"""What opening a file costs, in bytes copied in the same time."""

WORTHWHILE = 64 << 20
"""Work below this (bytes, items included) is done before a second process has started."""

PIECES = 16
"""Pieces a worker, so that none waits long for the last."""

MOST_JOBS = 64

_INDEX = struct.Struct("=I")
_REPORT_SECONDS = 0.1


@frozen
class Piece:
    """Items `start` up to, not including, `stop` of a run."""

    run: int
    start: int
    stop: int


def pieces(layout: Layout, jobs: int) -> list[Piece]:
    """The layout in pieces of about equal work, in order."""
    budget = max(_work(layout) // (jobs * PIECES), 1 << 20)
    found = []
    for number, run in enumerate(layout.runs):
        start = 0
        while start < len(run):
            by_bytes = bisect_right(run.offsets, run.offsets[start] + budget) - 1
            stop = max(start + 1, min(by_bytes, start + budget // ITEM_COST, len(run)))
            found.append(Piece(number, start, stop))
            start = stop
    return found


def _work(layout: Layout) -> int:
    return layout.size + ITEM_COST * sum(map(len, layout.runs))


def choose_jobs(layout: Layout, jobs: int | None) -> int:
    """How many processes are to write: `jobs`, or as many as pay; 1 is this one alone."""
    items = sum(map(len, layout.runs))
    # One large file is one piece of work; it is the many small ones that can be shared.
    if not layout.forkable or (jobs is None and items * ITEM_COST < WORTHWHILE):
        return 1
    return max(1, min(processors(jobs), items, MOST_JOBS))


def write_parallel(layout: Layout, target: Seekable, jobs: int, advance: Advance) -> None:
    """Write all of `layout` to `target` by `jobs` forked processes.

    Raises what the first worker that failed raised; the others are stopped.
    """
    plan = pieces(layout, jobs)
    queue, fill = os.pipe()
    # The pipe holds 64 KiB, and there are at most a few thousand pieces.
    os.write(fill, b"".join(map(_INDEX.pack, range(len(plan)))))
    os.close(fill)
    workers: dict[int, Worker] = {}  # by the pipe that each reports through
    try:
        for _ in range(jobs):
            worker = Worker.start(lambda send: _work_off(layout, target, plan, queue, send))
            workers[worker.results] = worker
        _follow(workers, target, advance)
    finally:
        os.close(queue)
        for worker in workers.values():
            worker.stop()


def _follow(workers: dict[int, Worker], target: Seekable, advance: Advance) -> None:
    """Hear what the workers report, until all of them have ended."""
    with selectors.DefaultSelector() as selector:
        for results in workers:
            selector.register(results, selectors.EVENT_READ)
        while workers:
            for key, _ in selector.select():
                message = workers[key.fd].receive()
                if isinstance(message, int):
                    advance(message)
                elif isinstance(message, Tally):
                    target.tally.add(message)
                else:
                    selector.unregister(key.fd)
                    how = workers.pop(key.fd).finish()
                    if how is not None:
                        raise TargetError(f"a writing process {how}; the image was not written")


def _work_off(layout: Layout, target: Seekable, plan: list[Piece], queue: int, send: Send) -> None:
    """The work of a worker: one piece after another, until there are no more."""
    target.tally = Tally()
    reporter = _Reporter(send)
    transfer = Transfer(target, reporter.advance)
    for piece in _taken(plan, queue):
        transfer.run(layout.runs[piece.run].make(piece.start, piece.stop))
    reporter.finish()
    send(target.tally)


def _taken(plan: list[Piece], queue: int) -> Iterator[Piece]:
    """The pieces that this worker gets from the queue; reads of four bytes are atomic."""
    while index := os.read(queue, _INDEX.size):
        yield plan[_INDEX.unpack(index)[0]]


class _Reporter:
    """Tells the parent how far this worker got, a few times a second."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._done = 0
        self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._send(self._done)
            self._done = 0
            self._last = now

    def finish(self) -> None:
        self._send(self._done)
