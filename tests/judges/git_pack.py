"""A git pack, held against gitformat-pack(5) to the last byte.

`read_pack` finds all objects of a pack, version 2, from its beginning to its end, resolves deltas
by itself, and computes the ids. `tree_entries`, `commit_fields` and `files` hold what is in them
against what git makes of it: order, modes, names, lines.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import NamedTuple

KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}
OFS_DELTA, REF_DELTA = 6, 7
OID_SIZES = {"sha1": 20, "sha256": 32}
MODES = (b"40000", b"100644", b"100664", b"100755", b"120000")

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0", re.S)
_COMMIT = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40}|[0-9a-f]{64})\n"
    rb"author (?P<author>[^<>\n\0]+ <[^<>\n\0]+>) (?P<authored>0|[1-9][0-9]*) \+0000\n"
    rb"committer (?P<committer>[^<>\n\0]+ <[^<>\n\0]+>) (?P<committed>0|[1-9][0-9]*) \+0000\n"
    rb"\n(?P<message>[^\0]*\n)"
)


@dataclass(frozen=True)
class Object:
    """An object as it was found at bytes `offset` to `end` of the pack, whose CRC-32 is `crc`.

    `base` is a delta's: an offset or an id.
    """

    kind: bytes
    data: bytes
    offset: int
    end: int
    crc: int
    base: int | bytes | None = None


class Pack(NamedTuple):
    """Objects by their ids in the pack's order; its size with the checksum, and that."""

    objects: dict[bytes, Object]
    size: int
    checksum: bytes


class Entry(NamedTuple):
    """An entry of a tree."""

    mode: bytes
    name: bytes
    oid: bytes


class _Raw(NamedTuple):
    kind: int
    data: bytes
    offset: int
    end: int
    crc: int
    base: int | bytes | None


def object_id(kind: bytes, data: bytes, algorithm: str = "sha1") -> bytes:
    """The id of an object."""
    return hashlib.new(algorithm, b"%b %d\0" % (kind, len(data)) + data).digest()


def read_pack(data: bytes, algorithm: str = "sha1") -> Pack:
    """Assert that `data` begins with a sound pack, and return it; what follows is not looked at."""
    size = OID_SIZES[algorithm]
    assert data[:8] == b"PACK\0\0\0\2", f"no pack of version 2: {data[:8]!r}"
    raw: list[_Raw] = []
    at = 12
    for _ in range(int.from_bytes(data[8:12], "big")):
        raw.append(_object(data, at, size))
        at = raw[-1].end
    checksum = data[at : at + size]
    assert checksum == hashlib.new(algorithm, data[:at]).digest(), "the pack's checksum"
    return Pack(_resolved(raw, algorithm), at + size, checksum)


def _object(data: bytes, at: int, oid_size: int) -> _Raw:
    """The object at byte `at`, its delta unresolved."""
    start = at
    size = shift = 0
    while True:
        assert at < len(data), f"the pack ends in the header of the object at {start}"
        byte = data[at]
        if at == start:
            kind, size, shift = byte >> 4 & 7, byte & 15, 4
        else:
            size |= (byte & 127) << shift
            shift += 7
        at += 1
        if byte < 128:
            break
    assert at == start + 1 or data[at - 1], f"the size of the object at {start} is padded"
    base: int | bytes | None = None
    if kind == OFS_DELTA:
        back = data[at] & 127
        while data[at] >= 128:
            at += 1
            back = (back + 1 << 7) + (data[at] & 127)
        at += 1
        base = start - back
    elif kind == REF_DELTA:
        base = data[at : at + oid_size]
        at += oid_size
    else:
        assert kind in KINDS, f"the object at {start} is of type {kind}"
    stream = zlib.decompressobj()
    content = stream.decompress(data[at:])
    assert stream.eof, f"the object at {start} is cut short"
    assert len(content) == size, f"the object at {start} has {len(content)} bytes, not {size}"
    end = len(data) - len(stream.unused_data)
    return _Raw(kind, content, start, end, zlib.crc32(data[start:end]), base)


