"""Sharing work out: into how many processes, and in pieces of about equal work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from .processors import Jobs, processors

ITEM_COST = 32 << 10
"""What opening a file costs, in bytes copied in the same time."""

WORTHWHILE = 64 << 20
"""Work below this (bytes, items included) is done before a second process has started."""

PIECES = 64
"""Pieces a worker, so that none waits long for the last."""

Advance = Callable[[int], object]
"""Is told of how many bytes more were done."""

_SECONDS = 0.1
"""How often a process listens to the others."""


def ignore(count: int) -> None:
    """The `Advance` of nobody."""


class Sized(Protocol):
    """An entry of which a stretch is made."""

    @property
    def size(self) -> int:
        """Its bytes."""


AnySized = TypeVar("AnySized", bound=Sized)


def stretches(entries: Sequence[AnySized], jobs: int) -> list[list[AnySized]]:
    """`entries` in stretches of about equal work for `jobs` processes, in order."""
    total = sum(ITEM_COST + entry.size for entry in entries)
    budget = max(total // (jobs * PIECES), 1 << 20) if jobs > 1 else total
    found: list[list[AnySized]] = []
    left = 0
    for entry in entries:
        if left <= 0:
            found.append([])
            left = budget
        found[-1].append(entry)
        left -= entry.size + ITEM_COST
    return found


class SharedCount:
    """Counts what several processes do together. `tell` hears at once of what this one does, and
    then this one listens to the others: if one failed, it does not go on. What another one did is
    `untold` until that gives a result (`shared_out`).
    """

    def __init__(self, tell: Advance) -> None:
        self.tell = tell
        self.listen: Callable[[], object] = lambda: None
        self._heard = 0.0
        self._process = os.getpid()
        self._untold = 0

    def count(self, done: int) -> None:
        """Count what this process did."""
        if os.getpid() == self._process:
            self.tell(done)
            now = time.monotonic()
            if now - self._heard >= _SECONDS:
                self._heard = now
                self.listen()
        else:
            self._untold += done

    def untold(self) -> int:
        """What was not told since the last time."""
        found, self._untold = self._untold, 0
        return found


def jobs_for(items: int, jobs: Jobs, more: int = 0) -> int:
    """How many processes are to work on `items`: `jobs`, or as many as pay; 1 is this one. `more`
    is what they take besides being opened, in bytes copied in the same time. One large file is one
    piece.
    """
    if jobs == "auto" and items * ITEM_COST + more < WORTHWHILE:
        return 1
    return max(1, min(processors(jobs), items))
