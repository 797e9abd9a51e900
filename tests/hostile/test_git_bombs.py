"""Small git images that come to much: they are read, or refused, in bounded time and memory."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import blockpack
from blockpack.formats.git import store, tree_reader
from hostile.git_images import (
    BLOB,
    COMMIT,
    CONTAINERS,
    DIRECTORY,
    FILE,
    REF_DELTA,
    TREE,
    Pack,
    back,
    copy,
    delta,
    docteur,
    header,
    in_docteur,
    index,
    insert,
    object_id,
    packed,
    padded,
    tree_data,
)
from hostile.ordeal import MEMORY, OF_MASSES, damage_is_told, in_memory, in_time, undergo

Capture = pytest.CaptureFixture[str]

GAIN = 5000
"""Deltas of what was deflated come to that many times the image, and no more."""

Bomb = Callable[[], tuple[Pack, bytes]]


def holding(pack: Pack, oid: bytes) -> tuple[Pack, bytes]:
    """The pack, with a commit of one file."""
    return pack, pack.commit(pack.tree((FILE, b"x", oid)))


def chain(length: int, *, by_id: bool = False) -> tuple[Pack, bytes]:
    """Deltas on top of one another."""
    pack = Pack()
    content = b"%08d" % 0
    oid = pack.blob(content)
    for number in range(1, length + 1):
        command = delta(8, 8, insert(b"%08d" % number))
        base = oid if by_id else pack.places[oid][0]
        oid = pack.add_delta(command, b"%08d" % number, base)
    return holding(pack, oid)


def doubling(times: int) -> tuple[Pack, bytes]:
    """Each delta is twice the one below it."""
    pack = Pack()
    content = b"boom"
    oid = pack.blob(content)
    size = len(content)
    for number in range(times):
        command = delta(size, 2 * size, *(copy(at, min(size - at, 0xFFFFFF)) for at in cuts(size)))
        made = packed(6, command, base=back_to(pack, oid))
        oid = pack.add_packed(made, object_id(BLOB, b"%d" % number))
        size *= 2
    return holding(pack, oid)


def cuts(size: int) -> list[int]:
    """Where copies of at most what a command can copy begin, for all of it twice."""
    return [*range(0, size, 0xFFFFFF)] * 2


def back_to(pack: Pack, oid: bytes) -> bytes:
    """The base of a delta that is to be added."""
    return back(pack.size - pack.places[oid][0])


def many_large_results(count: int) -> tuple[Pack, bytes]:
    """Deltas of a few bytes, each of which comes to 20 MB."""
    size = 20_000_000
    pack = Pack()
    base = pack.blob(bytes(size))
    first = base
    for number in range(count):
        commands = (copy(at, min(size - at, 0xFFFFFF)) for at in range(0, size, 0xFFFFFF))
        stream = packed(6, delta(size, size, *commands), base=back_to(pack, base))
        first = pack.add_packed(stream, object_id(BLOB, b"%d" % number))
    return holding(pack, first)


def many_large_deltas(count: int) -> tuple[Pack, bytes]:
    """Deltas that are large themselves, on top of one another."""
    pack = Pack()
    oid = pack.blob(b"x")
    inserts = delta(1, 1, insert(b"x")) + insert(bytes(127)) * 200_000
    stream = zlib.compress(inserts)
    for number in range(count):
        whole = header(6, len(inserts)) + back_to(pack, oid) + stream
        oid = pack.add_packed(whole, object_id(BLOB, b"%d" % number))
    return holding(pack, oid)


def circle() -> tuple[Pack, bytes]:
    """Two deltas, each on top of the other by its id."""
    pack = Pack()
    ids = [object_id(BLOB, b"a"), object_id(BLOB, b"b")]
    for own, other in (ids, ids[::-1]):
        pack.add_packed(packed(REF_DELTA, delta(1, 1, insert(b"x")), base=other), own)
    return holding(pack, ids[0])


def inflating(kind: int, size: int) -> Bomb:
    """One object that is spaces."""

    def make() -> tuple[Pack, bytes]:
        pack = Pack()
        oid = pack.add(kind, b" " * size)
        if kind == COMMIT:
            return pack, oid
        if kind == TREE:
            return pack, pack.commit(oid)
        return holding(pack, oid)

    return make


def endless_stream() -> tuple[Pack, bytes]:
    """A megabyte of stored blocks that hold nothing."""
    pack = Pack()
    blocks = b"\x78\x01" + b"\0\0\0\xff\xff" * 200_000 + b"\1\0\0\xff\xff" + b"\0\0\0\1"
    return holding(pack, pack.add_packed(header(BLOB, 0) + blocks, object_id(BLOB, b"")))


def waiting(count: int) -> tuple[Pack, bytes]:
    """Deltas that all come before their base."""
    pack = Pack()
    base = object_id(BLOB, b"base")
    oid = base
    for number in range(count):
        data = b"%08d" % number
        oid = pack.add_delta(delta(4, 8, insert(data)), data, base)
    pack.blob(b"base")
    return holding(pack, oid)


def backwards(count: int) -> tuple[Pack, bytes]:
    """A chain of deltas, each before its base."""
    pack = Pack()
    contents = [b"%08d" % number for number in range(count)]
    for above, under in pairwise(contents):
        pack.add_delta(delta(8, 8, insert(above)), above, object_id(BLOB, under))
    pack.blob(contents[-1])
    return holding(pack, object_id(BLOB, contents[0]))


READ: dict[str, Bomb] = {
    "a chain of deltas": lambda: chain(1050),
    "a chain of deltas by id": lambda: chain(1050, by_id=True),
    "deltas before their base": lambda: waiting(500),
    "a chain backwards": lambda: backwards(1050),
    "a blob of spaces": inflating(BLOB, 20 << 20),
    "a stream of nothing": endless_stream,
}
REFUSED: dict[str, tuple[Bomb, str]] = {
    "deltas that double": (lambda: doubling(26), "x: its content "),
    "many deltas that come to much": (lambda: many_large_results(50), "far more than any"),
    "many deltas that are large": (lambda: many_large_deltas(20), "come to the size that it says"),
    "a tree of spaces": (inflating(TREE, 20 << 20), "its trees have no end"),
    "a gigantic tree": (inflating(TREE, 65 << 20), "are the most that are read at once"),
    "a commit of spaces": (inflating(COMMIT, 20 << 20), "its commit names no tree"),
    "a gigantic commit": (inflating(COMMIT, 65 << 20), "are the most that are read at once"),
}


@pytest.mark.parametrize(
    ("name", "container"),
    [*((name, "pack") for name in READ), ("a chain of deltas", "docteur")],
)
def test_what_is_merely_much_is_read(
    name: str, container: str, tmp_path: Path, capsys: Capture
) -> None:
    data = CONTAINERS[container](*READ[name]())
    verdict = undergo(data, tmp_path, capsys, gain=GAIN, commands=OF_MASSES)
    assert verdict.problems == []
    assert verdict.extracted


@pytest.mark.parametrize("container", ["docteur", "pack"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused(
    name: str, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing and verifying take no longer than the limits of deltas allow; one is lower here."""
    assert store._LEAST_WORK <= 1 << 30
    monkeypatch.setattr(store, "_LEAST_WORK", 100 << 20)
    make, expected = REFUSED[name]
    data = CONTAINERS[container](*make())
    assert len(data) < 4 << 20
    with in_memory(5 * store.MOST_DELTA), blockpack.open_image(io.BytesIO(data)) as image:
        problems = [str(problem) for problem in image.verify()]
    assert any(expected in str(problem) for problem in problems), problems
    with in_time(), blockpack.open_image(io.BytesIO(data)) as image:
        for step in (lambda: [*image.walk()], lambda: image.open("x").read()):
            with damage_is_told():
                step()


