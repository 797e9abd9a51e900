"""Reading git object stores, none of it trusted.

A docteur image has an index, so listing reads the commit, the trees and the headers of blobs alone.
A pack by itself is read through once to find where its objects are. `verify` reads everything, and
recomputes every id and checksum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property

from ...errors import ImageError, printable
from ...model.entry import NANOSECONDS, decode
from ...planning.layout import Fact
from ...planning.volume import MOST
from ...reading.positional import PositionalReader
from ..reader import ImageEntry, ImageReader, Kind, Report
from . import container, members
from .index import HEAD_SIZE as INDEX_HEAD
from .index import PackIndex
from .inflate import crc32
from .names import refused
from .objects import OID_SIZES, committed, field, is_in_order, is_oid, tree_entries
from .pack import BLOB, COMMIT, HEADER, KINDS, SIGNATURE, TREE, VERSION
from .sequence import PackedObject, objects
from .store import PackStore

MOST_ENTRIES = 4_000_000
"""The most entries that trees may come to: a few that name each other may come to any number."""

_MOST_CHARACTERS = 64
"""The most characters that all paths may come to, for each of the most entries."""

SECTOR = 512
"""The least bytes that a device reads at once; docteur's index begins with that."""

_MAX_PATH = 4096
"""The longest path, and link's target, in bytes. Linux has no longer ones."""

_LEAST_OBJECT = 9
"""The least bytes that an object takes in a pack: a header and the zlib stream of nothing."""

_CHUNK = 1 << 20

_MODES: Mapping[bytes, tuple[Kind, int]] = {
    members.FILE: ("file", 0o644),
    b"100664": ("file", 0o664),  # of early git
    members.EXECUTABLE: ("file", 0o755),
    members.SYMLINK: ("symlink", 0o777),
    members.DIRECTORY: ("directory", 0o755),
    b"040000": ("directory", 0o755),  # of programs that are not git
}


