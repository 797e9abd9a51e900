"""Several processes write different parts of one image.

The layout is known, so any process can write any part of it with `pwrite`. Processes are
forked: they share the plan without copying it. Pieces of about equal work wait in a pipe, each
worker takes the next one; what it did, or what went wrong, comes back through another.

Workers hold no resource but descriptors, and end when the parent does: a write to a pipe
without a reader fails.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator

from attrs import frozen

from ..errors import BlockpackError, TargetError
from ..layout import Layout
from .targets import Seekable, Tally
from .transfer import Advance, Transfer

ITEM_COST = 32 << 10
"""What opening a file costs, in bytes copied in the same time."""

WORTHWHILE = 64 << 20
"""Work below this (bytes, items included) is done before a second process has started."""

PIECES = 16
"""Pieces a worker, so that none waits long for the last."""

_INDEX = struct.Struct("=I")
_LENGTH = struct.Struct("=I")
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
    if not (hasattr(os, "fork") and layout.forkable and threading.active_count() == 1):
        return 1
    items = sum(map(len, layout.runs))
    if jobs is None:
        # One large file is one piece of work; it is the many small ones that can be shared.
        if items * ITEM_COST < WORTHWHILE:
            return 1
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    return max(1, min(jobs, items, 64))


def write_parallel(layout: Layout, target: Seekable, jobs: int, advance: Advance) -> None:
    """Write all of `layout` to `target` by `jobs` forked processes.

    Raises what the first worker that failed raised; the others are stopped.
    """
    plan = pieces(layout, jobs)
    queue, fill = os.pipe()
    results, report = os.pipe()
    workers = []
    try:
        for _ in range(jobs):
            worker = os.fork()
            if not worker:
                os.close(fill)
                os.close(results)
                _work_off(layout, target, plan, queue, report)
            workers.append(worker)
        os.close(report)
        report = -1
        os.close(queue)
        queue = -1
        _hand_out(len(plan), fill, results, target, advance)
        fill = -1
        _require_done(workers)
    finally:
        _stop(workers)
        for descriptor in (queue, fill, results, report):
            if descriptor >= 0:
                os.close(descriptor)


def _hand_out(count: int, fill: int, results: int, target: Seekable, advance: Advance) -> None:
    """Fill the queue and follow what the workers report, until all of them have ended."""
    # The queue's pipe holds 64 KiB, and there are at most a few thousand pieces.
    with open(fill, "wb", buffering=0) as pipe:
        pipe.write(b"".join(map(_INDEX.pack, range(count))))
    with open(results, "rb", closefd=False) as reports:
        while length := reports.read(_LENGTH.size):
            message = pickle.loads(reports.read(_LENGTH.unpack(length)[0]))
            if isinstance(message, Tally):
                target.tally.add(message)
            elif isinstance(message, int):
                advance(message)
            else:
                raise message


def _require_done(workers: list[int]) -> None:
    while workers:
        _, status = os.waitpid(workers[-1], 0)
        workers.pop()
        if status:
            code = os.waitstatus_to_exitcode(status)
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            raise TargetError(f"a writing process {how}; the image was not written")


def _stop(workers: list[int]) -> None:
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    for worker in workers:
        os.waitpid(worker, 0)


def _work_off(layout: Layout, target: Seekable, plan: list[Piece], queue: int, report: int) -> None:
    """The life of a worker; it does not return."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and stops us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        target.tally = Tally()
        reporter = _Reporter(report)
        transfer = Transfer(target, reporter.advance)
        for piece in _taken(plan, queue):
            transfer.run(layout.runs[piece.run].make(piece.start, piece.stop))
        reporter.finish(target.tally)
        status = 0
    except BlockpackError as error:
        _send(report, error)
        status = 0  # the error says it all
    except OSError:
        pass  # the parent is gone
    finally:
        os._exit(status)


def _taken(plan: list[Piece], queue: int) -> Iterator[Piece]:
    """The pieces that this worker gets from the queue; reads of four bytes are atomic."""
    while index := os.read(queue, _INDEX.size):
        yield plan[_INDEX.unpack(index)[0]]


class _Reporter:
    """Tells the parent how far this worker got, a few times a second."""

    def __init__(self, report: int) -> None:
        self._report = report
        self._done = 0
        self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            _send(self._report, self._done)
            self._done = 0
            self._last = now

    def finish(self, tally: Tally) -> None:
        _send(self._report, self._done)
        _send(self._report, tally)


def _send(report: int, message: object) -> None:
    """Send one message; up to 4096 bytes, pipes keep messages of several writers apart."""
    data = pickle.dumps(message)
    os.write(report, _LENGTH.pack(len(data)) + data)
