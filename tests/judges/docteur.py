"""A docteur image, held against docteur's layout (docteur 0.0.7), and as docteur reads it.

`check` asserts every byte of the layout: header, pack, zeros, index, zeros, end. `Light` and `Fast`
model docteur's two readers: what they list, what they cannot, and where a unikernel would end.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from . import git_pack
from .git_pack import Pack
from .image import Image, Source
from .mirage_kv import (
    BlockError,
    Crash,
    Device,
    DictionaryExpected,
    Kind,
    KvError,
    NotFound,
    ValueExpected,
    segments,
)

HEADER = 28
"""The commit's id (20 bytes) and the offset of the index (8), little-endian; then the pack."""

SECTORS = (512, 4096)
_LISTED: dict[bytes, Kind] = {b"40000": "dictionary", b"100644": "value", b"100664": "value"}


@dataclass(frozen=True)
class Checked:
    """What a sound image holds."""

    commit: bytes
    index_offset: int
    pack: Pack
    files: dict[bytes, tuple[bytes, bytes]]


def check(source: Source, *, deltas: bool = False) -> Checked:
    """Assert that the image is sound, with nothing in it that the commit does not lead to."""
    with Image(source) as image:
        data = image.read(0, image.size)
    commit, index_offset = data[:20], int.from_bytes(data[20:HEADER], "little")
    for sector in SECTORS:
        assert index_offset % sector == 0, f"the index is at {index_offset}, not at a sector"
        assert len(data) % sector == 0, f"the image is {len(data)} bytes long"
    assert HEADER < index_offset < len(data), f"the index is at {index_offset}"
    pack = git_pack.read_pack(data[HEADER:index_offset])
    has_deltas = any(found.base is not None for found in pack.objects.values())
    assert deltas or not has_deltas, "there are deltas"
    pack_end = HEADER + pack.size
    assert not any(data[pack_end:index_offset]), "the padding of the pack is not zero"
    assert index_offset - pack_end <= max(SECTORS), "there are needless sectors before the index"
    index = data[index_offset:]
    index_end = _check_index(index, pack)
    assert not any(index[index_end:]), "the padding of the index is not zero"
    assert len(index) - index_end <= max(SECTORS), "there is more after the index"
    files, seen = git_pack.reached(pack, commit)
    assert seen == pack.objects.keys(), "there are objects that the commit does not lead to"
    return Checked(commit, index_offset, pack, files)


def _check_index(index: bytes, pack: Pack) -> int:
    """Assert that the index is that of the pack, to the last bit; its length."""
    count = len(pack.objects)
    oids = sorted(pack.objects)
    assert index[:8] == b"\xfftOc\0\0\0\2", "no index of version 2"
    for byte in range(256):
        stated = int.from_bytes(index[8 + 4 * byte : 12 + 4 * byte], "big")
        assert stated == sum(oid[0] <= byte for oid in oids), f"the fan-out of {byte:#x}"
    at = 8 + 1024
    stated_oids = [index[at + 20 * n : at + 20 * n + 20] for n in range(count)]
    assert stated_oids == sorted(set(stated_oids)), "the ids are not in order"
    assert stated_oids == oids, "the ids are not those of the pack"
    at += 20 * count
    for number, oid in enumerate(oids):
        crc = int.from_bytes(index[at + 4 * number : at + 4 * number + 4], "big")
        assert crc == pack.objects[oid].crc, f"the CRC-32 of {oid.hex()}"
    at += 4 * count
    for number, oid in enumerate(oids):
        offset = int.from_bytes(index[at + 4 * number : at + 4 * number + 4], "big")
        assert offset == pack.objects[oid].offset, f"the offset of {oid.hex()}"
    at += 4 * count
    assert index[at : at + 20] == pack.checksum, "the index is for another pack"
    checksum = index[at + 20 : at + 40]
    assert checksum == hashlib.sha1(index[: at + 20]).digest(), "the index's checksum"
    return at + 40


