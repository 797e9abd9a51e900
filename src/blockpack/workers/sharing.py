"""Sharing work out: into how many processes, and in pieces of about equal work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from .processors import Jobs, processors

ITEM_COST = 32 << 10
"""What opening a file costs, in bytes copied in the same time."""

WORTHWHILE = 64 << 20
"""Work below this (bytes, items included) is done before a second process has started."""

PIECES = 64
"""Pieces a worker, so that none waits long for the last."""


class Sized(Protocol):
    """An entry of which a stretch is made."""

    @property
    def size(self) -> int:
        """Its bytes."""


AnySized = TypeVar("AnySized", bound=Sized)


def stretches(entries: Sequence[AnySized], jobs: int) -> list[list[AnySized]]:
    """`entries` in stretches of about equal work for so many processes, in order."""
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


def jobs_for(items: int, jobs: Jobs) -> int:
    """How many processes are to work at so many items: `jobs`, or as many as pay; 1 is this one.

    One large file is one piece of work; it is the many small ones that can be shared.
    """
    if jobs == "auto" and items * ITEM_COST < WORTHWHILE:
        return 1
    return max(1, min(processors(jobs), items))
