"""A new commit of a tree.

The contents of files are packed first: their ids are hashes. Blobs that a repository has already
are left to it (`repository_objects`). What is read last, large files that no other is like
(`blob_packing`), gets its id only when it is added; so it is then that the trees are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.entry import File, Symlink, encode
from ...model.tree import Tree
from ...workers.processors import Jobs
from . import tree_objects
from .assembly import Assembly
from .blob_packing import PackedBlob, Packer
from .objects import OID_SIZES, object_id
from .origin import BlobStore, ObjectSource
from .pack_format import BLOB, COMMIT, TREE

if TYPE_CHECKING:
    from .volume import GitVolume


class NewCommit:
    """A commit of `tree`, whose contents wait to be added. Raises `SourceError`, `TargetError`."""

    def __init__(self, volume: GitVolume, tree: Tree, jobs: Jobs) -> None:
        self.volume = volume
        self.tree = tree
        self._jobs = jobs if tree.forkable else 1
        self._ids: dict[str, bytes] = {}
        """The id of each file and link that is known, by path."""
        self._blobs: set[bytes] = set()
        """All these ids. Each blob is in one of the following, the first time that it is met."""
        self._taken: dict[ObjectSource, dict[bytes, str]] = {}
        """Blobs that repositories have: paths by id."""
        self._packed: list[PackedBlob] = []
        self._targets: list[bytes] = []
        """The targets of links."""
        self._deferred: list[PackedBlob] = []
        """Blobs that all differ, and from all others; their ids are not known yet."""
        files = [entry for entry in tree if isinstance(entry, File)]
        packer = Packer.of(files, volume.level, volume.object_format)
        self._spool = packer.spool
        for blob in packer.pack(files if volume.anew else self._take(files), self._jobs):
            if not blob.oid:
                self._deferred.append(blob)
            elif self._is_new(blob.file.path, blob.oid):
                self._packed.append(blob)
        for entry in tree:
            if isinstance(entry, Symlink):
                target = encode(entry.target)
                if self._is_new(entry.path, object_id(BLOB, target, volume.object_format)):
                    self._targets.append(target)

    @property
    def count(self) -> int:
        """The number of its objects."""
        # Deferred blobs all differ, and so they make as many trees with any ids that do.
        size = OID_SIZES[self.volume.object_format]
        assumed = {blob.file.path: n.to_bytes(size) for n, blob in enumerate(self._deferred)}
        return len(self._blobs) + len(self._deferred) + len(self._trees(assumed)) + 1

    def add_to(self, assembly: Assembly) -> bytes:
        """Add all objects, the commit last; its id, raw. Raises `Problems` and as above."""
        for repository, paths in self._taken.items():
            from .repository_objects import RepositoryObjects  # what reads repositories is slow

            with RepositoryObjects(repository, assembly, paths, self._jobs) as taken:
                taken.add(frozenset(paths))
        for blob in self._packed:
            assembly.add_blob(blob, self._spool)
        for target in self._targets:
            assembly.add_object(BLOB, target)
        late = {blob.file.path: assembly.add_deferred(blob) for blob in self._deferred}
        for data in self._trees(late).values():
            root = assembly.add_object(TREE, data)
        return assembly.add_object(COMMIT, self.volume.encoded_commit(self.tree, root))

    def _take(self, files: list[File]) -> list[File]:
        """Leave those of `files` to their repositories that these have; the others."""
        others = []
        for file in files:
            store = file.store
            if not isinstance(store, BlobStore) or store.object_format != self.volume.object_format:
                others.append(file)
            elif self._is_new(file.path, oid := store.raw_oid(file.key)):
                self._taken.setdefault(store.repository, {})[oid] = file.path
        return others

    def _is_new(self, path: str, oid: bytes) -> bool:
        """Note the blob of a file or a link; whether it is the first of that id."""
        self._ids[path] = oid
        known = len(self._blobs)
        self._blobs.add(oid)
        return len(self._blobs) > known

    def _trees(self, late: dict[str, bytes]) -> dict[bytes, bytes]:
        """All trees by id, the root's last; `late` has the ids of deferred blobs by path."""
        return tree_objects.trees(self.tree, self._ids | late, self.volume)
