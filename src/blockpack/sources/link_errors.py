"""Errors about symbolic links in a source."""

from __future__ import annotations

from ..errors import EntryError


def link_refused(path: str) -> EntryError:
    """The error for a symbolic link where links are to be errors."""
    rule = "is a symbolic link, and symlinks is 'error'"
    return EntryError(path, rule, "follow, keep or skip links", "symlinks=keep")


def link_leads_out(path: str) -> EntryError:
    """The error for a link that would have to be followed to what is not packed."""
    rule = "is a link that leads outside of what is packed"
    return EntryError(path, rule, "exclude it, or pack the directory above", "symlinks=keep")


def link_into_itself(path: str) -> EntryError:
    """The error for a link that would have to be followed without end."""
    rule = "is a link to a directory that it is in"
    return EntryError(path, rule, "exclude it", "symlinks=skip")
