"""What a build keeps beside its images while it runs, and what a killed one leaves of that.

Nothing slow is imported: a run that has nothing else to do finds out whether there is any of it.
"""

from __future__ import annotations

import os
from contextlib import suppress

STAGING = ".new-"
"""What the directories begin with that hold what is not yet whole."""

SECRET_STAGING = f"{STAGING}secret-"
"""The same for secret volumes; what is in those is wiped, not just removed."""

_TEMPORARY = (".blockpack-", ".tmp")
"""How the names begin and end of files that the writer has not yet given theirs."""


def leftovers(directory: str) -> list[str]:
    """The names in `directory` that no finished run leaves. Raises `OSError`."""
    begin, end = _TEMPORARY
    return [
        name
        for name in os.listdir(directory)
        if name.startswith(STAGING) or (name.startswith(begin) and name.endswith(end))
    ]


def remove_leftovers(directory: str) -> None:
    """Remove what runs that were killed left behind; for one that holds the directory's lock."""
    for name in leftovers(directory):
        path = os.path.join(directory, name)
        if name.startswith(SECRET_STAGING):
            from .secrets.images import retire

            with suppress(OSError):
                retire(path)
        if name.startswith(STAGING):
            from shutil import rmtree

            rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                os.unlink(path)
