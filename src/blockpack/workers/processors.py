"""How many processes may work at once.

A module of its own: most runs use one process, and need not import the pool.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

from ..errors import UsageError

MOST_WORKERS = 16
"""More would wait for the same disk."""


_JOBS = "a number from 1 on, or 'auto'"


def require_jobs(jobs: Jobs) -> None:
    """Raise `UsageError` for a number of processes that there cannot be."""
    if jobs != "auto" and (not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1):
        raise UsageError("", f"{jobs!r} is not {_JOBS}", option="jobs=auto")


Jobs = Annotated[int | Literal["auto"], require_jobs, _JOBS]
"""How many processes work: a number (1 is this one alone), or as many as pay."""


def processors(jobs: Jobs) -> int:
    """How many processes may work at once; 1 where none may fork. Raises as `require_jobs`."""
    require_jobs(jobs)
    if jobs == 1 or not may_fork():
        return 1
    if jobs == "auto":
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(jobs, MOST_WORKERS)


def may_fork() -> bool:
    """Whether this process can fork, and is free to: it has no threads."""
    return hasattr(os, "fork") and not _has_threads()


def _has_threads() -> bool:
    """Whether there are threads, Python's or a library's: a lock that one holds would stay so."""
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:  # no Linux: Python's own are known
        import threading

        return threading.active_count() > 1
