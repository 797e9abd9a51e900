"""One process or several write an image.

The layout is known, so any process can write any part of it with `pwrite`. Pieces of about equal
work wait in a queue, and each process takes the next one, this one too.
"""

from __future__ import annotations

from bisect import bisect_right

from ..planning.layout import Layout
from ..workers.pool import Lost, shared_out
from ..workers.processors import Jobs
from ..workers.sharing import ITEM_COST, PIECES, Advance, SharedCount, jobs_for
from .targets import Tally, Target
from .transfer import Transfer


def pieces(layout: Layout, jobs: int) -> list[tuple[int, int | None]]:
    """The layout in pieces of about equal work, in order: each is the items that begin at one byte
    or later, and before another; None is no limit.
    """
    work = layout.size + ITEM_COST * sum(map(len, layout.runs))
    budget = max(work // (jobs * PIECES), 1 << 20)
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
    return [*zip(borders, [*borders[1:], None], strict=True)]


def write_with(layout: Layout, target: Target, jobs: Jobs, advance: Advance, lost: Lost) -> None:
    """Write all of `layout` to `target`, by several processes if `jobs` allows it and it pays.

    `lost` makes the error for a process that came to an end otherwise than by itself. Raises what
    the first of them that failed raised; the others are stopped.
    """
    count = jobs_for(sum(map(len, layout.runs)), jobs) if layout.forkable else 1
    plan = pieces(layout, count) if count > 1 else [(0, None)]
    done = SharedCount(advance)
    tally = Tally()
    with Transfer(target, done.count) as parts:

        def work(number: int) -> Tally:
            target.tally = Tally()
            parts.run(layout, *plan[number])
            return target.tally

        for _, other in shared_out(len(plan), count, work, lost, done):
            tally.add(other)
    target.tally = tally
