"""Telling before the first byte that a file system has no room for an image."""

from __future__ import annotations

import os

from ..errors import TargetError
from ..model.extent import FileRange, Zeros
from ..planning.layout import Layout
from .clone import BLOCK
from .transfer import LARGE


def require_space(directory: str, layout: Layout, name: str) -> None:
    """Raise `TargetError` about `name` if it would not fit into the file system of `directory`."""
    free = free_bytes(directory)
    if layout.size <= free:
        return
    needed = _least(layout, os.stat(directory).st_dev)
    if needed > free:
        rule = f"takes {needed:,} bytes, and {free:,} are free there"
        raise TargetError(name, rule, "free some space, or choose another place")


def free_bytes(directory: str) -> int:
    """Bytes that may be written to the file system of `directory`."""
    if hasattr(os, "statvfs"):
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize
    from shutil import disk_usage

    return disk_usage(directory).free


def _least(layout: Layout, device: int) -> int:
    """The least bytes that the image may take: no holes, and nothing that could be cloned."""
    needed = 0
    for extent in layout.extents:
        if type(extent) is Zeros:
            continue
        if type(extent) is FileRange and extent.length >= LARGE:
            try:
                status = os.stat(extent.path)
            except OSError:
                continue  # the writer says what is wrong
            if status.st_dev == device and not (extent.offset | extent.start) % BLOCK:
                continue
            needed += min(extent.length, getattr(status, "st_blocks", extent.length) * 512)
        else:
            needed += extent.length
    return needed
