"""The very same commit: a tree that is just what a commit holds keeps its commit's id.

Nothing is hashed or deflated then: the objects are packed in the repository already, and go into
the image as they are, from where they are. A delta comes along if its base does. What is not packed
yet, or is a delta without its base, is asked of git and packed anew.
"""

from __future__ import annotations

from contextlib import closing

from attrs import frozen

from ..entry import File, Symlink, encode
from ..errors import SourceError
from ..profile import GitLimits
from ..sources.git.blobs import Blob
from ..sources.git.cat_file import CatFile
from ..sources.git.program import ended, run
from ..sources.git.repository import Repository
from ..tree import Tree
from . import members
from .assembly import Assembly
from .objects import MOST_BYTES, field, object_id
from .pack import BLOB, KINDS
from .repository_packs import RepositoryPacks

_TYPES = {kind: number for number, kind in KINDS.items()}


@frozen
class KeptCommit:
    """A commit (its id, raw), and the ids of all objects that are to be in its pack."""

    repository: Repository
    oid: bytes
    oids: frozenset[bytes]
    has_parents: bool

    @classmethod
    def of(
        cls, tree: Tree, limits: GitLimits, object_format: str, *, history: bool
    ) -> KeptCommit | None:
        """The commit that `tree` is, entry by entry; None if it is none, or not any more.

        With `history` all commits before it come along. Raises `SourceError`.
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
        if field(data, b"tree") != root.hex():
            return None
        commit = bytes.fromhex(origin.commit)
        oids = frozenset((commit, root, *below, *ids.values()))
        if history:
            oids = _reachable(repository, origin.commit)
        return cls(repository, commit, oids, b"\nparent " in data.partition(b"\n\n")[0])

    def add_to(self, assembly: Assembly) -> None:
        """Add all objects to `assembly`, the commit as the last one. Raises `SourceError`."""
        with closing(RepositoryPacks(self.repository)) as packs:
            reader = CatFile(self.repository)
            with closing(reader):
                for oid in (*packs.in_order(self.oids - {self.oid}), self.oid):
                    if not packs.take(oid, assembly):
                        kind, data = reader.object(oid.hex(), oid.hex(), MOST_BYTES)
                        assembly.add_object(_TYPES[kind], data)
            assembly.settle()


def _ids(tree: Tree, object_format: str) -> dict[str, bytes] | None:
    """The id of each file and link by path, as the repository has it; None if one has none."""
    ids = {}
    for entry in tree:
        if isinstance(entry, Symlink):
            ids[entry.path] = object_id(KINDS[BLOB], encode(entry.target), object_format)
        elif isinstance(entry, File):
            if not isinstance(entry.content, Blob):  # Git LFS has it
                return None
            ids[entry.path] = bytes.fromhex(entry.content.oid)
    return ids


def _reachable(repository: Repository, commit: str) -> frozenset[bytes]:
    """The ids of a commit, all before it, and all that they hold. Raises `SourceError`."""
    command = repository.command("rev-list", "--objects", "--no-object-names", commit)
    done = run(command, repository.git_dir, repository.path)
    if done.returncode:
        rule = f"its history cannot be read: {ended(done.returncode, done.stderr)}"
        remedy = f"look into it: {repository.told('fsck')}"
        raise SourceError(repository.path, rule, remedy)
    return frozenset(bytes.fromhex(line.decode("ascii")) for line in done.stdout.split())
