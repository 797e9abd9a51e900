"""Errors about one volume of a deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BlockpackError, Problems, TargetError

_UNNAMED = re.compile(r"(?:(?<=/)|^)\.(?:blockpack|new)-[^/]*/")
"""A directory for what has not got its name yet, in a path."""


def of_volume(name: str, error: BlockpackError) -> Problems:
    """An error with the name of the volume that it is about."""
    if isinstance(error, Problems):
        return Problems(f"volume {name}: {error.message}", error.errors)
    return Problems(f"volume {name}:", [error])


@contextmanager
def final_names() -> Iterator[None]:
    """Have errors about a file name the place that it is to get, not where it is made."""
    try:
        yield
    except BlockpackError as error:
        for each in error.errors if isinstance(error, Problems) else (error,):
            each.path = _UNNAMED.sub("", each.path)
        raise


def out_of_memory() -> TargetError:
    """The error for a process that has not enough memory."""
    return TargetError("", "there is not enough memory to build it", "free some memory")
