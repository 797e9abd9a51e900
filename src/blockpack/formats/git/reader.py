"""Reading git object stores, none of it trusted.

A docteur image has an index, so listing reads the commit, the trees and the headers of blobs alone.
A pack by itself is read through once to find where its objects are. `verify` reads everything, and
recomputes every id and checksum.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from itertools import islice

from attrs import evolve, frozen

from ...errors import ImageError, printable
from ...model.entry import NANOSECONDS
from ...planning.layout import Fact
from ...reading.inflate import crc_of
from ...reading.positional import PositionalReader
from ..reader import ImageEntry, ImageReader, Pieces, Report
from . import container, objects
from .blob_reader import BlobReader
from .commit_entries import CommitEntries
from .index import HEAD_SIZE as INDEX_HEAD
from .index import PackIndex
from .objects import OID_SIZES, committed, is_oid, parents
from .pack_format import COMMIT, HEADER, KINDS, SIGNATURE, VERSION
from .sequence import PackedObject
from .sequence import objects as read_through
from .store import PackStore

SECTOR = 512
"""The least bytes that a device reads at once; docteur's index begins with that."""

_LEAST_OBJECT = 9
"""The least bytes that an object takes in a pack: a header and the zlib stream of nothing."""

_MOST_SHOWN = 5
"""Commits and references that a message names."""


@frozen
class _Objects:
    """Where the objects of a pack are, commits (an index tells none), and what is damaged."""

    store: PackStore
    commits: tuple[bytes, ...] = ()
    problems: tuple[ImageError, ...] = ()
    index: PackIndex | None = None


