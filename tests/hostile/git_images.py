"""Packs of git objects, and what is around them, put together by hand: sound ones and others.

A `Pack` takes objects in order and remembers where they are, so that an index can tell the truth
about them, or something else.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable

COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA = 1, 2, 3, 4, 6, 7
KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
FILE, EXECUTABLE, LINK, DIRECTORY = b"100644", b"100755", b"120000", b"40000"
SECTOR = 4096

Entry = tuple[bytes, bytes, bytes]
"""An entry of a tree: mode, name, id."""

Place = tuple[int, int]
"""Where an object is in its pack, and the CRC-32 of its bytes there."""


def object_id(kind: int, data: bytes, algorithm: str = "sha1") -> bytes:
    """The id of an object."""
    return hashlib.new(algorithm, b"%b %d\0" % (KINDS[kind], len(data)) + data).digest()


def header(kind: int, size: int) -> bytes:
    """What stands before an object's stream."""
    packed = [kind << 4 | size & 15]
    size >>= 4
    while size:
        packed[-1] |= 128
        packed.append(size & 127)
        size >>= 7
    return bytes(packed)


def packed(kind: int, data: bytes, *, size: int | None = None, base: bytes = b"") -> bytes:
    """An object as it is packed; `base` is what a delta says of its base."""
    return header(kind, len(data) if size is None else size) + base + zlib.compress(data, 9)


def back(distance: int) -> bytes:
    """The base of an OFS_DELTA."""
    encoded = [distance & 127]
    while distance >> 7:
        distance = (distance >> 7) - 1
        encoded.append(distance & 127 | 128)
    return bytes(reversed(encoded))


def number(value: int) -> bytes:
    """A size in a delta."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes((*encoded, value))


def copy(start: int, length: int) -> bytes:
    """A delta's command: bytes of the base."""
    return b"\xff" + struct.pack("<I", start) + length.to_bytes(3, "little")


def insert(data: bytes) -> bytes:
    """A delta's command: bytes of its own."""
    return bytes([len(data)]) + data


def delta(base_size: int, size: int, *commands: bytes) -> bytes:
    """A delta."""
    return number(base_size) + number(size) + b"".join(commands)


def commit_data(tree: bytes, who: bytes = b"A <a@b> 1700000000 +0000", *parents: bytes) -> bytes:
    """A commit's bytes."""
    after = b"".join(b"parent %b\n" % parent.hex().encode() for parent in parents)
    return b"tree %b\n%bauthor %b\ncommitter %b\n\nm\n" % (tree.hex().encode(), after, who, who)


def tree_data(entries: Iterable[Entry]) -> bytes:
    """A tree's bytes, its entries in the order that they are given."""
    return b"".join(b"%b %b\0%b" % entry for entry in entries)


class Pack:
    """A pack in the making."""

    def __init__(self, algorithm: str = "sha1") -> None:
        self.algorithm = algorithm
        self.places: dict[bytes, Place] = {}
        self.count = 0
        self._parts = [bytes(12)]
        self.size = 12

    def add_packed(self, data: bytes, oid: bytes) -> bytes:
        """Add bytes of an object, which the index knows as `oid`; that."""
        self.places[oid] = self.size, zlib.crc32(data)
        self._parts.append(data)
        self.size += len(data)
        self.count += 1
        return oid

    def add(self, kind: int, data: bytes, *, size: int | None = None) -> bytes:
        """Add an object; its id."""
        return self.add_packed(packed(kind, data, size=size), object_id(kind, data, self.algorithm))

    def add_delta(self, data: bytes, result: bytes, base: bytes | int, kind: int = BLOB) -> bytes:
        """Add a delta that comes to `result`, on a base by its id (REF) or its offset (OFS)."""
        if isinstance(base, int):
            stream = packed(OFS_DELTA, data, base=back(self.size - base))
        else:
            stream = packed(REF_DELTA, data, base=base)
        return self.add_packed(stream, object_id(kind, result, self.algorithm))

    def blob(self, data: bytes) -> bytes:
        """Add a blob; its id."""
        return self.add(BLOB, data)

    def tree(self, *entries: Entry) -> bytes:
        """Add a tree; its id."""
        return self.add(TREE, tree_data(entries))

    def commit(self, tree: bytes) -> bytes:
        """Add a commit; its id."""
        return self.add(COMMIT, commit_data(tree))

    def data(self, count: int | None = None) -> bytes:
        """The pack, which says that it has `count` objects."""
        head = struct.pack(">4sII", b"PACK", 2, self.count if count is None else count)
        data = head + b"".join(self._parts[1:])
        return data + hashlib.new(self.algorithm, data).digest()

    def index(self) -> bytes:
        """Its index."""
        return index(self.places, self.data()[-20:])


