"""The one door from sources to trees."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UsageError
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
    """The tree of `source`: a directory, ``git:REPO[@REV[:SUBDIR]]``, a PyFilesystem or its URL
    (``zip://site.zip``).

    `exclude` has patterns as in a ``.gitignore``. `symlinks` says whether links are kept, followed,
    skipped or errors; `submodules` of a repository are errors, or skipped. `jobs` processes read a
    large source: this one alone, so many, or with ``auto`` as many as pay. A filesystem stays open,
    and must until the image is written.

    Raises `UsageError` for what is no source, `SourceError` if it is missing, and `Problems` with
    everything in it that cannot be read or packed.
    """
    options = ScanOptions(
        excluded=excluding(exclude), symlinks=symlinks, submodules=submodules, jobs=jobs
    )
    scanner = scanner_of(source)
    if scanner is None:
        rule = f"{type(source).__name__} is no source"
        raise UsageError("", rule, "give a path, a URL, git:REPO@REV or a filesystem")
    return scanner(source, options)
