"""Errors about one volume of a deployment."""

from __future__ import annotations

from ..errors import BlockpackError, Problems, TargetError


def of_volume(name: str, error: BlockpackError) -> Problems:
    """An error with the name of the volume that it is about."""
    if isinstance(error, Problems):
        return Problems(f"volume {name}: {error.message}", error.errors)
    return Problems(f"volume {name}:", [error])


def out_of_memory() -> TargetError:
    """The error for a process that has not enough memory."""
    return TargetError("", "there is not enough memory to build it", "free some memory")
