"""Objects that a repository has: into a pack as it has packed them, or packed anew.

What is in a pack there is taken over as it is, from where it is; a delta comes along if its base
does. What is not packed yet, or is a delta without its base, is asked of git and packed anew: a
blob like any other file, in pieces; trees, commits and tags one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from itertools import chain
from typing import Self

from ...errors import SourceError, raise_problems
from ...reading.inflate import crc32
from ...workers.processors import Jobs
from .assembly import Assembly
from .blob_packing import Packer
from .objects import object_id
from .origin import ObjectSource
from .pack_format import BLOB, KINDS, OFS_DELTA, object_header, offset_header
from .repository_packs import Packed, PackFile

_TYPES = {kind: number for number, kind in KINDS.items()}


class RepositoryObjects:
    """Adds objects of `repository` to `assembly`; a context manager, for packs are open meanwhile.
    `paths` are for messages, by ids. With `anew` nothing is taken over as it is.
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
        self._bases: set[bytes] = set()
        """The bases of all deltas that are to be taken."""
        self._added: dict[bytes, int] = {}
        """Where in the new pack each of these bases begins that is there."""
        with ExitStack() as opened:
            self._packs = [
                opened.enter_context(closing(PackFile(path, repository)))
                for path in (() if anew else repository.pack_paths())
            ]
            self._files = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        with self._files:
            if failed is None:
                self._assembly.settle()

    def add(self, oids: frozenset[bytes]) -> None:
        """Add objects. Raises `Problems`, `SourceError` and `TargetError`."""
        packed: dict[bytes, Packed] = {}
        for pack in self._packs:  # the first that has an object
            packed |= {found.oid: found for found in pack.objects(oids - packed.keys())}
        self._bases |= {found.base for found in packed.values() if found.base is not None}
        taken, left = _after_their_bases(packed, sorted(oids - packed.keys()))
        if left:
            self._pack(left)
        for found in taken:
            self._take(found)

    def _take(self, found: Packed) -> None:
        """Add an object as it is packed, a delta after its base. Raises `SourceError`."""
        pack, start, end = found.pack, found.start, found.end
        at = self._note(found.oid)
        if found.base is None:
            self._assembly.add_packed(found.oid, found.crc, pack, start, end - start)
            return
        header = pack.header(found.oid, start)
        original = crc32(b"".join(pack.read(start, header.data - start)))
        stream = 0
        for data in pack.read(header.data, end - header.data):
            original = crc32(data, original)
            stream = crc32(data, stream)
        if original != found.crc:
            raise pack.damaged(found.oid)
        head = object_header(OFS_DELTA, header.size) + offset_header(at - self._added[found.base])
        self._assembly.add_delta(found.oid, head, pack, header.data, end - header.data, stream)

    def _note(self, oid: bytes) -> int:
        """Where in the new pack an object begins that is added next; deltas may refer to it."""
        if oid in self._bases:
            self._added[oid] = self._assembly.size
        return self._assembly.size

    def _pack(self, oids: Iterable[bytes]) -> None:
        """Add objects that git is to read. Raises `Problems` if some cannot be read."""
        blobs: dict[bytes, int] = {}
        others: list[bytes] = []
        problems = []
        for oid, told in self._repository.facts({oid: self._path(oid) for oid in oids}):
            if isinstance(told, SourceError):
                problems.append(told)
            elif told[0] == KINDS[BLOB]:
                blobs[oid] = told[1]
            else:
                others.append(oid)
        raise_problems("these objects cannot be packed", problems)
        if blobs:
            self._pack_blobs(blobs)
        if others:
            asked = {oid: self._path(oid) for oid in others}
            for oid, (kind, data) in zip(others, self._repository.objects(asked), strict=True):
                self._require(oid, object_id(_TYPES[kind], data, self._assembly.object_format))
                self._note(oid)
                self._assembly.add_object(_TYPES[kind], data)

    def _pack_blobs(self, sizes: Mapping[bytes, int]) -> None:
        """Add blobs, by several processes and in pieces, through the spool."""
        files = self._repository.blobs(sizes, self._paths)
        packer = Packer.of(files, self._assembly.level, self._assembly.object_format)
        for oid, blob in zip(sizes, packer.pack(files, self._jobs), strict=True):
            self._require(oid, blob.oid)
            self._note(oid)
            self._assembly.add_blob(blob, packer.spool)

    def _require(self, oid: bytes, made: bytes) -> None:
        """Raise `SourceError` for another id than an object is found by: git does not look."""
        if made != oid:
            rule = f"object {oid.hex()} is damaged: its bytes make {made.hex()}"
            raise SourceError(self._path(oid), rule, self._repository.fsck)

    def _path(self, oid: bytes) -> str:
        """What messages about an object name: its file, or else the repository."""
        return self._paths.get(oid, self._repository.path)


def _after_their_bases(
    packed: Mapping[bytes, Packed], loose: Iterable[bytes]
) -> tuple[list[Packed], list[bytes]]:
    """All that can be taken, each after its base, and all that cannot."""
    taken: list[Packed] = []
    left = [*loose]
    come = {*left}
    waiting: dict[bytes, list[Packed]] = {}  # deltas, by the base that is still to come
    for found in packed.values():
        base = found.base
        if base is None or base in come:
            taken.append(found)
        elif base in packed:
            waiting.setdefault(base, []).append(found)
            continue
        else:
            left.append(found.oid)
        ready = [found.oid]
        while ready:
            come.add(ready[-1])
            on_top = waiting.pop(ready.pop(), [])
            taken += on_top
            ready += [delta.oid for delta in on_top]
    left += (found.oid for found in chain.from_iterable(waiting.values()))  # in a circle
    return taken, left
