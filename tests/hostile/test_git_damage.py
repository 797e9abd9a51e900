"""Git images that are damaged: what can be read is read, and the rest is told."""

from __future__ import annotations

import random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from hostile.git_images import DIRECTORY, FILE, LINK, TREE, Pack, in_docteur, rewritten


def read(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    """The files that can be read by path, and what is wrong."""
    problems: list[blockpack.ImageError] = []
    with blockpack.open_image(data, report=problems.append) as image:
        files = {
            entry.path: image.read(entry.path)
            for entry in image.walk()
            if entry.kind == "file" and not entry.damage
        }
        for entry in image.walk():
            if entry.damage:
                with pytest.raises(blockpack.ImageError):
                    image.open(entry.path)
    return files, [str(problem) for problem in problems]


def test_a_tree_that_is_missing_costs_what_is_below_it() -> None:
    pack = Pack()
    blob = pack.blob(b"x")
    sub = pack.tree((FILE, b"b", blob))
    root = pack.tree((FILE, b"a", blob), (DIRECTORY, b"gone", bytes(20)), (DIRECTORY, b"sub", sub))
    files, problems = read(in_docteur(pack, pack.commit(root)))
    assert files == {"a": b"x", "sub/b": b"x"}
    (problem,) = problems
    assert problem.startswith("gone: its tree cannot be read: object 0000")


@pytest.mark.parametrize(
    "tree", [b"nonsense", b"100644 a\0short", b"100644 a\0" + bytes(20) + b"more"]
)
def test_a_tree_that_is_damaged_costs_what_is_below_it(tree: bytes) -> None:
    pack = Pack()
    blob = pack.blob(b"x")
    root = pack.tree((FILE, b"a", blob), (DIRECTORY, b"bad", pack.add(TREE, tree)))
    files, problems = read(in_docteur(pack, pack.commit(root)))
    assert files == {"a": b"x"}
    assert problems == ["bad: its tree is damaged: it holds an invalid entry"]


def test_a_blob_that_is_missing_costs_its_file() -> None:
    pack = Pack()
    blob = pack.blob(b"x")
    root = pack.tree((FILE, b"a", blob), (FILE, b"gone", bytes(20)), (LINK, b"link", bytes(20)))
    data = in_docteur(pack, pack.commit(root))
    files, problems = read(data)
    assert files == {"a": b"x"}
    assert [problem.partition(":")[0] for problem in problems] == ["gone", "link"]
    with blockpack.open_image(data) as image:
        assert image.read("a") == b"x"
        assert "object 0000" in image["gone"].damage
        with pytest.raises(blockpack.Problems):
            list(image.walk())


def test_of_a_name_that_is_there_twice_nothing_is_read() -> None:
    """Programs choose the one or the other."""
    pack = Pack()
    first, second = pack.blob(b"1"), pack.blob(b"2")
    root = pack.tree((FILE, b"a", first), (FILE, b"a", second), (FILE, b"b", first))
    files, problems = read(in_docteur(pack, pack.commit(root)))
    assert (files, problems) == ({"b": b"1"}, ["a: is there 2 times"])


CONTENTS = {f"{number}.bin": random.Random(number).randbytes(9_000) for number in range(8)}
"""What is stored: that a byte in it changed is told by a checksum alone."""


@pytest.mark.parametrize("container", ["docteur", "bundle", "pack"])
@given(st.sampled_from(sorted(CONTENTS)), st.integers(0, 8_999), st.integers(1, 255))
def test_a_byte_that_changed_costs_one_file(
    container: Literal["docteur", "bundle", "pack"], path: str, at: int, change: int
) -> None:
    tree = blockpack.Tree()
    for name, content in CONTENTS.items():
        tree.add(name, content)
    with blockpack.GitVolume(container=container, compression=0).plan(tree).open() as file:
        data = file.read()
    place = data.index(CONTENTS[path]) + at
    damaged = rewritten(place, bytes([data[place] ^ change]), data)
    with blockpack.open_image(damaged, report=lambda _: None) as image:
        for name, content in CONTENTS.items():
            if name != path:
                assert image.read(name) == content
        with pytest.raises(blockpack.ImageError):
            image.read(path)
        told = [problem for problem in image.verify() if problem.path == path]
        assert len(told) == 1
