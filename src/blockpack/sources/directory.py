"""A path on this machine as a source: a directory, or a file that is an archive or an image."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from ..errors import raise_problems, reading_errors
from ..model.entry import decode, location
from ..model.tree import Tree
from .directory_walk import DirectoryWalk
from .options import UNPACKABLE, ScanOptions
from .shared_walk import listed


def scan_path(source: object, options: ScanOptions) -> Tree:
    """The tree of what is at a path.

    Raises `SourceError` if it is missing or no source, and `Problems` with all that cannot be read
    or packed.
    """
    assert isinstance(source, str | bytes | os.PathLike)
    path = location(source)
    with reading_errors(decode(path)):
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    if is_directory:
        return scan(path, options)
    from .archive import scan_file  # with all that it takes, which most sources do not

    return scan_file(path, options)


def scan(
    source: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    options: ScanOptions,
    *,
    left_out: Iterable[str] = (),
    confined: bool = False,
) -> Tree:
    """The tree of the directory `source`, but for the paths that are `left_out`.

    If it is `confined`, a link that is to be followed out of it is an error. Raises `SourceError`
    if it is missing, `UsageError` for what is no path, and `Problems` with all that cannot be read
    or packed.
    """
    walk = DirectoryWalk(location(source), options, left_out=frozenset(left_out), confined=confined)
    tree = Tree.of(listed(walk))
    raise_problems(UNPACKABLE, sorted(walk.problems, key=str))  # whoever found them
    return tree
