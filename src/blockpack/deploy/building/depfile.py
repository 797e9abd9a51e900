"""The depfile: what a build was made of, as a rule that Make and Ninja read.

Directories are in it as well as files, so that a file that is added or removed has them build
again. The two programs agree on how spaces, ``#``, ``:`` and ``$`` are written. There are names
that one of them cannot be told whatever is written; these are refused, for a build system that
misses a change is worse than one that stops.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...errors import SourceError, UsageError, printable, raise_problems
from ...sources.git.repository import Repository
from ...writing.write import write_bytes
from ..source.deployment import CommitSource, DirectorySource
from ..source.paths import left_out_of, place_of

if TYPE_CHECKING:
    from ..source.deployment import DeploymentSource

_UNTOLD = re.compile(rb"[\0-\x1f\x7f;|\\=%]|\(.*\)$|[& ]$", re.DOTALL)
"""What Make reads otherwise, escaped or not: also members of archives, ``lib(member)``; patterns;
grouped targets, ``a&:``; a space before a colon; and assignments, of which ``a!=command`` runs a
command."""

_BRACKET = re.compile(rb"\[")
"""What begins a pattern of Make's that does not match itself."""

_SPLITS = re.compile(rb"[^a-zA-Z0-9+,/_:.~()}{%=@\[\]!\x80-\xff #$-]+")
"""What ends a path for Ninja before 1.12 (some of it also later). It then finds files missing, and
builds each time; but not if there are such files."""


def rule(target: str, source: DeploymentSource, parts: Iterable[str]) -> bytes:
    """The rule by which `target` is made of the manifest and the `parts` of `source`.

    Raises `Problems` with the names that cannot be told.
    """
    if isinstance(source, DirectorySource):
        found = list(_of_directory(source, parts))
    else:
        found = list(_of_commit(source))
    told = [os.fsencode(target), *dict.fromkeys(found)]
    raise_problems("a depfile cannot tell these names", map(_refused, filter(_is_untold, told)))
    # One line: Make takes the space that a name ends in for one before the end of a line.
    first, *others = map(_escaped, told)
    # And one for each file alone, for Make to go on when it is gone.
    alone = b"".join(other + b":\n" for other in others)
    return first + b": " + b" ".join(others) + b"\n" + alone


def write(path: str, text: bytes) -> None:
    """Write the depfile `path`, whole or not at all. Raises `TargetError`."""
    write_bytes(text, path)


def _of_directory(source: DirectorySource, parts: Iterable[str]) -> Iterator[bytes]:
    """The manifest, and each file and directory under the parts, as paths like the source's."""
    yield os.fsencode(source.manifest_file)
    for part in parts:
        place = place_of(source.root, part)
        if not place.endswith(b"/"):
            yield _shown(source, place)
            continue
        left_out = {place + os.fsencode(path) for path in left_out_of(part, source.left_out)}
        pending = [place]
        while pending:
            directory = pending.pop()
            yield _shown(source, directory)
            try:
                with os.scandir(directory) as items:
                    for item in items:
                        if item.path in left_out:
                            continue
                        if item.is_dir(follow_symlinks=False):
                            pending.append(item.path + b"/")
                        elif not item.is_symlink() or os.path.exists(item.path):
                            # Both follow links, and one that leads nowhere is never there.
                            yield _shown(source, item.path)
            except OSError as error:
                name = os.fsdecode(directory)
                raise SourceError.of(name, "cannot be read", error) from None


def _shown(source: DirectorySource, place: bytes) -> bytes:
    """`place` as a path like that of the source; a directory's ends in ``/.``.

    Without, Make would take a name that ends in brackets for a member of an archive.
    """
    inside = place[len(os.fsencode(source.root)) + 1 :]
    path = os.path.join(os.fsencode(source.path), inside)
    return path + b"." if path.endswith(b"/") else path


def _of_commit(source: CommitSource) -> Iterator[bytes]:
    """What changes when a name comes to stand for another commit."""
    repository = Repository.at(source.path)
    yield os.fsencode(os.path.join(repository.git_dir, "HEAD"))
    for name in ("packed-refs", "reftable/tables.list"):
        path = os.path.join(repository.common_dir, name)
        if os.path.exists(path):
            yield os.fsencode(path)
    for directory, _, files in os.walk(os.path.join(repository.common_dir, "refs")):
        yield os.fsencode(directory) + b"/."
        yield from (os.fsencode(os.path.join(directory, name)) for name in files)


def _is_untold(path: bytes) -> bool:
    return bool(
        _UNTOLD.search(path)
        or (_BRACKET.search(path) and _matches_others(path))
        or (_SPLITS.search(path) and all(map(os.path.lexists, filter(None, _SPLITS.split(path)))))
    )


def _matches_others(path: bytes) -> bool:
    """Whether Make, taking `path` for a pattern, would find other files than itself."""
    from glob import glob

    found = glob(path)
    return bool(found) and path not in found


def _refused(path: bytes) -> UsageError:
    shown = printable(os.fsdecode(path))
    return UsageError(shown, "Make and Ninja cannot both be told", "rename it, or give no depfile")


def _escaped(path: bytes) -> bytes:
    path = path.replace(b"$", b"$$")
    return re.sub(rb"([ #:])", rb"\\\1", path)
