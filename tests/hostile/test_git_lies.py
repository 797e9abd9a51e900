"""Git images that say what is not so: of objects, indexes, commits, trees, deltas, containers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hostile.git_images import (
    BLOB,
    COMMIT,
    CONTAINERS,
    DIRECTORY,
    EMPTY_TREE,
    FILE,
    LINK,
    OFS_DELTA,
    REF_DELTA,
    TEXT,
    Pack,
    below,
    bundle,
    commit_data,
    delta,
    docteur,
    header,
    in_docteur,
    index,
    insert,
    of,
    oneffs,
    packed,
    padded,
    rewritten,
    sound,
)
from hostile.ordeal import undergo

Capture = pytest.CaptureFixture[str]

PACK, HEAD = sound()
FIRST = sorted(PACK.places)[0]


def moved(oid: bytes, place: tuple[int, int]) -> bytes:
    """The sound image with an index that says that an object is elsewhere."""
    return docteur(HEAD, PACK.data(), index({**PACK.places, oid: place}, PACK.data()[-20:]))


def of_commit(data: bytes) -> bytes:
    pack = Pack()
    pack.tree()
    return in_docteur(pack, pack.add(COMMIT, data))


def of_packed(stream: bytes, wrap: Callable[[Pack, bytes], bytes] = in_docteur) -> bytes:
    """An image with a file whose object is these bytes."""
    pack = Pack()
    odd = pack.add_packed(stream, b"\x42" * 20)
    return wrap(pack, pack.commit(pack.tree((FILE, b"odd", odd))))


WHO = b"A <a@b> 1 +0000"

LIES: dict[str, tuple[bytes, str]] = {
    "more objects than there are": (
        bundle(HEAD, PACK.data(PACK.count + 1)),
        "is outside of it",
    ),
    "fewer objects than there are": (
        bundle(HEAD, PACK.data(PACK.count - 1)),
        "the pack's checksum is wrong",
    ),
    "no object": (padded(PACK.data(0)), "its pack holds no commit"),
    "objects without number": (padded(PACK.data(0xFFFFFFFF)), "too short for the 4,294,967,295"),
    "an object that says it is longer": (
        of_packed(packed(BLOB, b"short", size=6)),
        "is shorter than it says",
    ),
    "an object that says it is shorter": (
        of_packed(packed(BLOB, b"longer", size=5)),
        "is longer than it says",
    ),
    "an object of gigantic size": (
        of_packed(packed(BLOB, b"short", size=1 << 66)),
        "is shorter than it says",
    ),
    "a size without end": (of_packed(b"\xbf" + b"\xff" * 80), "has no size"),
    "an object of no type": (
        of_packed(packed(0, b"x")),
        "the object at byte 12 of the pack is not an object",
    ),
    "an object of type 5": (of_packed(packed(5, b"x")), "of the pack is not an object"),
    "an invalid stream": (of_packed(header(BLOB, 9) + b"nonsense!"), "is damaged (Error -3"),
    "a stream with a wrong checksum": (
        of_packed(packed(BLOB, b"content")[:-1] + b"\0"),
        "is damaged (Error -3",
    ),
    "an index that says the commit is a tree": (
        moved(HEAD, PACK.places[[*PACK.places][-2]]),
        "the index does not lead to the objects",
    ),
    "an index that says a tree is a blob": (
        moved([*PACK.places][-2], PACK.places[next(iter(PACK.places))]),
        "the index does not lead to the objects",
    ),
    "an index that leads before the pack": (moved(FIRST, (0, 0)), "does not lead to the objects"),
    "an index that leads beyond the pack": (
        moved(FIRST, (0x7FFFFFFF, 0)),
        "does not lead to the objects",
    ),
    "an index that leads beyond its offsets": (
        moved(FIRST, (0x80000005, 0)),
        "its index leads beyond its offsets",
    ),
    "an index with a wrong CRC-32": (moved(FIRST, (PACK.places[FIRST][0], 1)), "CRC-32"),
    "an index that lacks an object": (
        docteur(HEAD, PACK.data(), index([*sorted(PACK.places.items())][1:], PACK.data()[-20:])),
        "does not lead to the objects",
    ),
    "an index out of order": (
        docteur(HEAD, PACK.data(), index(sorted(PACK.places.items())[::-1], PACK.data()[-20:])),
        "the index is out of order",
    ),
    "an index of another pack": (
        docteur(HEAD, PACK.data(), index(PACK.places, bytes(20))),
        "one of its checksums is wrong",
    ),
    "an index with a fan-out that goes down": (
        docteur(HEAD, PACK.data(), index(PACK.places, bytes(20), fanout=[9, *range(255)])),
        "its fan-out does not go up",
    ),
    "an index of more objects than there is room for": (
        docteur(HEAD, PACK.data(), index(PACK.places, bytes(20), fanout=[0xFFFFFFFF] * 256)),
        "its index is cut short",
    ),
    "an index beyond the image": (
        docteur(HEAD, PACK.data(), PACK.index(), 1 << 40),
        "its index is to begin where the image does not go",
    ),
    "an index at the last of all bytes": (
        docteur(HEAD, PACK.data(), PACK.index(), (1 << 64) - 1),
        "its index is to begin where the image does not go",
    ),
    "an index at the very end": (
        docteur(HEAD, PACK.data(), PACK.index(), 8192),
        "no index of version 2",
    ),
    "an index in the pack": (docteur(HEAD, PACK.data(), PACK.index(), 100), "no index"),
    "an index in the header": (
        docteur(HEAD, PACK.data(), PACK.index(), 0),
        "its index is to begin",
    ),
    "an index in the pack's header": (docteur(HEAD, PACK.data(), PACK.index(), 30), "to begin"),
    "an index in the midst of a sector": (
        HEAD + struct.pack("<Q", 28 + len(PACK.data())) + PACK.data() + PACK.index(),
        "the index does not begin a sector",
    ),
    "no index": (docteur(HEAD, PACK.data(), bytes(4096)), "no index of version 2"),
    "something between the pack and its index": (
        rewritten(4095, b"!", in_docteur(PACK, HEAD)),
        "there is something between the pack and its index",
    ),
    "something after the index": (
        in_docteur(PACK, HEAD)[:-1] + b"!",
        "there is something after the pack's end at byte",
    ),
    "a commit that is not there": (
        docteur(bytes(20), PACK.data(), PACK.index()),
        "not in the image",
    ),
    "a commit that is a blob": (docteur(FIRST, PACK.data(), PACK.index()), "should be none"),
    "a commit without a tree": (of_commit(b"author A\n"), "its commit names no tree"),
    "a commit with a tree that is not an id": (
        of_commit(b"tree xyz\n"),
        "its commit names no tree",
    ),
    "a commit with a tree that is missing": (of_commit(commit_data(bytes(20))), "not in the image"),
    "a commit of nothing": (of_commit(b""), "its commit names no tree"),
    "a tree that is a blob": (of((DIRECTORY, b"a", TEXT)), "a: its tree cannot be read: object"),
    "a file that is a tree": (
        of((FILE, b"a", EMPTY_TREE)),
        "is not a blob",
    ),
    "a link that is a tree": (
        of((LINK, b"a", EMPTY_TREE)),
        "is not a blob",
    ),
    "a file that is missing": (
        of((FILE, b"a", bytes(20))),
        "a: its content cannot be read: object 0000",
    ),
    "a tree of nonsense": (
        below((b"rwxrwx", b"a", TEXT)),
        "dir: its tree is damaged: it holds an invalid entry",
    ),
    "a tree out of order": (
        of((FILE, b"b", TEXT), (FILE, b"a", TEXT)),
        "the entries of its tree are out of order",
    ),
    "a directory sorted as if it were a file": (
        of((DIRECTORY, b"a", EMPTY_TREE), (FILE, b"a.b", TEXT)),
        "the entries of its tree are out of order",
    ),
    "a file sorted as if it were a directory": (
        below((FILE, b"a.b", TEXT), (FILE, b"a", TEXT)),
        "dir: the entries of its tree are out of order",
    ),
    "a tree that is cut short": (
        of((FILE, b"a", TEXT[:19])),
        "its tree is damaged: it holds an invalid",
    ),
    "a delta on itself": (
        of_packed(packed(OFS_DELTA, delta(1, 1, insert(b"x")), base=b"\0")),
        "has no base",
    ),
    "a delta on what is before the pack": (
        of_packed(packed(OFS_DELTA, delta(1, 1, insert(b"x")), base=b"\x0c")),
        "has no base",
    ),
    "a delta on a base without end": (
        of_packed(packed(OFS_DELTA, delta(1, 1, insert(b"x")), base=b"\xff" * 40)),
        "has no base",
    ),
    "a delta on its own id": (
        of_packed(packed(REF_DELTA, delta(1, 1, insert(b"x")), base=b"\x42" * 20)),
        "base is not in the pack",
    ),
    "a delta on what is missing": (
        of_packed(packed(REF_DELTA, delta(1, 1, insert(b"x")), base=bytes(20))),
        "base is not in the pack",
    ),
    "a bundle with something at its end": (bundle(HEAD, PACK.data() + b"\n"), "git refuses it"),
    "a bundle of an id with a digit too many": (
        b"# v2 git bundle\n" + b"a" * 41 + b" HEAD\n\n" + PACK.data(),
        "its header is cut short or damaged",
    ),
    "a bundle on top of other commits": (
        bundle(HEAD, PACK.data(), b"-" + b"ab" * 20 + b" before"),
        "without some of the objects",
    ),
    "a bundle of SHA-256 that says SHA-1": (
        bundle(sound("sha256")[1], sound("sha256")[0].data()),
        "its header is cut short or damaged",
    ),
    "a bundle of SHA-1 that says SHA-256": (
        bundle(HEAD, PACK.data(), algorithm="sha256"),
        "its header is cut short or damaged",
    ),
    "a bundle without a pack": (bundle(HEAD, b""), "where the image does not go"),
    "a pack of version 3": (
        rewritten(35, b"\3", in_docteur(PACK, HEAD)),
        "not a tar archive, a FAT file system, a pack of git objects, an EROFS",
    ),
    "a OneFFS that holds nothing": (
        oneffs(PACK.data())[:512] + bytes(4096),
        "no pack of version 2",
    ),
    "a OneFFS with another pack": (
        oneffs(b"other")[:512] + oneffs(PACK.data())[512:],
        "the OneFFS' size or CRC-32 is not that of its pack",
    ),
    "a pack's wrong checksum": (
        padded(rewritten(PACK.size, bytes(20), PACK.data())),
        "the pack's checksum is wrong",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_found_and_named(name: str, tmp_path: Path, capsys: Capture) -> None:
    data, expected = LIES[name]
    verdict = undergo(data, tmp_path, capsys, gain=100)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert len(verdict.problems) == len(set(verdict.problems)), "each thing is said once"
    assert verdict.codes["verify"] == 6


DELTAS: dict[str, bytes] = {
    "for another base": delta(5, 1, insert(b"x")),
    "of another size": delta(4, 2, insert(b"x")),
    "of nothing": b"",
    "of a size without end": b"\xff" * 30,
    "of half a size": b"\x04\xff",
    "with an invalid command": delta(4, 1, b"\0", insert(b"x")),
    "that copies too much": delta(4, 5, b"\x90\x05"),
    "that copies from beyond": delta(4, 2, b"\x91\x03\x02"),
    "that copies all by default": delta(4, 0x10000, b"\x80"),
    "cut short in a copy": delta(4, 2, b"\xff\x01"),
    "cut short in an insert": delta(4, 9, b"\x09abc"),
    "that comes to too much": delta(4, 1 << 40, b"\x90\x04"),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", DELTAS)
def test_unsound_deltas_are_named(
    name: str, container: str, tmp_path: Path, capsys: Capture
) -> None:
    pack = Pack()
    base = pack.blob(b"base")
    odd = pack.add_delta(DELTAS[name], b"odd", pack.places[base][0])
    commit = pack.commit(pack.tree((FILE, b"x", odd)))
    verdict = undergo(CONTAINERS[container](pack, commit), tmp_path, capsys)
    told, *others = verdict.problems
    assert "a delta " in told
    assert all(other.startswith("x: its content ") for other in others), others
    assert verdict.codes["cat"] == verdict.codes["extract"] == 6
