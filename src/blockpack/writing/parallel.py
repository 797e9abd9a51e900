"""Several processes write different parts of one image.

The layout is known, so any process can write any part of it with `pwrite`. Pieces of about equal
work wait in a queue, and each process takes the next one, this one too; what others did, or what
went wrong there, comes back through pipes.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BlockpackError
from ..planning.layout import Layout
from ..workers.processors import Jobs
from ..workers.sharing import ITEM_COST, PIECES, jobs_for
from .targets import Tally, Target
from .transfer import Advance, Transfer, transfer

if TYPE_CHECKING:
    from ..workers.pool import Send, WorkerPool

_REPORT_SECONDS = 0.1


class Piece(NamedTuple):
    """The items that begin at byte `start` or later and before `stop`; None is no limit."""

    start: int
    stop: int | None


def pieces(layout: Layout, jobs: int) -> list[Piece]:
    """The layout in pieces of about equal work, in order."""
    budget = max(_work(layout) // (jobs * PIECES), 1 << 20)
    borders = [0]
    left = budget
    for run in layout.runs:
        start = 0
        while start < len(run):
            if left <= 0:
                borders.append(run.offsets[start])
                left = budget
            by_bytes = bisect_right(run.offsets, run.offsets[start] + left) - 1
            stop = max(start + 1, min(by_bytes, start + left // ITEM_COST, len(run)))
            left -= run.offsets[stop] - run.offsets[start] + ITEM_COST * (stop - start)
            start = stop
    return [Piece(start, stop) for start, stop in zip(borders, [*borders[1:], None], strict=True)]


def _work(layout: Layout) -> int:
    return layout.size + ITEM_COST * sum(map(len, layout.runs))


def write_with(
    layout: Layout,
    target: Target,
    jobs: Jobs,
    advance: Advance,
    lost: Callable[[str], BlockpackError],
) -> None:
    """Write all of `layout` to `target`, by several processes if that is to be and pays.

    `lost` makes the error for a process that came to an end otherwise than by itself.
    """
    count = jobs_for(sum(map(len, layout.runs)), jobs) if layout.forkable else 1
    if count > 1:
        write_parallel(layout, target, count, advance, lost)
    else:
        transfer(layout, target, advance)


def write_parallel(
    layout: Layout,
    target: Target,
    jobs: int,
    advance: Advance,
    lost: Callable[[str], BlockpackError],
) -> None:
    """Write all of `layout` to `target` by `jobs` processes, of which this is one, and the only
    one where no others can be had.

    Raises what the first of them that failed raised; the others are stopped.
    """
    from ..workers.pool import WorkerPool

    def hear(*, wait: bool) -> None:
        for message in pool.messages(wait=wait):
            if isinstance(message, Tally):
                target.tally.add(message)
            elif isinstance(message, int):
                advance(message)

    plan = pieces(layout, jobs)
    try:
        pool = WorkerPool.of(len(plan), lost)
    except OSError:  # too few descriptors left
        transfer(layout, target, advance)
        return
    with pool:
        pool.start(jobs - 1, lambda send: _work_off(layout, target, plan, pool, send))
        # Now and then the others are heard: one that failed, or whose pipe is full, does not wait.
        reporter = _Reporter(advance, lambda: hear(wait=False))
        with Transfer(target, reporter.advance) as parts:
            for number in pool.numbers():
                parts.run(layout, plan[number].start, plan[number].stop)
        reporter.finish()
        hear(wait=True)


def _work_off(
    layout: Layout, target: Target, plan: list[Piece], pool: WorkerPool, send: Send
) -> None:
    """The work of another process: one piece after another, until there are no more."""
    target.tally = Tally()
    reporter = _Reporter(send)
    with Transfer(target, reporter.advance) as parts:
        for number in pool.numbers():
            parts.run(layout, plan[number].start, plan[number].stop)
    reporter.finish()
    send(target.tally)


class _Reporter:
    """Tells how far this process got, a few times a second, and then does what is to be done."""

    def __init__(self, tell: Advance, then: Callable[[], None] = lambda: None) -> None:
        self._tell = tell
        self._then = then
        self._done = 0
        self._last = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self.finish()
            self._last = now

    def finish(self) -> None:
        self._tell(self._done)
        self._done = 0
        self._then()