class Light:
    """The store of a docteur image, in the mode that walks on demand."""

    def __init__(self, source: Source, sector_size: int = 512) -> None:
        device = Device(source, sector_size)
        with Image(source) as image:
            size = image.size
        head = device.read(0, sector_size)
        self.commit = head[:20]
        index_offset = int.from_bytes(head[20:HEADER], "little")
        if index_offset % sector_size:
            raise Crash(f"the index at {index_offset} does not begin a sector")
        try:
            index = device.read(index_offset // sector_size, size - index_offset)
            data = device.read(0, index_offset)
        except BlockError as error:
            raise Crash(f"the index cannot be read: {error}") from None
        self.loaded = len(index)
        """Bytes that are in memory from the start: all from the index to the device's end."""
        self._pack = data[HEADER:]
        self._offsets = _offsets(index)
        self._root = self._tree_of_commit()

    def exists(self, key: str | bytes) -> Kind | None:
        """What is under `key`, if anything is."""
        try:
            return self._find(key)[0]
        except NotFound:
            return None

    def list(self, key: str | bytes = "") -> dict[bytes, Kind]:
        """The names in the dictionary `key`: plain files and directories, and nothing else."""
        kind, oid = self._find(key)
        if kind != "dictionary":
            raise DictionaryExpected(key)
        return {name: kind for name, (kind, _) in self._tree(oid).items()}

    def get(self, key: str | bytes) -> bytes:
        """The whole value of `key`."""
        kind, oid = self._find(key)
        if kind != "value":
            raise ValueExpected(key)
        return self._object(oid)[1]

    def walk(self) -> dict[bytes, Kind]:
        """Every key of the store that lists lead to."""
        found: dict[bytes, Kind] = {}
        pending = [b""]
        for above in pending:  # grows meanwhile
            for name, kind in Light.list(self, above).items():
                found[above + name] = kind
                if kind == "dictionary":
                    pending.append(above + name + b"/")
        return found

    def _find(self, key: str | bytes) -> tuple[Kind, bytes]:
        kind: Kind = "dictionary"
        oid = self._root
        for segment in segments(key):
            if kind != "dictionary":
                raise DictionaryExpected(key)
            listed = self._tree(oid)
            if segment not in listed:
                raise NotFound(key)
            kind, oid = listed[segment]
        return kind, oid

    def _tree_of_commit(self) -> bytes:
        kind, data = self._object(self.commit)
        if kind != b"commit":
            raise Crash(f"the header leads to a {kind!r}")
        return bytes.fromhex(data[len("tree ") :].partition(b"\n")[0].decode())

    def _tree(self, oid: bytes) -> dict[bytes, tuple[Kind, bytes]]:
        kind, data = self._object(oid)
        if kind != b"tree":
            raise KvError(f"a {kind!r} where a tree should be")
        found: dict[bytes, tuple[Kind, bytes]] = {}
        for entry in git_pack.tree_entries(data):
            listed = _LISTED.get(entry.mode)
            if listed is not None:
                found[entry.name] = listed, entry.oid
        return found

    def _object(self, oid: bytes) -> tuple[bytes, bytes]:
        """An object by its id: where the index says, whatever is there."""
        if oid not in self._offsets:
            raise Crash(f"{oid.hex()} is not in the index")
        return git_pack.object_at(self._pack, self._offsets[oid], self._offsets)


class Fast(Light):
    """The mode that walks the whole tree at boot; it has no entry for the root."""

    def __init__(self, source: Source, sector_size: int = 512) -> None:
        super().__init__(source, sector_size)
        self._known = self.walk()

    def exists(self, key: str | bytes) -> Kind | None:
        """What is under `key`, if anything is."""
        return self._known.get(b"/".join(segments(key)))

    def list(self, key: str | bytes = "") -> dict[bytes, Kind]:
        """The names in the dictionary `key`, which is not the root."""
        if not segments(key):
            raise NotFound(key)
        return super().list(key)


def _offsets(index: bytes) -> dict[bytes, int]:
    """Where objects are by their ids, as the index says."""
    if index[:8] != b"\xfftOc\0\0\0\2":
        raise Crash("there is no index of version 2")
    count = int.from_bytes(index[1028:1032], "big")
    if len(index) < 1032 + 28 * count + 40:
        raise Crash("the index is cut short")
    at = 1032 + 24 * count
    return {
        index[1032 + 20 * n : 1052 + 20 * n]: int.from_bytes(
            index[at + 4 * n : at + 4 * n + 4], "big"
        )
        for n in range(count)
    }