@pytest.mark.parametrize("length", [4097, 8000])
def test_a_chain_of_more_deltas_than_git_makes_is_refused(length: int) -> None:
    data = in_docteur(*chain(length))
    with in_time(), in_memory(), blockpack.open_image(io.BytesIO(data)) as image:
        image.get("x")
        with pytest.raises(blockpack.ImageError, match="too many deltas"):
            image.open("x")


@pytest.mark.parametrize("container", CONTAINERS)
def test_deltas_in_a_circle_are_refused(container: str, tmp_path: Path, capsys: Capture) -> None:
    verdict = undergo(CONTAINERS[container](*circle()), tmp_path, capsys)
    assert verdict.problems[0] == "there are deltas whose base is not in the pack"
    assert all(problem.startswith("x: its content ") for problem in verdict.problems[1:])
    assert not verdict.extracted


def same_subtree(levels: int, width: int) -> tuple[Pack, bytes]:
    """Each directory holds the next one several times."""
    pack = Pack()
    oid = pack.tree((FILE, b"x", pack.blob(b"x")))
    for _ in range(levels):
        oid = pack.tree(*((DIRECTORY, b"%d" % number, oid) for number in range(width)))
    return pack, pack.commit(oid)


def naming_itself(width: int) -> bytes:
    """A tree in itself, by an index that lies."""
    pack = Pack()
    false_id = b"\x77" * 20
    entries = [(DIRECTORY, b"%05d" % number, false_id) for number in range(width)]
    root = pack.tree(*entries)
    commit = pack.commit(root)
    extra = pack.blob(b"the index lists something else")
    places = {**pack.places, false_id: pack.places[root]}
    del places[extra]
    return docteur(commit, pack.data(), index(places, pack.data()[-20:]))


def naming_each_other() -> bytes:
    """Two trees, each in the other."""
    pack = Pack()
    first, second = b"\x11" * 20, b"\x22" * 20
    pack.add_packed(packed(TREE, tree_data([(DIRECTORY, b"b", second)])), first)
    pack.add_packed(packed(TREE, tree_data([(DIRECTORY, b"a", first)])), second)
    return in_docteur(pack, pack.commit(first))