class GitReader(ImageReader):
    """A pack of git objects in one of its containers."""

    format = "git"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the signature of a bundle, a pack, a pack in a OneFFS or after a docteur header."""
        return container.framing(head) is not None

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        self._head = self.read_at(0, min(self.size, container.HEAD))
        found = container.framing(self._head)
        if found is None:
            raise ImageError("it is no pack of git objects in any container")
        if found.incomplete:
            raise ImageError("it is a bundle on top of commits that it does not hold; bundle all")
        self._framing = found
        self._object_format = found.object_format
        end = self.size if found.index_offset is None else found.index_offset
        if not found.pack_offset + HEADER.size <= end <= self.size:
            raise ImageError("its index is to begin where the image does not go; damaged")
        self._pack_size = end - found.pack_offset
        """Bytes up to the image's end or its index: the pack, and what pads it."""
        signature, version, self._count = HEADER.unpack(self._pack_bytes(0, HEADER.size))
        if (signature, version) != (SIGNATURE, VERSION):
            raise ImageError("it has no pack of version 2 where its container says; damaged")
        if self._count > self._pack_size // _LEAST_OBJECT:
            raise ImageError(
                f"it is too short for the {self._count:,} objects of its pack; damaged"
            )
        self._commits: list[PackedObject] = []
        self._entry_count = 0
        self._blobs: dict[str, int] = {}
        self._out_of_order: list[str] = []
        """Trees whose entries are, by path: nothing that reading minds."""

    def info(self) -> Mapping[str, Fact]:
        """The container, the commit, the number of objects, and where the pack begins (bytes)."""
        framing = self._framing
        return {
            "container": "oneffs" if framing.oneffs else framing.container,
            "commit": self._commit_id().hex(),
            "objects": self._count,
            "pack_offset": framing.pack_offset,
        }

    def options(self) -> Mapping[str, str]:
        """The hash, which a commit needs to keep its id, and a container that takes any."""
        self._store  # noqa: B018 - tells the object format
        return {"object_format": self._object_format, "container": "pack"}

    def _pack_bytes(self, offset: int, length: int) -> bytes:
        """Bytes of the pack and of what pads it; less than `length` at the end."""
        length = max(0, min(length, self._pack_size - offset))
        return self.read_at(self._framing.pack_offset + offset, length)

    @cached_property
    def _index(self) -> PackIndex | None:
        """The index, if the container has one. Raises `ImageError`."""
        at = self._framing.index_offset
        if at is None:
            return None
        oid_size = OID_SIZES[self._object_format]
        most = INDEX_HEAD + self._count * (oid_size + 16) + 2 * oid_size
        try:
            return PackIndex(self.read_at(at, min(most, self.size - at)), self._object_format)
        except ValueError as error:
            raise ImageError(f"{error}; damaged") from None

    @cached_property
    def _store(self) -> PackStore:
        """The objects, where the index says or where they were found. Raises `ImageError`."""
        if self._index is None:
            return self._read_through()
        return self._empty_store(dict(zip(self._index.oids, self._index.offsets, strict=True)))

    def _read_through(self) -> PackStore:
        """The objects where they are found. A pack by itself does not say which hash makes ids."""
        try:
            store = self._found()
            if self._framing.container != "pack" or not self._commits:
                return store
            tree = field(store.object(self._last_commit(), COMMIT), b"tree")
            if tree is None or not is_oid(tree, OID_SIZES["sha256"]):
                return store
            damage = None
        except ImageError as error:
            if self._framing.container != "pack":
                raise
            damage = error
        self._object_format = "sha256"
        try:
            return self._found()
        except ImageError as error:
            self._object_format = "sha1"
            raise damage or error from None

    def _found(self) -> PackStore:
        store = self._empty_store()
        for _ in self._objects(store):
            pass
        return store

    def _empty_store(self, offsets: dict[bytes, int] | None = None) -> PackStore:
        oid_size = OID_SIZES[self._object_format]
        return PackStore(self._pack_bytes, self._pack_size - oid_size, oid_size, offsets or {})

    def _objects(self, store: PackStore) -> Iterator[PackedObject]:
        """All objects, which `store` gets to know. Raises `ImageError`."""
        self._commits = []
        for found in objects(store, self._count, self._object_format):
            if found.kind == COMMIT:
                self._commits.append(found)
            yield found

    def _commit_id(self) -> bytes:
        """The commit that is meant: the container's, or else the last one in the pack."""
        if self._framing.commit is not None:
            return self._framing.commit
        self._store  # noqa: B018 - reads the pack through
        if not self._commits:
            raise ImageError("its pack holds no commit")
        return self._last_commit()

    def _last_commit(self) -> bytes:
        return max(self._commits, key=lambda found: found.offset).oid

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Tree by tree, from the commit on."""
        store = self._store
        commit = store.object(self._commit_id(), COMMIT)
        root = field(commit, b"tree")
        if root is None or not is_oid(root, store.oid_size):
            raise ImageError("its commit names no tree; damaged")
        seconds = committed(commit) or 0
        if seconds > MOST:
            raise ImageError("its commit has a time that is none; damaged")
        mtime_ns = seconds * NANOSECONDS
        self._entry_count = characters = 0
        self._out_of_order = []
        pending = [("", self._tree(bytes.fromhex(root), ""))]
        while pending:
            above, entries = pending[-1]
            entry = next(entries, None)
            if entry is None:
                pending.pop()
                continue
            mode, name, oid = entry
            path = above + decode(name)
            characters += len(path)
            if len(path) > _MAX_PATH or characters > _MOST_CHARACTERS * MOST_ENTRIES:
                raise _endless(path)
            if rule := refused(name):
                report(ImageError("", f"{printable(path)}: {rule}"))
                continue
            kind, permissions = _MODES.get(mode, ("other", 0))
            if kind == "directory":
                pending.append((f"{path}/", self._tree(oid, path)))
            yield self._entry(path, kind, permissions, mtime_ns, oid)

    def _tree(self, oid: bytes, path: str) -> Iterator[tuple[bytes, bytes, bytes]]:
        """The entries of a tree; no name twice."""
        try:
            found = tree_entries(self._store.object(oid, TREE), self._store.oid_size)
        except ValueError as error:
            raise ImageError(f"{printable(path) or 'the root tree'}: {error}; damaged") from None
        # They are all in memory until the last one has been seen, and so are those of trees above.
        self._entry_count += len(found)
        if self._entry_count > MOST_ENTRIES:
            raise _endless(path)
        if len({name for _, name, _ in found}) < len(found):
            raise ImageError(f"{printable(path) or 'the root tree'}: holds a name twice; damaged")
        if not is_in_order(found):
            self._out_of_order.append(path)
        return iter(found)

    def _entry(
        self, path: str, kind: Kind, permissions: int, mtime_ns: int, oid: bytes
    ) -> ImageEntry:
        store = self._store
        size, target = 0, ""
        if kind in ("file", "symlink"):
            offset = store.offset_of(oid)
            header = store.header(offset)
            size = store.size_of(header)
            if header.kind in KINDS and header.kind != BLOB:
                raise _no_blob(path)
            self._blobs[path] = offset
        if kind == "symlink":
            if size > _MAX_PATH:
                raise ImageError(f"{printable(path)}: links to a path of {size:,} bytes; damaged")
            found, data = store.resolved(header)
            if found != BLOB:
                raise _no_blob(path)
            target = decode(store.whole(header, _MAX_PATH) if data is None else data)
            size = 0
        return ImageEntry(
            path=path, kind=kind, size=size, mode=permissions, mtime_ns=mtime_ns, target=target
        )

    def content(self, entry: ImageEntry) -> PositionalReader:
        """The blob."""
        return _BlobReader(self._store, self._blobs[entry.path], entry)

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """Every id, every checksum, and what pads; and then the entries."""
        self._store  # noqa: B018 - tells the object format
        oid_size = OID_SIZES[self._object_format]
        found = {each.oid: each for each in self._objects(self._empty_store())}
        end = max((each.end for each in found.values()), default=HEADER.size)
        digest = hashlib.new(self._object_format)
        for data in self._chunks(0, end):
            digest.update(data)
        checksum = self._pack_bytes(end, oid_size)
        if checksum != digest.digest():
            report(ImageError("", "the pack's checksum is wrong"))
        if self._framing.index_offset is not None:
            if any(any(data) for data in self._chunks(end + oid_size, self._pack_size)):
                report(ImageError("", "there is something between the pack and its index"))
            self._verify_index(found, checksum, report)
        elif self._framing.container == "bundle" and end + oid_size != self._pack_size:
            report(ImageError("", "there is something after the bundle's pack; git refuses it"))
        if self._framing.oneffs:
            self._verify_oneffs(end + oid_size, report)
        yield from self.entries(report)
        for path in self._out_of_order:
            report(
                ImageError(
                    "", f"{printable(path) or 'the root tree'}: its entries are out of order"
                )
            )

    def _verify_index(
        self, found: Mapping[bytes, PackedObject], checksum: bytes, report: Report
    ) -> None:
        index = self._index
        assert index is not None and self._framing.index_offset is not None
        if not index.is_sound or index.pack_checksum != checksum:
            report(ImageError("", "the index is out of order, or one of its checksums is wrong"))
        if {oid: each.offset for oid, each in found.items()} != dict(
            zip(index.oids, index.offsets, strict=True)
        ):
            report(ImageError("", "the index does not lead to the objects that the pack holds"))
            return
        for oid, crc in zip(index.oids, index.crcs, strict=True):
            actual = 0
            for data in self._chunks(found[oid].offset, found[oid].end):
                actual = crc32(data, actual)
            if actual != crc:
                report(ImageError("", f"{oid.hex()}: its CRC-32 in the index is wrong"))
        if self._framing.index_offset % SECTOR:
            report(ImageError("", "the index does not begin a sector, where docteur looks for it"))
        rest = self._framing.index_offset + index.end
        ends = range(rest, self.size, _CHUNK)
        if any(any(self.read_at(at, min(_CHUNK, self.size - at))) for at in ends):
            report(ImageError("", "there is something after the index"))

    def _verify_oneffs(self, pack_size: int, report: Report) -> None:
        size, crc = container.oneffs_facts(self._head)
        actual = 0
        for data in self._chunks(0, min(size, self._pack_size)):
            actual = crc32(data, actual)
        if size != pack_size or actual != crc:
            report(ImageError("", "the OneFFS' size or CRC-32 is not that of its pack"))

    def _chunks(self, start: int, end: int) -> Iterator[bytes]:
        """The pack's bytes `start` to `end`."""
        for at in range(start, end, _CHUNK):
            yield self._pack_bytes(at, min(_CHUNK, end - at))


def _endless(path: str) -> ImageError:
    return ImageError(f"{printable(path[:64])}…: its trees have no end; damaged")


def _no_blob(path: str) -> ImageError:
    return ImageError(f"{printable(path)}: its content is an object of another type; damaged")


class _BlobReader(PositionalReader):
    """A blob as a file. Going back in it begins again, unless it is a delta and in memory."""

    def __init__(self, store: PackStore, offset: int, entry: ImageEntry) -> None:
        super().__init__(entry.size)
        self._store = store
        self._header = store.header(offset)
        kind, self._data = store.resolved(self._header)
        if kind != BLOB:
            raise _no_blob(entry.path)
        self._pieces: Iterator[bytes] = iter(())
        self._piece = b""
        self._start = entry.size  # where the piece begins; as if all had gone by

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        if self._data is not None:
            view[:] = self._data[position : position + len(view)]
            return len(view)
        if position < self._start:
            self._pieces, self._piece, self._start = self._store.inflated(self._header), b"", 0
        while position >= self._start + len(self._piece):
            self._start += len(self._piece)
            self._piece = next(self._pieces)
        data = self._piece[position - self._start :][: len(view)]
        view[: len(data)] = data
        return len(data)
