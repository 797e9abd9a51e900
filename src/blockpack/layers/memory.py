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
    locked = _lock()
    try:
        yield
    finally:
        library = _library() if locked else None
        if library is not None:
            library.munlockall()


def _lock() -> bool:
    """Keep all pages in RAM; False if this process may not, or not without limit."""
    library = _library()
    if library is None or not _is_allowed():
        return False
    return bool(library.mlockall(_MCL_ALL) == 0)


def _is_allowed() -> bool:
    import resource

    if os.geteuid() == 0:
        return True
    # With less than that, memory would run out where there is enough.
    return resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def _library() -> Any:
    """The C library on Linux; None elsewhere."""
    import sys

    if sys.platform != "linux":
        return None
    with suppress(ImportError, OSError):
        import ctypes

        return ctypes.CDLL(None)
    return None
