"""Objects that a repository has: into a pack as it has packed them, or packed anew.

What is in a pack there is taken over as it is, from where it is; a delta comes along if its base
does. What is not packed yet, or is a delta without its base, is asked of git and packed anew: a
blob like any other file, in pieces; trees, commits and tags one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, closing
from typing import Self

from ...errors import SourceError, raise_problems
from ...model.entry import File
from ...workers.processors import Jobs
from .assembly import Assembly
from .blob_packing import Packer
from .objects import MOST_BYTES, object_id
from .origin import BlobStore, Facts, ObjectSource
from .pack_format import BLOB, KINDS
from .repository_packs import RepositoryPacks

_TYPES = {kind: number for number, kind in KINDS.items()}


class RepositoryObjects(AbstractContextManager["RepositoryObjects"]):
    """Adds objects of `repository` to `assembly`; a context manager, for packs are open meanwhile.

    `paths` has those of files and links by their ids, for messages. With `anew` nothing is taken
    over as it is.
    """

    def __init__(
        self,
        repository: ObjectSource,
        assembly: Assembly,
        paths: Mapping[bytes, str],
        jobs: Jobs,
        *,
        anew: bool = False,
    ) -> None:
        self._repository = repository
        self._assembly = assembly
        self._paths = paths
        self._jobs = jobs
        self._packs = RepositoryPacks(repository, () if anew else repository.pack_paths())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        with closing(self._packs):
            if failed is None:
                self._assembly.settle()

    def add(self, oids: frozenset[bytes]) -> None:
        """Add objects. Raises `Problems`, `SourceError` and `TargetError`."""
        taken, left = self._packs.divide(oids)
        if left:
            self._pack(left)
        for found in taken:
            self._packs.take(found, self._assembly)

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
        for oid, told in self._repository.facts({oid: self._path(oid) for oid in oids}):
            if isinstance(told, SourceError):
                problems.append(told)
            else:
                found[oid] = told
        raise_problems("these objects cannot be packed", problems)
        return found

    def _pack_blobs(self, sizes: Mapping[bytes, int]) -> None:
        """Add blobs, by several processes and in pieces, through the spool."""
        files = self._repository.blobs(sizes, self._paths)
        packer = Packer.of(files, self._assembly.level, self._assembly.object_format)
        for oid, blob in zip(sizes, packer.pack(files, self._jobs), strict=True):
            self._require(oid, blob.oid)
            self._packs.note(oid, self._assembly.size)
            self._assembly.add_blob(blob, packer.spool)

    def _pack_others(self, sizes: Mapping[bytes, int]) -> None:
        """Add trees, commits and tags, each of which is in memory for a moment."""
        with closing(self._repository.reader()) as reader:
            for oid, size in sizes.items():
                if size > MOST_BYTES:
                    rule = f"object {oid.hex()} has {size:,} bytes and is not a file"
                    remedy = f"{MOST_BYTES:,} are the most; find out who made it"
                    raise SourceError(self._repository.path, rule, remedy)
                kind, data = reader.object(oid.hex(), self._path(oid), MOST_BYTES)
                number = _TYPES[kind]
                self._require(oid, object_id(number, data, self._assembly.object_format))
                self._packs.note(oid, self._assembly.size)
                self._assembly.add_object(number, data)

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
        return self._paths.get(oid, self._repository.path)


def by_repository(
    files: Iterable[File], object_format: str
) -> tuple[dict[ObjectSource, dict[str, bytes]], list[File]]:
    """The ids of those of `files` that are blobs of a repository, by path; and all others.

    A repository's ids are of use where it has the same `object_format`.
    """
    found: dict[ObjectSource, dict[str, bytes]] = {}
    others = []
    for file in files:
        store = file.store
        if isinstance(store, BlobStore) and store.repository.object_format == object_format:
            ids = found.setdefault(store.repository, {})
            ids[file.path] = store.raw_oid(file.key)
        else:
            others.append(file)
    return found, others
