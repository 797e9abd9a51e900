"""The very same commit: a tree that is just what a commit holds keeps its commit's id.

Nothing is hashed or deflated then: the objects are packed in the repository already, and go into
the image as they are, from where they are. A delta comes along if its base does. What is not packed
yet, or is a delta without its base, is asked of git and packed anew: a blob like any other file,
in pieces; trees, commits and tags one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import closing

from attrs import define, field, frozen

from ..entry import File, Symlink, encode
from ..errors import SourceError, raise_problems
from ..profile import GitLimits
from ..sources.git.blobs import Blob, Blobs
from ..sources.git.cat_file import CatFile, Facts, facts
from ..sources.git.program import ended, run
from ..sources.git.repository import Repository
from ..tree import Tree
from . import members, objects
from .assembly import Assembly
from .blobs import Packer
from .objects import MOST_BYTES, object_id
from .pack import BLOB, KINDS
from .repository_packs import RepositoryPacks

_TYPES = {kind: number for number, kind in KINDS.items()}


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
        if objects.field(data, b"tree") != root.hex():
            return None
        commit = bytes.fromhex(origin.commit)
        paths = {oid: path for path, oid in ids.items()}
        oids = frozenset((commit, root, *below, *paths))
        if history:
            oids = _reachable(repository, origin.commit)
        has_parents = b"\nparent " in data.partition(b"\n\n")[0]
        return cls(repository, commit, oids, paths, has_parents)

    def add_to(self, assembly: Assembly) -> None:
        """Add all objects to `assembly`, the commit as the last one.

        Raises `Problems` and `SourceError`, and `TargetError` if the temporary file cannot be
        written.
        """
        with closing(RepositoryPacks(self.repository)) as packs:
            adding = _Adding(self, packs, assembly)
            adding.add(self.oids - {self.oid})
            adding.add(frozenset((self.oid,)))
            assembly.settle()


@define
class _Adding:
    """Adding the objects of `kept` to `assembly`, from `packs` as far as may be."""

    kept: KeptCommit
    packs: RepositoryPacks
    assembly: Assembly
    _repository: Repository = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._repository = self.kept.repository

    def add(self, oids: frozenset[bytes]) -> None:
        """Add objects. Raises `Problems`, `SourceError` and `TargetError`."""
        taken, left = self.packs.divide(oids)
        if left:
            self._pack(left)
        for oid in taken:
            self.packs.take(oid, self.assembly)

    def _pack(self, oids: Iterable[bytes]) -> None:
        """Add objects that git is to read."""
        blobs: dict[bytes, int] = {}
        others: dict[bytes, int] = {}
        for oid, (kind, size) in self._facts(oids).items():
            (blobs if kind == KINDS[BLOB] else others)[oid] = size
        if blobs:
            self._pack_blobs(blobs)
        if others:
            self._pack_others(others)

    def _facts(self, oids: Iterable[bytes]) -> dict[bytes, Facts]:
        """What git knows of objects by their ids. Raises `Problems` if some cannot be read."""
        found: dict[bytes, Facts] = {}
        problems = []
        for oid, told in facts(self._repository, {oid: self._path(oid) for oid in oids}):
            if isinstance(told, SourceError):
                problems.append(told)
            else:
                found[oid] = told
        raise_problems("this commit cannot be packed", problems)
        return found

    def _pack_blobs(self, sizes: Mapping[bytes, int]) -> None:
        """Add blobs, by several processes and in pieces, through the spool."""
        blobs = Blobs(self._repository)
        files = [File(self._path(oid), size, blobs.add(oid, size)) for oid, size in sizes.items()]
        packer = Packer.of(files, self.assembly.level, self.assembly.object_format)
        for oid, blob in zip(sizes, packer.pack(files, forkable=True), strict=True):
            self._require(oid, blob.oid)
            self.packs.note(oid, self.assembly.size)
            self.assembly.add_blob(blob, packer.spool)

    def _pack_others(self, sizes: Mapping[bytes, int]) -> None:
        """Add trees, commits and tags, each of which is in memory for a moment."""
        with closing(CatFile(self._repository)) as reader:
            for oid, size in sizes.items():
                if size > MOST_BYTES:
                    rule = f"object {oid.hex()} has {size:,} bytes and is no file"
                    remedy = f"{MOST_BYTES:,} are the most; find out who made it"
                    raise SourceError(self._repository.path, rule, remedy)
                kind, data = reader.object(oid.hex(), self._path(oid), MOST_BYTES)
                self._require(oid, object_id(kind, data, self.assembly.object_format))
                self.packs.note(oid, self.assembly.size)
                self.assembly.add_object(_TYPES[kind], data)

    def _require(self, oid: bytes, made: bytes) -> None:
        """Raise `SourceError` if an object has another id than it is to be found by.

        Git does not look whether a loose object is what its name says.
        """
        if made != oid:
            rule = f"object {oid.hex()} is damaged: its bytes make {made.hex()}"
            remedy = f"look into it: {self._repository.told('fsck')}"
            raise SourceError(self._path(oid), rule, remedy)

    def _path(self, oid: bytes) -> str:
        """What messages about an object name: its file, or else the repository."""
        return self.kept.paths.get(oid, self._repository.path)


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
