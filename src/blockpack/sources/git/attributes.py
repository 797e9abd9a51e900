"""Attributes, as git itself sees them: which paths are not for export, which are with Git LFS.

Git reads ``.gitattributes`` of a tree from an index. So one is made in a temporary directory, with
those files and nothing else in it, and git is asked about the paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from ...errors import SourceError, reading_errors
from ...model.entry import decode, encode
from .program import ended, run

if TYPE_CHECKING:
    from .repository import Repository

_ASKED = ("export-ignore", "filter")


@frozen
class Attributes:
    """The paths that are marked ``export-ignore``, and those with ``filter=lfs``."""

    ignored: frozenset[str] = field(default=frozenset())
    lfs: frozenset[str] = field(default=frozenset())


def has_own(repository: Repository) -> bool:
    """Whether a repository has attributes apart from its trees'."""
    return os.path.exists(os.path.join(repository.common_dir, "info", "attributes"))


def attributes(
    repository: Repository, files: Mapping[str, tuple[int, bytes]], paths: Iterable[str]
) -> Attributes:
    """What the ``.gitattributes`` in `files` (by path: mode, object id) say about `paths`.

    Paths are those in the repository; a directory's ends in a slash. Raises `SourceError`.
    """
    import tempfile  # most repositories have no attributes

    with (
        reading_errors(tempfile.gettempdir()),
        tempfile.TemporaryDirectory(prefix="blockpack-") as place,
    ):
        # An empty working tree: git wants one, and finds no attributes there.
        tree = os.path.join(place, "tree")
        os.mkdir(tree)
        more = {"GIT_INDEX_FILE": os.path.join(place, "index"), "GIT_WORK_TREE": tree}
        index = b"".join(
            b"%o %s\t%s\0" % (mode, oid.hex().encode("ascii"), encode(path))
            for path, (mode, oid) in files.items()
        )
        _git(repository, ("update-index", "-z", "--index-info"), index, more)
        asked = b"".join(encode(path) + b"\0" for path in paths)
        command = ("check-attr", "--cached", "-z", "--stdin", *_ASKED)
        told = _git(repository, command, asked, more).split(b"\0")
    ignored, lfs = [], []
    for path, name, value in zip(told[0::3], told[1::3], told[2::3], strict=False):
        if name == b"filter" and value == b"lfs":
            lfs.append(decode(path))
        elif name == b"export-ignore" and value == b"set":
            ignored.append(decode(path))
    return Attributes(frozenset(ignored), frozenset(lfs))


def _git(
    repository: Repository, arguments: tuple[str, ...], data: bytes, more: Mapping[str, str]
) -> bytes:
    command = repository.command(*arguments)
    done = run(command, more["GIT_WORK_TREE"], repository.path, data=data, more=more)
    if done.returncode:
        rule = f"its attributes cannot be read: {ended(done.returncode, done.stderr)}"
        raise SourceError(repository.path, rule)
    return done.stdout
