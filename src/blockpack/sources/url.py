"""URLs as sources: who opens which.

``zip://FILE`` and ``tar://FILE`` are archives on this machine, which the package reads itself. For
other URLs it is PyFilesystem if that knows their scheme, or fsspec; chained ones are fsspec's.
"""

from __future__ import annotations

import os
import posixpath

from ..errors import SourceError, UsageError
from ..model.tree import Tree
from . import fsspec_url, pyfs
from .archive import scan_file
from .options import ScanOptions
from .registry import place_of

_ARCHIVES = ("zip", "tar")
"""Schemes of archives on this machine."""


def scan(source: object, options: ScanOptions) -> Tree:
    """The tree of what is at a URL. Raises `UsageError`, `SourceError` and `Problems`."""
    assert isinstance(source, str)
    scheme = source.partition("://")[0]
    chained = "::" in source
    if scheme in _ARCHIVES and not chained:
        place, inside = place_of(source)
        start = posixpath.normpath(inside.strip("/")) if inside.strip("/") else ""
        if start.partition("/")[0] == "..":
            raise SourceError(source, "cannot be opened: leads out of the archive")
        return scan_file(place, options, "" if start == "." else start, source)
    is_file = scheme == "file" and os.path.isfile(place_of(source)[0])  # PyFilesystem knows none
    if not chained and not is_file and pyfs.opens(scheme):
        return pyfs.scan_url(source, options)
    if fsspec_url.opens(source):
        return fsspec_url.scan_url(source, options)
    rule = f"no installed library opens URLs of {scheme}://"
    raise UsageError(source, rule, "install blockpack[fs] or blockpack[fsspec], and what it takes")
