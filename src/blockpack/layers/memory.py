"""What becomes of this process's memory while keys and secrets are in it.

Python copies bytes as it likes and clears none that it lets go of. So dumps of memory stay off for
the rest of the process, and its pages are kept from swap for as long as secrets are in use, where
the system allows that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_MCL_ALL = 1 | 2 | 4  # pages that are there, that will be, and only once they are (sys/mman.h)


def no_dumps() -> None:
    """Have this process, and those that it forks, leave no dump of their memory."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    # A program that is handed dumps gets them whatever the limit; this one stops those, too.
    library = _library()
    if library is not None:
        library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def guarded() -> Iterator[None]:
    """Keep the memory of this process out of dumps, and meanwhile out of swap if it may."""
    no_dumps()
    library = _library() if _may_lock() else None
    locked = library if library is not None and library.mlockall(_MCL_ALL) == 0 else None
    try:
        yield
    finally:
        if locked is not None:
            locked.munlockall()


def _may_lock() -> bool:
    """Whether this process may keep its pages in RAM, and without limit."""
    with suppress(ImportError):
        import resource

        # With less than that, memory would run out where there is enough.
        most, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        return os.geteuid() == 0 or most == resource.RLIM_INFINITY
    return False


def _library() -> Any:
    """The C library on Linux; None elsewhere."""
    import sys

    if sys.platform != "linux":
        return None
    with suppress(ImportError, OSError):
        import ctypes

        return ctypes.CDLL(None)
    return None
