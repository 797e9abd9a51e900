"""A path on this machine as a source: a directory, or a file that is an archive or an image."""

from __future__ import annotations

import marshal
import os
import stat
from collections.abc import Iterable, Iterator
from functools import partial

from ..errors import BlockpackError, SourceError, raise_problems, reading_errors
from ..model.entry import decode, location
from ..model.tree import Tree
from ..workers.processors import processors
from .directory_walk import DirectoryWalk, Row
from .options import UNPACKABLE, ScanOptions

WORTHWHILE = 2_000
"""Names below this are read before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""


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
    if it is missing, `UsageError` for an invalid path, and `Problems` with all that cannot be read
    or packed.
    """
    walk = DirectoryWalk(location(source), options, left_out=frozenset(left_out), confined=confined)
    walk.begin()
    tree = Tree.of(map(walk.entries, _listings(walk)))
    raise_problems(UNPACKABLE, sorted(walk.problems, key=str))  # whoever found them
    return tree


def _listings(walk: DirectoryWalk) -> Iterator[list[Row]]:
    """The rows of each directory of a walk, in any order.

    Most sources are small, so the walk begins in this process. If it turns out large, and several
    may work, the directories yet to read are shared out.
    """
    rest = walk.listings()
    seen = 0
    while seen < WORTHWHILE or len(walk.pending) < 2:
        rows = next(rest, None)
        if rows is None:
            return
        yield rows
        seen += len(rows)
    jobs = processors(walk.options.jobs)
    if jobs == 1:
        yield from rest
        return
    from ..workers.pool import shared_out

    shares = [walk.pending[first::SHARES] for first in range(min(SHARES, len(walk.pending)))]
    problems = walk.problems
    own = os.getpid()

    def work(number: int) -> tuple[list[list[Row]] | bytes, list[BlockpackError]]:
        walk.pending, walk.problems = shares[number], []
        found = list(walk.listings())
        # The fastest way for plain tuples; both ends are one program.
        return found if os.getpid() == own else marshal.dumps(found), walk.problems

    for _, (found, wrong) in shared_out(len(shares), jobs, work, partial(_lost, walk)):
        problems += wrong
        yield from found if isinstance(found, list) else marshal.loads(found)
    walk.problems = problems


def _lost(walk: DirectoryWalk, how: str) -> SourceError:
    return SourceError(decode(walk.root), f"a process that reads it {how}", "scan it again")
