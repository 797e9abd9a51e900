"""A directory of this machine as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import UsageError, raise_problems
from ..model.tree import Tree
from .options import ScanOptions
from .parallel import listed
from .walk import Walk


def scan(
    source: str | os.PathLike[str],
    options: ScanOptions,
    *,
    left_out: Iterable[str] = (),
    confined: bool = False,
) -> Tree:
    """The tree of the directory `source`, but for the paths that are `left_out`.

    If it is `confined`, a link that is to be followed out of it is an error. Raises `SourceError`
    if it is missing, and `Problems` with all that cannot be read or packed.
    """
    try:
        root = os.fsencode(source)
        if b"\0" in root:
            raise ValueError("embedded null byte")
    except ValueError as error:
        raise UsageError(str(source), f"is no path: {error}") from None
    walk = Walk(root, options, left_out=frozenset(left_out), confined=confined)
    tree = Tree.of(listed(walk))
    problems = sorted(walk.problems, key=str)  # whoever found them
    raise_problems("this source cannot be packed as it is", problems)
    return tree
