"""Gaps between stretches of bytes, and holes, which are those in files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator


def holes(descriptor: int, size: int, at: int = 0) -> Iterator[tuple[int, int]]:
    """Where a file has holes from byte `at` to `size`, as begins and ends (lseek(2), SEEK_HOLE);
    none where the file system does not tell them.
    """
    while at < size and hasattr(os, "SEEK_HOLE"):
        try:
            hole = os.lseek(descriptor, at, os.SEEK_HOLE)
            if hole >= size:
                return
            try:
                at = os.lseek(descriptor, hole, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    return
                at = size
        except OSError:
            return
        yield hole, min(at, size)


def with_gaps(
    stretches: Iterable[tuple[int, int]], start: int, stop: int
) -> Iterator[tuple[int, int, bool]]:
    """All from `start` to `stop`, in pieces: (begin, end, True) is one of the `stretches`, which
    are in order, and (begin, end, False) a gap between them.
    """
    for begin, end in stretches:
        if start < begin:
            yield start, begin, False
        if begin < end:
            yield begin, end, True
        start = end
    if start < stop:
        yield start, stop, False