class GitReader(ImageReader):
    """A pack of git objects in one of its containers."""

    format = "git"
    whole = "pack"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the signature of a bundle, a pack, a pack in a OneFFS or after a docteur header."""
        return bool(container.is_bundle(head) or container.framing(head))

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        self._head = self.read_at(0, min(self.size, container.HEAD))
        found = container.framing(self._head)
        if found is None:
            raise ImageError("", "its header is cut short or damaged, or of a later version of git")
        if found.incomplete:
            rule = "it is a bundle without some of the objects that its commits lead to"
            raise ImageError("", rule, "bundle all: git bundle create FILE HEAD")
        self._framing = found
        self.device = device and found.index_offset is None  # docteur reads to the device's end
        end = self.size if found.index_offset is None else found.index_offset
        if not found.pack_offset + HEADER.size <= end <= self.size:
            raise ImageError("", "its index is to begin where the image does not go")
        self._pack_size = end - found.pack_offset
        """Bytes up to the image's end or its index: the pack, and what pads it."""
        signature, version, self._count = HEADER.values(self._pack_bytes(0, HEADER.size))
        if (signature, version) != (SIGNATURE, VERSION):
            raise ImageError("", "it has no pack of version 2 where its container says")
        if self._count > self._pack_size // _LEAST_OBJECT:
            raise ImageError("", f"it is too short for the {self._count:,} objects of its pack")
        self._lock = threading.Lock()
        self._known: _Objects | None = None
        self._blobs: dict[str, int] = {}
        """Where the blob of each file begins in the pack."""

    def info(self) -> Mapping[str, Fact]:
        """The container, the commit, the number of objects, and where the pack begins (bytes)."""
        framing = self._framing
        return {
            "container": "oneffs" if framing.oneffs else framing.container,
            "commit": self._commit()[0].hex(),
            "objects": self._count,
            "pack_offset": framing.pack_offset,
        }

    def options(self) -> Mapping[str, str | bool]:
        """The hash, which a commit needs to keep its id, and a container that takes any."""
        return {"object_format": self._objects.store.object_format, "container": "pack"}

    def _pack_bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the pack and of what pads it; less than `length` at the end."""
        length = max(0, min(length, self._pack_size - offset))
        return self.read_at(self._framing.pack_offset + offset, length)

    @property
    def _objects(self) -> _Objects:
        """The objects, where the index says or where they were found. Raises `ImageError`."""
        with self._lock:
            if self._known is None:
                self._known = self._found()
            return self._known

    def _found(self) -> _Objects:
        object_format = self._framing.object_format
        index = self._index()
        if index is not None:
            offsets = dict(zip(index.oids, index.offsets, strict=True))
            return _Objects(self._store(object_format, offsets), index=index)
        found = self._read_through(object_format)
        if self._framing.container != "pack":
            return found
        # A pack by itself does not say which hash makes ids: its commits do.
        if found.commits:
            tree = objects.field(found.store.object(found.commits[-1], COMMIT), b"tree")
            if tree is None or not is_oid(tree, OID_SIZES["sha256"]):
                return found
        other = self._read_through("sha256")
        return other if other.commits else found

    def _index(self) -> PackIndex | None:
        """The index, if the container has one. Raises `ImageError`."""
        at = self._framing.index_offset
        if at is None:
            return None
        oid_size = OID_SIZES[self._framing.object_format]
        most = INDEX_HEAD + self._count * (oid_size + 16) + 2 * oid_size
        try:
            data = self.read_at(at, min(most, self.size - at))
            return PackIndex(data, self._framing.object_format)
        except ValueError as error:
            raise ImageError("", f"{error}") from None

    def _read_through(self, object_format: str) -> _Objects:
        store = self._store(object_format)
        problems: list[ImageError] = []
        found = read_through(store, self._count, problems.append)
        commits = tuple(each.oid for each in found if each.kind == COMMIT)
        return _Objects(store, commits, tuple(problems))

    def _store(self, object_format: str, offsets: dict[bytes, int] | None = None) -> PackStore:
        end = self._pack_size - OID_SIZES[object_format]
        return PackStore(self._pack_bytes, end, object_format, offsets or {})

    def _commit(self) -> tuple[bytes, bytes]:
        """The id (raw) and the bytes of the commit that is meant. Raises `ImageError`."""
        references = self._framing.references
        if not references:
            tip = self._tip()
            return tip, self._objects.store.object(tip, COMMIT)
        meant = ["HEAD"] if "HEAD" in references else references
        named = {name: self._peeled(references[name]) for name in meant}
        if len({oid for oid, _ in named.values()}) > 1:
            rule = f"it has several branches or tags, and no HEAD: {_shown(named)}"
            raise ImageError("", rule, "which one? Bundle it alone: git bundle create FILE NAME")
        return next(iter(named.values()))

    def _peeled(self, oid: bytes) -> tuple[bytes, bytes]:
        """The commit that a reference leads to, through annotated tags. Raises `ImageError`."""

        def read(each: bytes) -> tuple[bytes, bytes]:
            kind, data = self._objects.store.meta(each)
            return KINDS[kind], data

        found, kind, data = objects.peeled(oid, read)
        if kind != KINDS[COMMIT]:
            raise ImageError("", f"object {found.hex()} is a {kind.decode()}, no commit")
        return found, data

    def _tip(self) -> bytes:
        """The commit of a pack that no other one in it has as a parent. Raises `ImageError`."""
        found = self._objects
        if not found.commits:
            raise next(iter(found.problems), ImageError("", "its pack holds no commit"))
        above = {oid for each in found.commits for oid in parents(found.store.object(each, COMMIT))}
        tips = [oid for oid in dict.fromkeys(found.commits) if oid not in above]
        if len(tips) != 1:
            shown = _shown([oid.hex() for oid in tips])
            rule = f"its pack has {len(tips):,} commits that no other one comes after: {shown}"
            raise ImageError("", rule, "which one? Make a pack or a bundle of it alone")
        return tips[0]

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Tree by tree, from the commit on."""
        for problem in self._objects.problems:
            report(problem)
        store = self._objects.store
        _, commit = self._commit()
        root = objects.field(commit, b"tree")
        if root is None or not is_oid(root, store.oid_size):
            raise ImageError("", "its commit names no tree")
        mtime_ns = committed(commit) * NANOSECONDS
        yield from CommitEntries(store, bytes.fromhex(root), mtime_ns, report, self._blobs)

    def content(self, entry: ImageEntry) -> PositionalReader:
        """The blob. Raises `ImageError`."""
        return BlobReader(self._objects.store, self._blobs[entry.path], entry)

    def stored(self, entry: ImageEntry) -> Pieces:
        """The packed object that is the blob: it ends where the next one begins."""
        begin = self._blobs.get(entry.path)
        if begin is None or begin >= self._bounds[-1]:
            return ()
        end = self._bounds[bisect_right(self._bounds, begin)]
        return ((self._framing.pack_offset + begin, end - begin),)

    @cached_property
    def _bounds(self) -> list[int]:
        """Where objects begin, and the last of them ends."""
        store = self._objects.store
        return sorted({*store.offsets.values(), store.end})

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """Every id, every checksum, and what pads; and then the entries."""
        known = self._objects
        object_format, oid_size = known.store.object_format, known.store.oid_size
        # What was read through is told of by the entries, and nobody is told twice.
        again = (lambda _: None) if known.index is None else report
        sequence = read_through(self._store(object_format), self._count, again)
        found = {each.oid: each for each in sequence}  # the store goes, with what it keeps
        end = max((each.end for each in found.values()), default=HEADER.size)
        digest = hashlib.new(object_format)
        for data in self._chunks(0, end):
            digest.update(data)
        checksum = self._pack_bytes(end, oid_size)
        if checksum != digest.digest():
            report(ImageError("", "the pack's checksum is wrong"))
        if known.index is not None:
            if any(any(data) for data in self._chunks(end + oid_size, self._pack_size)):
                report(ImageError("", "there is something between the pack and its index"))
            self._verify_index(known.index, found, checksum, report)
        elif self._framing.container == "bundle" and end + oid_size != self._pack_size:
            report(ImageError("", "there is something after the bundle's pack; git refuses it"))
        elif len(found) == self._count:
            self.end = self._framing.pack_offset + end + oid_size
        if self._framing.oneffs:
            told = container.ONEFFS.unpack(self._head)
            size, crc = told["length"], told["data_crc"]
            told_of = self._chunks(0, min(size, self._pack_size))
            if size != end + oid_size or crc_of(told_of) != crc:
                report(ImageError("", "the OneFFS' size or CRC-32 is not that of its pack"))
        sound = {each.offset for each in found.values()}
        for entry in self.entries(report):
            if entry.kind == "file" and not entry.damage and self._blobs[entry.path] not in sound:
                rule = "its content is damaged"
                report(ImageError(entry.path, rule))
                yield evolve(entry, damage=rule)
            else:
                yield entry

    def _verify_index(
        self, index: PackIndex, found: Mapping[bytes, PackedObject], checksum: bytes, report: Report
    ) -> None:
        assert self._framing.index_offset is not None
        if not index.is_sound or index.pack_checksum != checksum:
            report(ImageError("", "the index is out of order, or one of its checksums is wrong"))
        offsets = dict(zip(index.oids, index.offsets, strict=True))
        if any(offsets.get(oid) != each.offset for oid, each in found.items()) or (
            len(offsets) != self._count
        ):
            rule = "the index does not lead to the objects that the pack holds"
            report(ImageError("", rule))
            return
        for oid, crc in zip(index.oids, index.crcs, strict=True):
            if oid not in found:  # it is damaged, which was told
                continue
            if crc_of(self._chunks(found[oid].offset, found[oid].end)) != crc:
                report(ImageError("", f"object {oid.hex()}: its CRC-32 in the index is wrong"))
        if self._framing.index_offset % SECTOR:
            report(ImageError("", "the index does not begin a sector, where docteur looks for it"))

    @cached_property
    def end(self) -> int:
        """Behind the index. A pack without one is to be read through, which `verify` does."""
        index, at = self._objects.index, self._framing.index_offset
        return self.size if index is None or at is None else at + index.end

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        at = self._framing.pack_offset
        return self.pieces(at + start, at + end)


def _shown(names: Collection[str]) -> str:
    more = ", …" if len(names) > _MOST_SHOWN else ""
    return ", ".join(map(printable, islice(names, _MOST_SHOWN))) + more
