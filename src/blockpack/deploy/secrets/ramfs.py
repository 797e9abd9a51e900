"""RAM file systems: what is written there is on no disk, and gone when the machine is.

A file is on what its device number says, and the kernel's list of mounts says of what type that
is. That goes for a file that is open as well: no path is looked up twice.
"""

from __future__ import annotations

import os

TYPES = ("tmpfs", "ramfs")
"""File systems in RAM, as Linux calls them."""

_MOUNTS = "/proc/self/mountinfo"


def file_system(place: str | bytes | os.PathLike[str] | int) -> str:
    """The type of the file system on which a path or an open file is; ``unknown`` if none is told.

    Raises `OSError` if there is no such file.
    """
    device = os.stat(place).st_dev
    try:
        with open(_MOUNTS, encoding="ascii", errors="surrogateescape") as mounts:
            wanted = f"{os.major(device)}:{os.minor(device)}"
            return _type(mounts.read(), wanted)
    except OSError:  # not Linux, or /proc is not there
        return "unknown"


def _type(mounts: str, device: str) -> str:
    """The type of the mount of `device` (proc_pid_mountinfo(5))."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [device]:
            return after.split(" ")[0]
    return "unknown"


def is_ram(place: str | bytes | os.PathLike[str] | int) -> bool:
    """Whether a path or an open file is on a RAM file system. Raises `OSError`."""
    return file_system(place) in TYPES
