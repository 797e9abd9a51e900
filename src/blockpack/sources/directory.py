"""A directory of this machine as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import raise_problems
from ..model.entry import location
from ..model.tree import Tree
from .directory_walk import DirectoryWalk
from .options import UNPACKABLE, ScanOptions
from .shared_walk import listed


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
