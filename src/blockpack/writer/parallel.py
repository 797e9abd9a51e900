"""Several processes write different parts of one image.

The layout is known, so any process can write any part of it with `pwrite`. Processes are
forked: they share the plan without copying it. Pieces of about equal work wait in a pipe, each
worker takes the next one; what it did, or what went wrong, comes back through one of its own.

Workers hold no resource but descriptors, and end when the parent does: a report through a pipe
without a reader fails.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import struct
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from typing import NoReturn

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
    # The pipe holds 64 KiB, and there are at most a few thousand pieces.
    os.write(fill, b"".join(map(_INDEX.pack, range(len(plan)))))
    os.close(fill)
    workers: dict[int, int] = {}  # the pipe that each reports through → its process
    try:
        for _ in range(jobs):
            results, report = os.pipe()
            worker = os.fork()
            if not worker:
                _work_off(layout, target, plan, queue, report)
            os.close(report)
            workers[results] = worker
        _follow(workers, target, advance)
    finally:
        os.close(queue)
        for worker in workers.values():
            os.kill(worker, signal.SIGKILL)
        for results, worker in workers.items():
            os.close(results)
            os.waitpid(worker, 0)


def _follow(workers: dict[int, int], target: Seekable, advance: Advance) -> None:
    """Hear what the workers report, until all of them have ended."""
    with selectors.DefaultSelector() as selector:
        for results in workers:
            selector.register(results, selectors.EVENT_READ)
        while workers:
            for key, _ in selector.select():
                message = _receive(key.fd)
                if message is None:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _require_done(workers.pop(key.fd))
                elif isinstance(message, Tally):
                    target.tally.add(message)
                elif isinstance(message, int):
                    advance(message)
                elif isinstance(message, BaseException):
                    raise message


def _require_done(worker: int) -> None:
    _, status = os.waitpid(worker, 0)
    if status:
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
        raise TargetError(f"a writing process {how}; the image was not written")


def _work_off(
    layout: Layout, target: Seekable, plan: list[Piece], queue: int, report: int
) -> NoReturn:
    """The life of a worker."""
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
    except BrokenPipeError:
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
    data = memoryview(pickle.dumps(message))
    data = memoryview(_LENGTH.pack(len(data)) + data)
    while data:
        data = data[os.write(report, data) :]


def _receive(results: int) -> object:
    """The next message of a worker; None when it has ended."""
    length = _read(results, _LENGTH.size)
    message = _read(results, _LENGTH.unpack(length)[0]) if length else b""
    return pickle.loads(message) if message else None


def _read(results: int, length: int) -> bytes:
    """`length` bytes, or none if the worker ended."""
    data = b""
    while len(data) < length:
        part = os.read(results, length - len(data))
        if not part:
            return b""
        data += part
    return data
