"""How many processes may work at once; what they are and do is in `processes`.

By itself, because most runs end with one, and need not import all that more of them take.
"""

from __future__ import annotations

import os
import threading

from ..errors import UsageError

MOST_WORKERS = 16
"""More would wait for the same disk."""


def require_jobs(jobs: int | None) -> None:
    """Raise `UsageError` for a number of processes that there cannot be."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs, the number of processes, is 1 or more, not {jobs}")


def processors(jobs: int | None) -> int:
    """How many processes may work at once: `jobs`, or one a processor; 1 where none may fork."""
    # A process with threads must not fork: a lock that one of them holds would stay locked.
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return 1
    if jobs is None:
        jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(jobs, MOST_WORKERS)