def _resolved(raw: list[_Raw], algorithm: str) -> dict[bytes, Object]:
    """All objects by their ids; deltas only against other objects of the same pack."""
    done: dict[int, tuple[bytes, Object]] = {}
    places: dict[bytes, int] = {}
    pending = raw
    while pending:
        waiting = []
        for item in pending:
            base = places.get(item.base) if isinstance(item.base, bytes) else item.base
            if item.kind in KINDS:
                kind, content = KINDS[item.kind], item.data
            elif base in done:
                below = done[base][1]
                kind, content = below.kind, apply_delta(below.data, item.data)
            else:
                waiting.append(item)
                continue
            oid = object_id(kind, content, algorithm)
            assert oid not in places, f"{oid.hex()} is in the pack twice"
            places[oid] = item.offset
            found = Object(kind, content, item.offset, item.end, item.crc, item.base)
            done[item.offset] = oid, found
        assert len(waiting) < len(pending), "there are deltas without a base in the pack"
        pending = waiting
    return dict(done[offset] for offset in sorted(done))


def object_at(pack: bytes, offset: int, offsets: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The kind and bytes of the object at `offset`, as a reader with an index finds them."""
    raw = _object(pack, offset, 20)
    if raw.base is None:
        return KINDS[raw.kind], raw.data
    base = offsets[raw.base] if isinstance(raw.base, bytes) else raw.base
    kind, data = object_at(pack, base, offsets)
    return kind, apply_delta(data, raw.data)


def apply_delta(base: bytes, delta: bytes) -> bytes:
    """What `delta` makes of `base`."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = delta[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    assert number() == len(base), "a delta is for another base"
    size = number()
    result = b""
    while at < len(delta):
        command = delta[at]
        at += 1
        assert command, "a delta has the command 0"
        if command < 128:
            result += delta[at : at + command]
            at += command
            continue
        fields = bytearray(7)
        for bit in range(7):
            if command >> bit & 1:
                fields[bit] = delta[at]
                at += 1
        start = int.from_bytes(fields[:4], "little")
        length = int.from_bytes(fields[4:], "little") or 0x10000
        assert start + length <= len(base), "a delta copies more than there is"
        result += base[start : start + length]
    assert at == len(delta) and len(result) == size, "a delta comes to another size"
    return result


def tree_entries(data: bytes, oid_size: int = 20) -> list[Entry]:
    """Assert that a tree is sound, and return its entries."""
    entries = []
    at = 0
    while at < len(data):
        found = _ENTRY.match(data, at)
        assert found, f"there is no entry at byte {at} of a tree"
        at = found.end() + oid_size
        assert at <= len(data), "a tree is cut short"
        entries.append(Entry(found[1], found[2], data[found.end() : at]))
    keys = [e.name + b"/" if e.mode == b"40000" else e.name for e in entries]
    assert keys == sorted(keys), "a tree is not sorted"
    assert len({entry.name for entry in entries}) == len(entries), "a tree has a name twice"
    for entry in entries:
        assert entry.mode in MODES, f"{entry.name!r} has the mode {entry.mode!r}"
        assert entry.name not in (b".", b"..", b".git"), f"an entry is {entry.name!r}"
        assert b"/" not in entry.name, f"{entry.name!r} has a slash"
    return entries


def commit_fields(data: bytes) -> dict[str, bytes]:
    """Assert that a commit without parents is sound; its fields by name, `tree` in hexadecimal."""
    found = _COMMIT.fullmatch(data)
    assert found, f"no commit as git writes it: {data!r}"
    assert found["author"] == found["committer"], "author and committer differ"
    assert found["authored"] == found["committed"], "author and committer have two times"
    return found.groupdict()


def files(pack: Pack, commit: bytes) -> dict[bytes, tuple[bytes, bytes]]:
    """The mode and bytes of every file and link of `commit` by path; all that is there is sound."""
    found, _ = reached(pack, commit)
    return found


def reached(pack: Pack, commit: bytes) -> tuple[dict[bytes, tuple[bytes, bytes]], frozenset[bytes]]:
    """`files`, and the ids of all objects on the way to them."""
    seen = {commit}
    root = bytes.fromhex(commit_fields(_of_kind(pack, commit, b"commit"))["tree"].decode())
    found = {}
    pending = [(b"", root)]
    while pending:
        above, oid = pending.pop()
        seen.add(oid)
        for entry in tree_entries(_of_kind(pack, oid, b"tree"), len(commit)):
            path = above + entry.name
            if entry.mode == b"40000":
                pending.append((path + b"/", entry.oid))
            else:
                seen.add(entry.oid)
                found[path] = entry.mode, _of_kind(pack, entry.oid, b"blob")
    return found, frozenset(seen)


def _of_kind(pack: Pack, oid: bytes, kind: bytes) -> bytes:
    assert oid in pack.objects, f"{oid.hex()} is not in the pack"
    found = pack.objects[oid]
    assert found.kind == kind, f"{oid.hex()} is a {found.kind!r}, not a {kind!r}"
    return found.data
