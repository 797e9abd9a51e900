"""Pipes to other processes."""

from __future__ import annotations

from contextlib import suppress
from typing import IO

_MOST = 1 << 20
"""What a pipe is widened to, in bytes: the most that everybody may have."""

_LEAST = 4096
"""Bytes that every pipe has room for."""


def widened(pipe: IO[bytes] | int) -> int:
    """Give a pipe more room, where that is possible: it is only faster. How many bytes it has."""
    try:
        from fcntl import F_GETPIPE_SZ, F_SETPIPE_SZ, fcntl
    except ImportError:  # only Linux has them
        return _LEAST
    for command in (F_SETPIPE_SZ, F_GETPIPE_SZ):
        with suppress(OSError):
            return fcntl(pipe, command, _MOST)
    return _LEAST
