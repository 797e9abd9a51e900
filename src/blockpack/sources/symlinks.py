"""Symbolic links in a source: what is packed in their place, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import BlockpackError, EntryError, SourceError

Found = TypeVar("Found")


def instead_of_link(
    path: str, how: str, follow: Callable[[], Found], report: Callable[[BlockpackError], object]
) -> Found | None:
    """What is packed in place of a link that is not kept. If `how` is ``follow``, what `follow`
    finds; if it is ``skip``, nothing (None); and for ``error``, or where nothing can be followed,
    what is wrong is reported, and nothing is packed.
    """
    try:
        if how == "error":
            rule = "is a symbolic link, and symlinks is 'error'"
            raise EntryError(path, rule, "follow, keep or skip links", "symlinks=keep")
        return follow() if how == "follow" else None
    except (EntryError, SourceError) as error:
        report(error)
    return None


def leads_out(path: str) -> EntryError:
    """The error for a link that would have to be followed to what is not packed."""
    rule = "is a link that leads outside of what is packed"
    return EntryError(path, rule, "exclude it, or pack the directory above", "symlinks=keep")


def leads_into_itself(path: str) -> EntryError:
    """The error for a link that would have to be followed without end."""
    rule = "is a link to a directory that it is in"
    return EntryError(path, rule, "exclude it", "symlinks=skip")
