"""The kinds of source that there are: one row each, asked in order whether a source is theirs.

Nothing is imported before it is needed. Other packages add kinds by an entry point of the group
``blockpack.sources``: its name is a scheme, and sources that begin with it and a colon are for what
it leads to, ``scan(source, options) -> Tree``. They are asked only for schemes that are not ours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..formats.registry import entry_points, load
from ..images.address import split_address

if TYPE_CHECKING:
    from ..model.tree import Tree
    from .options import ScanOptions

GROUP = "blockpack.sources"
"""The group of entry points that add kinds of source."""

STANDARD_INPUT = "-"
"""The source that is standard input."""

Scanner = Callable[[object, "ScanOptions"], "Tree"]
"""Makes the tree of a source."""

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"


class SourceKind(NamedTuple):
    """A kind of source: `takes` tells whether one is of it, `scanner` is ``MODULE:FUNCTION``."""

    name: str
    takes: Callable[[object], bool]
    scanner: str


def _is_git(source: object) -> bool:
    return isinstance(source, str) and source.startswith("git:")


def _is_url(source: object) -> bool:
    return isinstance(source, str) and "://" in source


def _has(*names: str) -> Callable[[object], bool]:
    return lambda source: all(hasattr(source, name) for name in names)


KINDS = (
    SourceKind("standard input", lambda source: source == STANDARD_INPUT, ".archive:scan_input"),
    SourceKind("git", _is_git, ".git.revision_tree:scan"),
    SourceKind("url", _is_url, ".url:scan"),
    SourceKind(
        "path", lambda source: isinstance(source, str | bytes | os.PathLike), ".directory:scan_path"
    ),
    SourceKind("image", _has("walk", "reader"), ".archive:scan_image"),
    SourceKind("PyFilesystem", _has("getinfo", "openbin"), ".pyfs:scan_filesystem"),
    SourceKind("fsspec", _has("ls", "root_marker"), ".fsspec_url:scan_filesystem"),
)
"""The kinds of this package."""


def scanner_of(source: object) -> Scanner | None:
    """What scans `source`; None if it is of no kind."""
    kind = next((kind for kind in KINDS if kind.takes(source)), None)
    if kind is not None and kind.name in ("path", "url") and isinstance(source, str):
        scheme = re.match(_SCHEME, source)
        if scheme is not None and not os.path.lexists(source):
            for point in entry_points(GROUP).select(name=scheme[0][:-1]):
                added: Scanner = point.load()
                return added
    found: Scanner | None = None if kind is None else load(kind.scanner, __package__)
    return found


def place_of(source: str) -> tuple[str, str]:
    """What a path, URL or ``-`` is on this machine, and a path in that: what follows ``!`` in a URL
    of PyFilesystem's. Of a chained URL it is the last link's place.
    """
    if source == STANDARD_INPUT:
        return "/dev/stdin", ""
    if not _is_url(source):
        return split_address(source)[0], ""
    from urllib.parse import unquote  # slow to import, and seldom needed

    resource = source.rpartition("::")[2].partition("://")[2]
    resource, _, inside = resource.partition("!")
    return os.path.expanduser(unquote(resource.partition("?")[0])), inside