def deep_and_wide(levels: int, width: int) -> tuple[Pack, bytes]:
    """Each directory holds one more, and a great many files that come after it."""
    pack = Pack()
    blob = pack.blob(b"x")
    files = tree_data([(FILE, b"f%06d" % number, blob) for number in range(width)])
    under = pack.tree()
    oid = pack.add(TREE, tree_data([(DIRECTORY, b"d", under)]) + files)
    size = len(tree_data([(DIRECTORY, b"d", under)])) + len(files)
    data = b""
    for _ in range(levels):
        entry = tree_data([(DIRECTORY, b"d", oid)])
        data = entry + files
        skip = len(entry)
        command = delta(size, size, insert(entry), copy(skip, size - skip))
        oid = pack.add_delta(command, data, pack.places[oid][0], TREE)
    return pack, pack.commit(oid)


TREES: dict[str, Callable[[], bytes]] = {
    "ten levels of ten": lambda: in_docteur(*same_subtree(10, 10)),
    "twenty levels of two": lambda: in_docteur(*same_subtree(20, 2)),
    "three levels of a thousand": lambda: in_docteur(*same_subtree(3, 1000)),
    "ten levels of ten in a pack": lambda: padded(same_subtree(10, 10)[0].data()),
    "sixty levels of two": lambda: in_docteur(*same_subtree(60, 2)),
    "a tree in itself": lambda: naming_itself(1),
    "a wide tree in itself": lambda: naming_itself(1000),
    "two trees in each other": naming_each_other,
    "a deep and wide tree": lambda: in_docteur(*deep_and_wide(300, 3000)),
    "names that are long": lambda: in_docteur(*long_names()),
}


def long_names() -> tuple[Pack, bytes]:
    """A thousand paths of four thousand characters, a thousand times."""
    pack = Pack()
    blob = pack.blob(b"x")
    inner = pack.tree(*((FILE, b"%04d" % number + b"n" * 4000, blob) for number in range(1000)))
    return pack, pack.commit(
        pack.tree(*((DIRECTORY, b"%03d" % number, inner) for number in range(1000)))
    )


@pytest.mark.parametrize("name", TREES)
def test_trees_without_end_are_refused(
    name: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cost no more than they have bytes. What is read before that is less here."""
    monkeypatch.setattr(tree_reader, "MOST_FREE", 1024)
    verdict = undergo(TREES[name](), tmp_path, capsys, commands=OF_MASSES)
    ends = ("its trees have no end", "has a path of more than 4,096")
    assert any(end in problem for problem in verdict.problems for end in ends)
    assert not verdict.extracted


def test_what_is_read_before_trees_are_refused_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real limit in time; an eighth of it takes an eighth of the memory."""
    assert tree_reader.MOST_FREE <= 1 << 15
    data = TREES["ten levels of ten"]()
    for bounds in (in_time(), in_memory(MEMORY >> 3)):
        with bounds, blockpack.open_image(io.BytesIO(data)) as image:
            assert any("its trees have no end" in str(problem) for problem in image.verify())
        monkeypatch.setattr(tree_reader, "MOST_FREE", tree_reader.MOST_FREE >> 3)


@pytest.mark.parametrize("widths", [[100, 100], [10, 10, 10, 10]])
def test_trees_that_are_equal_are_listed_each_time(
    widths: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As real ones are: many more files in few trees than any trees may come to."""
    monkeypatch.setattr(tree_reader, "MOST_FREE", 1024)
    pack = Pack()
    oid, mode = pack.blob(b"x"), FILE
    for width in widths:
        oid, mode = pack.tree(*((mode, b"%04d" % n, oid) for n in range(width))), DIRECTORY
    data = in_docteur(pack, pack.commit(oid))
    with in_time(), blockpack.open_image(io.BytesIO(data)) as image:
        files = [entry for entry in image.walk() if entry.kind == "file"]
    assert len(files) == 10_000


def test_deep_nesting_is_no_recursion(tmp_path: Path, capsys: Capture) -> None:
    pack = Pack()
    oid = pack.tree((FILE, b"x", pack.blob(b"deep")))
    for _ in range(1100):
        oid = pack.tree((DIRECTORY, b"d", oid))
    verdict = undergo(in_docteur(pack, pack.commit(oid)), tmp_path, capsys, gain=100)
    assert verdict.problems == []
    assert verdict.extracted


@pytest.mark.parametrize("seed", range(3))
def test_a_large_and_sparse_image_costs_its_index_alone(tmp_path: Path, seed: int) -> None:
    """What a header says of an image of a TiB makes nobody read that much."""
    pack, commit = holding(Pack(), TEXT_ID) if seed else chain(3)
    path = tmp_path / "image"
    data = in_docteur(pack, commit)
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(1 << 40)
        if seed == 2:
            file.seek(20)
            file.write(struct.pack("<Q", (1 << 40) - 4096))
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        try:
            assert [entry.path for entry in image.walk()] == ["x"]
        except (blockpack.ImageError, blockpack.Problems):
            assert seed, "the image is sound, but for what follows it"


TEXT_ID = object_id(BLOB, random.Random(1).randbytes(9))
