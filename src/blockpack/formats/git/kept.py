"""The very same commit: a tree that is just what a commit holds keeps its commit's id.

Nothing is hashed or deflated then that the repository has packed already (`taken`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing

from attrs import frozen

from ...errors import SourceError
from ...model.entry import File, Symlink, encode
from ...model.tree import Tree
from ...planning.profile import GitLimits
from ...sources.git.blobs import Blob
from ...sources.git.cat_file import CatFile
from ...sources.git.program import ended, run
from ...sources.git.repository import Repository
from . import members, objects
from .assembly import Assembly
from .objects import MOST_BYTES, object_id
from .pack import BLOB, KINDS
from .taken import TakenObjects


@frozen
class KeptCommit:
    """A commit (its id, raw), and the ids of all objects that are to be in its pack.

    `paths` has those of its files and links by their ids, for messages.
    """

    repository: Repository
    oid: bytes
    oids: frozenset[bytes]
    paths: Mapping[bytes, str]
    has_parents: bool
    anew: bool

    @classmethod
    def of(
        cls, tree: Tree, limits: GitLimits, object_format: str, *, history: bool, anew: bool
    ) -> KeptCommit | None:
        """The commit that `tree` is, entry by entry; None if it is none, or not any more.

        With `history` all commits before it come along; with `anew` all is packed anew. Raises
        `SourceError`.
        """
        origin = tree.origin
        if origin is None or origin.commit is None or origin.object_format != object_format:
            return None
        ids = _ids(tree, object_format)
        if ids is None:
            return None
        repository = Repository.at(origin.repository)
        with closing(CatFile(repository)) as reader:
            _, data = reader.object(origin.commit, origin.commit, MOST_BYTES)
        *below, root = members.trees(tree, ids, limits, object_format)
        if objects.field(data, b"tree") != root.hex():
            return None
        commit = bytes.fromhex(origin.commit)
        paths = {oid: path for path, oid in ids.items()}
        oids = frozenset((commit, root, *below, *paths))
        if history:
            oids = _reachable(repository, origin.commit)
        has_parents = b"\nparent " in data.partition(b"\n\n")[0]
        return cls(repository, commit, oids, paths, has_parents, anew)

    @property
    def count(self) -> int:
        """The number of its objects."""
        return len(self.oids)

    def add_to(self, assembly: Assembly) -> bytes:
        """Add all objects to `assembly`, the commit as the last one, and tell its id (raw).

        Raises `Problems` and `SourceError`, and `TargetError` if the temporary file cannot be
        written.
        """
        with TakenObjects(self.repository, assembly, self.paths, anew=self.anew) as taken:
            taken.add(self.oids - {self.oid})
            taken.add(frozenset((self.oid,)))
        return self.oid


def _ids(tree: Tree, object_format: str) -> dict[str, bytes] | None:
    """The id of each file and link by path, as the repository has it; None if one has none."""
    ids = {}
    for entry in tree:
        if isinstance(entry, Symlink):
            ids[entry.path] = object_id(KINDS[BLOB], encode(entry.target), object_format)
        elif isinstance(entry, File):
            if not isinstance(entry.content, Blob):  # Git LFS has it
                return None
            ids[entry.path] = entry.content.raw_oid
    return ids


_UNCHANGED = {"GIT_SHALLOW_FILE": os.devnull, "GIT_GRAFT_FILE": os.devnull}
"""Commits have the parents that they name, whatever a repository pretends."""


def _reachable(repository: Repository, commit: str) -> frozenset[bytes]:
    """The ids of a commit, all before it, and all that they hold. Raises `SourceError`."""
    command = repository.command("rev-list", "--objects", "--no-object-names", commit)
    done = run(command, repository.git_dir, repository.path, more=_UNCHANGED)
    if done.returncode:
        rule = f"its history cannot be read: {ended(done.returncode, done.stderr)}"
        remedy = f"look into it: {repository.told('fsck')}"
        if os.path.exists(os.path.join(repository.common_dir, "shallow")):
            remedy = f"a shallow clone? Fetch all of it: {repository.told('fetch --unshallow')}"
        raise SourceError(repository.path, rule, remedy)
    return frozenset(bytes.fromhex(line.decode("ascii")) for line in done.stdout.split())
