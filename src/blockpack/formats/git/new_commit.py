"""A new commit of a tree.

The contents of files are packed first: their ids are hashes. Blobs that a repository has already
are left to it (`repository_objects`). What is read last, large files that no other is like
(`blob_packing`), gets its id only when it is added; so it is then that the trees are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from attrs import define, field

from ...model.entry import File, Symlink, encode
from ...model.tree import Tree
from ...planning.profile import GitLimits
from ...reading.spool import Spool
from ...workers.processors import Jobs
from . import tree_objects
from .assembly import Assembly
from .blob_packing import PackedBlob, Packer
from .objects import OID_SIZES, object_id
from .pack_format import BLOB, COMMIT, TREE

if TYPE_CHECKING:
    from .origin import ObjectSource

Encode = Callable[[bytes], bytes]
"""The bytes of a commit, by the id (raw) of its tree."""


@define
class NewCommit:
    """A commit of `tree`, whose contents are packed and wait to be added."""

    tree: Tree
    limits: GitLimits
    object_format: str
    encode: Encode
    _spool: Spool
    _jobs: Jobs
    _ids: dict[str, bytes] = field(factory=dict)
    """The id of each file and link that is known, by path."""
    _taken: dict[ObjectSource, dict[str, bytes]] = field(factory=dict)
    """Blobs that repositories have: ids by path."""
    _known: dict[bytes, PackedBlob] = field(factory=dict)
    _deferred: list[PackedBlob] = field(factory=list)
    _targets: dict[bytes, bytes] = field(factory=dict)
    """The targets of links by id."""

    @classmethod
    def of(
        cls,
        tree: Tree,
        limits: GitLimits,
        object_format: str,
        encode: Encode,
        *,
        level: int,
        anew: bool,
        jobs: Jobs,
    ) -> NewCommit:
        """The commit of `tree`; its files are read, and deflated at `level`.

        With `anew` nothing is left to repositories. Raises `SourceError` and `TargetError`.
        """
        files = [entry for entry in tree if isinstance(entry, File)]
        packer = Packer.of(files, level, object_format)
        commit = cls(
            tree, limits, object_format, encode, packer.spool, jobs if tree.forkable else 1
        )
        others = files if anew else commit._take(files)
        commit._note(packer.pack(others, commit._jobs))
        commit._note_targets()
        return commit

    @property
    def count(self) -> int:
        """The number of its objects."""
        # Deferred blobs all differ, and so they make as many trees with any ids that do.
        size = OID_SIZES[self.object_format]
        assumed = {blob.file.path: n.to_bytes(size) for n, blob in enumerate(self._deferred)}
        trees = self._trees(assumed)
        blobs = len(self._taken_ids()) + len(self._known) + len(self._targets)
        return blobs + len(self._deferred) + len(trees) + 1

    def add_to(self, assembly: Assembly) -> bytes:
        """Add all objects to `assembly`, the commit as the last one, and tell its id (raw).

        Raises `Problems`, `SourceError` and `TargetError`.
        """
        for repository, ids in self._taken.items():
            from .repository_objects import RepositoryObjects

            paths = {oid: path for path, oid in ids.items()}
            with RepositoryObjects(repository, assembly, paths, self._jobs) as taken:
                taken.add(frozenset(paths))
        for blob in self._known.values():
            assembly.add_blob(blob, self._spool)
        for target in self._targets.values():
            assembly.add_object(BLOB, target)
        late = {blob.file.path: assembly.add_deferred(blob) for blob in self._deferred}
        for data in self._trees(late).values():
            root = assembly.add_object(TREE, data)
        return assembly.add_object(COMMIT, self.encode(root))

    def _take(self, files: list[File]) -> list[File]:
        """Leave those of `files` to their repositories that these have; the others."""
        from .repository_objects import by_repository

        found, others = by_repository(files, self.object_format)
        for repository, ids in found.items():
            known = self._taken_ids()
            self._taken[repository] = {p: oid for p, oid in ids.items() if oid not in known}
            self._ids |= ids
        return others

    def _taken_ids(self) -> set[bytes]:
        return {oid for ids in self._taken.values() for oid in ids.values()}

    def _note(self, blobs: Iterable[PackedBlob]) -> None:
        """Note packed blobs, each content once."""
        taken = self._taken_ids()
        for blob in blobs:
            if not blob.oid:
                self._deferred.append(blob)
                continue
            self._ids[blob.file.path] = blob.oid
            if blob.oid not in taken:
                self._known.setdefault(blob.oid, blob)

    def _note_targets(self) -> None:
        """Note the targets of links, each once."""
        others = self._taken_ids() | self._known.keys()
        for entry in self.tree:
            if isinstance(entry, Symlink):
                target = encode(entry.target)
                oid = object_id(BLOB, target, self.object_format)
                self._ids[entry.path] = oid
                if oid not in others:
                    self._targets[oid] = target

    def _trees(self, late: dict[str, bytes]) -> dict[bytes, bytes]:
        """All trees by id, the root's last; `late` has the ids of deferred blobs by path."""
        return tree_objects.trees(self.tree, self._ids | late, self.limits, self.object_format)
