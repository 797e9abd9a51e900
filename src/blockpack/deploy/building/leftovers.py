"""Staging files beside the images, and removing those of a killed build.

Nothing slow is imported: a run that has nothing else to do finds out whether there is any of it.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ..file_names import SECRET_STAGING, STAGING

_TEMPORARY = (".blockpack-", ".tmp")
"""How the names begin and end of files that the writer has not yet given theirs."""


def leftovers(directory: str) -> list[str]:
    """The names in `directory` that no finished run leaves. Raises `OSError`."""
    return [name for name in os.listdir(directory) if _is_ours(name)]


def _is_ours(name: str) -> bool:
    """Whether it is a name that a run gives, and nobody else."""
    if name.startswith(STAGING):
        secret = name.startswith(SECRET_STAGING)
        return _is_random(name.removeprefix(SECRET_STAGING if secret else STAGING))
    begin, end = _TEMPORARY
    return (
        name.startswith(begin) and name.endswith(end) and _is_random(name[len(begin) : -len(end)])
    )


def _is_random(text: str) -> bool:
    return len(text) in (12, 16) and not text.strip("0123456789abcdef")


def remove_leftovers(directory: str, *, in_ram: bool = False) -> None:
    """Remove what runs that were killed left behind; for one that holds the directory's lock.

    No link is followed, for anybody may have made it, unless the directory is ours alone: then
    secret images that are `in_ram` are wiped there.
    """
    for name in leftovers(directory):
        path = os.path.join(directory, name)
        with suppress(OSError):
            if os.path.islink(path) or not name.startswith(STAGING):
                os.unlink(path)
                continue
            if name.startswith(SECRET_STAGING):
                from .secret_images import retire

                retire(path, in_ram=in_ram)
            from shutil import rmtree

            rmtree(path)
