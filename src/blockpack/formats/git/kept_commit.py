"""The very same commit: a tree that is just what a commit holds keeps its commit's id.

Nothing is hashed or deflated then that the repository has packed already (`repository_objects`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from ...model.entry import File, Symlink, encode
from ...model.tree import Tree
from ...workers.processors import Jobs
from . import objects, tree_objects
from .assembly import Assembly
from .objects import object_id
from .origin import BlobStore, ObjectSource, Origin
from .pack_format import BLOB
from .repository_objects import RepositoryObjects

if TYPE_CHECKING:
    from .volume import GitVolume


@frozen
class KeptCommit:
    """A commit (its id, raw), the ids of all that is to be in its pack, and paths for messages."""

    repository: ObjectSource
    oid: bytes
    oids: frozenset[bytes]
    paths: Mapping[bytes, str]
    has_parents: bool
    anew: bool
    jobs: Jobs

    @classmethod
    def of(cls, volume: GitVolume, tree: Tree, jobs: Jobs) -> KeptCommit | None:
        """The commit that `tree` is, entry by entry; None if it is none. Raises `SourceError`."""
        origin, object_format = tree.origin, volume.object_format
        if not isinstance(origin, Origin) or origin.commit is None:
            return None
        repository = origin.repository
        ids = _ids(tree, object_format) if repository.object_format == object_format else None
        if ids is None:
            return None
        commit = bytes.fromhex(origin.commit)
        ((_, data),) = repository.objects({commit: origin.commit})
        *below, root = tree_objects.trees(tree, ids, volume)
        if objects.field(data, b"tree") != root.hex():
            return None
        paths = {oid: path for path, oid in ids.items()}
        oids = frozenset((commit, root, *below, *paths))
        if volume.history:
            oids = repository.reachable(origin.commit)
        return cls(repository, commit, oids, paths, bool(objects.parents(data)), volume.anew, jobs)

    @property
    def count(self) -> int:
        """The number of its objects."""
        return len(self.oids)

    def add_to(self, assembly: Assembly) -> bytes:
        """As `NewCommit.add_to`."""
        with RepositoryObjects(
            self.repository, assembly, self.paths, self.jobs, anew=self.anew
        ) as taken:
            taken.add(self.oids - {self.oid})
            taken.add(frozenset((self.oid,)))
        return self.oid


def _ids(tree: Tree, object_format: str) -> dict[str, bytes] | None:
    """The id of each file and link by path, as the repository has it; None if one has none."""
    ids = {}
    for entry in tree:
        if isinstance(entry, Symlink):
            ids[entry.path] = object_id(BLOB, encode(entry.target), object_format)
        elif isinstance(entry, File):
            if not isinstance(entry.store, BlobStore):  # Git LFS has it
                return None
            ids[entry.path] = entry.store.raw_oid(entry.key)
    return ids