def index(
    places: dict[bytes, Place] | list[tuple[bytes, Place]],
    pack_checksum: bytes,
    *,
    fanout: list[int] | None = None,
    large: bytes = b"",
) -> bytes:
    """An index of ids and their places; those of a list are as they are given."""
    items = sorted(places.items()) if isinstance(places, dict) else places
    if fanout is None:
        fanout = [sum(oid[0] <= byte for oid, _ in items) for byte in range(256)]
    data = (
        b"\xfftOc\0\0\0\2"
        + struct.pack(">256I", *fanout)
        + b"".join(oid for oid, _ in items)
        + b"".join(struct.pack(">I", crc) for _, (_, crc) in items)
        + b"".join(struct.pack(">I", offset) for _, (offset, _) in items)
        + large
        + pack_checksum
    )
    return data + hashlib.sha1(data).digest()


def padded(data: bytes, sector: int = SECTOR) -> bytes:
    """`data` with zeros up to a whole sector."""
    return data + bytes(-len(data) % sector)


def docteur(commit: bytes, pack: bytes, index: bytes, index_offset: int | None = None) -> bytes:
    """A docteur image; it says that its index is at `index_offset`."""
    before = padded(bytes(28) + pack)
    stated = len(before) if index_offset is None else index_offset
    return commit + struct.pack("<Q", stated) + before[28:] + padded(index)


def bundle(commit: bytes, pack: bytes, *lines: bytes, algorithm: str = "sha1") -> bytes:
    """A bundle, with more `lines` in its header."""
    head = [b"# v2 git bundle"]
    if algorithm != "sha1":
        head = [b"# v3 git bundle", b"@object-format=" + algorithm.encode()]
    head += [*lines, commit.hex().encode() + b" refs/heads/main", commit.hex().encode() + b" HEAD"]
    return b"\n".join(head) + b"\n\n" + pack


def oneffs(pack: bytes, sector: int = 512) -> bytes:
    """A pack in a OneFFS."""
    head = b"\x1f\x1f" + struct.pack(">QI", len(pack), zlib.crc32(pack))
    head += struct.pack(">I", zlib.crc32(head))
    return padded(padded(head, sector) + pack)


def in_docteur(pack: Pack, commit: bytes) -> bytes:
    """A pack and its index in a docteur image."""
    return docteur(commit, pack.data(), pack.index())


CONTAINERS: dict[str, Callable[[Pack, bytes], bytes]] = {
    "docteur": in_docteur,
    "bundle": lambda pack, commit: bundle(commit, pack.data(), algorithm=pack.algorithm),
    "pack": lambda pack, commit: padded(pack.data()),
    "oneffs": lambda pack, commit: oneffs(pack.data()),
}
"""Each way to wrap a pack and its commit."""


def rewritten(at: int, content: bytes, data: bytes) -> bytes:
    """`data` with other bytes at `at`."""
    return data[:at] + content + data[at + len(content) :]


def sound(algorithm: str = "sha1") -> tuple[Pack, bytes]:
    """A pack with all that the reader knows, and its commit."""
    pack = Pack(algorithm)
    base = b"line of text\n" * 60
    text = pack.blob(base)
    first = base[:300] + b"changed"
    near = pack.add_delta(
        delta(len(base), len(first), copy(0, 300), insert(b"changed")), first, pack.places[text][0]
    )
    second = first + b"again"
    far = pack.add_delta(
        delta(len(first), len(second), copy(0, len(first)), insert(b"again")), second, near
    )
    target = pack.blob(b"dir/text")
    empty = pack.blob(b"")
    inner = pack.tree((FILE, b"near", near), (FILE, b"text", text))
    root = pack.tree(
        (DIRECTORY, b"dir", inner),
        (FILE, b"empty", empty),
        (EXECUTABLE, b"far", far),
        (LINK, b"link", target),
    )
    return pack, pack.commit(root)


TEXT = object_id(BLOB, b"x")
EMPTY_TREE = object_id(TREE, b"")


def of(*entries: Entry, wrap: Callable[[Pack, bytes], bytes] = in_docteur) -> bytes:
    """An image whose root tree has these entries; there are a file and an empty directory."""
    pack = Pack()
    pack.blob(b"x")
    pack.tree()
    return wrap(pack, pack.commit(pack.tree(*entries)))


def below(*entries: Entry) -> bytes:
    """The same in a directory ``dir``."""
    pack = Pack()
    pack.blob(b"x")
    return in_docteur(pack, pack.commit(pack.tree((DIRECTORY, b"dir", pack.tree(*entries)))))
