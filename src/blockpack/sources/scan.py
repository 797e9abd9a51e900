"""The one door from sources to trees."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import UsageError
from ..model.entry import location
from ..model.tree import Tree
from ..workers.processors import Jobs
from .exclude import excluding
from .options import ScanOptions, Submodules, Symlinks
from .registry import scanner_of


def scan(
    source: object,
    *,
    exclude: Iterable[str] = (),
    symlinks: Symlinks = "keep",
    submodules: Submodules = "error",
    jobs: Jobs = 1,
) -> Tree:
    """The tree of `source`: a directory, an archive or image (its path, or an open `Image`), ``-``
    for a tar on standard input, ``git:REPO[@REV[:SUBDIR]]``, a URL, or a filesystem of
    PyFilesystem or fsspec.

    `exclude` has patterns as in a ``.gitignore``. `symlinks` says whether links are kept, followed,
    skipped or errors; `submodules` of a repository are errors, or skipped. `jobs` is the number of
    processes that read a large source, or ``auto``: as many as pay. A filesystem or an open image
    is not closed, and must stay open until the image is written.

    Raises `UsageError` for a wrong type, `SourceError` for a missing source, and `Problems` with
    everything in it that cannot be read or packed.
    """
    options = ScanOptions(
        excluded=excluding(exclude), symlinks=symlinks, submodules=submodules, jobs=jobs
    )
    if isinstance(source, str | bytes | os.PathLike):
        location(source)
    scanner = scanner_of(source)
    if scanner is None:
        rule = f"{type(source).__name__} is not a source"
        raise UsageError("", rule, "give a path, a URL, git:REPO@REV, an image or a filesystem")
    return scanner(source, options)
