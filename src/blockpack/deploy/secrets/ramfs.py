"""RAM file systems: what is written there is on no disk, and gone when the machine is.

A file that is open is on a mount, and the kernel's list of mounts says of what type that is; so no
path is looked up twice.
"""

from __future__ import annotations

import os
import re

from ...reading.lifetime import held

TYPES = ("tmpfs", "ramfs")
"""File systems in RAM, as Linux calls them."""

ELSEWHERE = ("btrfs", "zfs", "bcachefs", "f2fs", "nilfs2")
"""File systems that write new bytes elsewhere, so that overwritten ones stay on the disk."""


def file_system(place: str | bytes | os.PathLike[str] | int) -> str:
    """The type of the file system on which a path or an open file is; ``unknown`` if none is told.
    Raises `OSError` if there is no such file.
    """
    if not isinstance(place, int):
        flags = getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0)
        with held(os.open(place, flags)) as descriptor:
            return file_system(descriptor)
    try:
        with open(f"/proc/self/fdinfo/{place}", encoding="ascii") as facts:
            mount = re.search(r"^mnt_id:\s*(\d+)$", facts.read(), re.M)
        with open("/proc/self/mountinfo", encoding="ascii", errors="surrogateescape") as mounts:
            number = mount[1] if mount else "none"
            found = re.search(rf"^{number} .*? - (\S+)", mounts.read(), re.M)
    except OSError:  # not Linux, or /proc is not there
        found = None
    return found[1] if found else "unknown"


def is_ram(place: str | bytes | os.PathLike[str] | int) -> bool:
    """Whether a path or an open file is on a RAM file system. Raises `OSError`."""
    return file_system(place) in TYPES
