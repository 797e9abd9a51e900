"""Walking through a large directory by several processes.

Most sources are small, so the walk begins in this process. If it turns out large, and several may
work, the directories yet to read are shared out.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..errors import BlockpackError
from ..model.path_bytes import decode
from ..workers.pool import lost_reader, shared_out
from ..workers.processors import Jobs, processors
from .directory_walk import DirectoryWalk, Row

WORTHWHILE = 2_000
"""Names below this are read before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""

T = TypeVar("T")


def shared_walk(walk: DirectoryWalk, jobs: Jobs, form: Callable[[list[Row]], T]) -> Iterator[T]:
    """What `form` makes of the rows of each directory of a new walk, in any order.

    That is done where they are listed, and comes to plain values.
    """
    walk.begin()
    rest = walk.listings()
    seen = 0
    while seen < WORTHWHILE or len(walk.pending) < 2:
        rows = next(rest, None)
        if rows is None:
            return
        yield form(rows)
        seen += len(rows)
    workers = processors(jobs)
    yield from map(form, rest) if workers == 1 else _by_several(walk, workers, form)


def _by_several(walk: DirectoryWalk, jobs: int, form: Callable[[list[Row]], T]) -> Iterator[T]:
    """What is pending, listed by several processes."""
    shares = [walk.pending[first::SHARES] for first in range(min(SHARES, len(walk.pending)))]
    problems = walk.problems
    own = os.getpid()

    def work(number: int) -> tuple[list[T] | bytes, list[BlockpackError]]:
        walk.pending, walk.problems = shares[number], []
        found = [form(rows) for rows in walk.listings()]
        # The fastest way for plain values; both ends are one program.
        return found if os.getpid() == own else marshal.dumps(found), walk.problems

    lost = lost_reader(decode(walk.root.rstrip(b"/")))
    for _, (found, wrong) in shared_out(len(shares), jobs, work, lost):
        problems += wrong
        yield from found if isinstance(found, list) else marshal.loads(found)
    walk.problems = problems
