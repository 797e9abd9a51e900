"""The kinds of source that there are: one row each, asked in order whether a source is theirs.

Nothing is imported before it is needed. Other packages add kinds by an entry point of the group
``blockpack.sources``: its name is a scheme, and sources that begin with it and a colon are for what
it leads to, ``scan(source, options) -> Tree``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..model.tree import Tree
    from .options import ScanOptions

GROUP = "blockpack.sources"
"""The group of entry points that add kinds of source."""

Scanner = Callable[[object, "ScanOptions"], "Tree"]
"""Makes the tree of a source."""


class SourceKind(NamedTuple):
    """A kind of source: `takes` tells whether one is of it, `scanner` is ``MODULE:FUNCTION``."""

    name: str
    takes: Callable[[object], bool]
    scanner: str

    def load(self) -> Scanner:
        """What scans sources of this kind."""
        module, _, function = self.scanner.partition(":")
        found: Scanner = getattr(import_module(module), function)
        return found


def _is_git(source: object) -> bool:
    return isinstance(source, str) and source.startswith("git:")


def _is_url(source: object) -> bool:
    return isinstance(source, str) and "://" in source


def _is_filesystem(source: object) -> bool:
    return hasattr(source, "getinfo") and hasattr(source, "openbin")


def _is_path(source: object) -> bool:
    return isinstance(source, str | bytes | os.PathLike)


KINDS = (
    SourceKind("git", _is_git, f"{__package__}.git.revision_tree:scan"),
    SourceKind("url", _is_url, f"{__package__}.pyfs:scan_url"),
    SourceKind("filesystem", _is_filesystem, f"{__package__}.pyfs:scan_filesystem"),
    SourceKind("directory", _is_path, f"{__package__}.directory:scan"),
)
"""The kinds of this package."""


def scanner_of(source: object) -> Scanner | None:
    """What scans `source`; None if it is of no kind."""
    for kind in KINDS:
        if kind.takes(source):
            if kind.name == "directory" and (other := _added(source)) is not None:
                return other
            return kind.load()
    return None


def _added(source: object) -> Scanner | None:
    """What another package scans `source` with: one with a scheme that is no path."""
    if not isinstance(source, str) or ":" not in source or os.path.lexists(source):
        return None
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    scheme = source.partition(":")[0]
    for point in entry_points(group=GROUP, name=scheme):
        found: Scanner = point.load()
        return found
    return None
