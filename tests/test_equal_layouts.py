"""Two layouts are equal only if their bytes must be, wherever the bytes come from."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from repositories import GitRepository

Planned = Callable[[blockpack.Tree], blockpack.Layout]

VOLUMES: list[blockpack.Volume] = [
    blockpack.TarVolume(),
    blockpack.FatVolume(),
    blockpack.GitVolume(),
    blockpack.ErofsVolume(),
]


def require_equal(one: blockpack.Layout, other: blockpack.Layout) -> None:
    """What git holds is assembled anew for each plan, in a place of its own."""
    assert one == other or one.format == "git"


LARGE = [b"one" * 30_000, b"two" * 30_000]
"""Contents of one size that are large enough to be told apart by more than literal bytes."""


@pytest.fixture(params=VOLUMES, ids=lambda volume: volume.format)
def plan(request: pytest.FixtureRequest) -> Planned:
    volume: blockpack.Volume = request.param
    return volume.plan


def of(content: object, **facts: int) -> blockpack.Tree:
    tree = blockpack.Tree()
    tree.add("a", content, **facts)  # type: ignore[arg-type]
    return tree


def test_commits_whose_file_differs_at_equal_size(plan: Planned, tmp_path: Path) -> None:
    repository = GitRepository.init(tmp_path / "r")
    layouts = []
    for content in LARGE:
        source = f"git:{repository.path}@{repository.commit({'a': content})}"
        layouts.append(plan(blockpack.scan(source)))
        require_equal(layouts[-1], plan(blockpack.scan(source)))
    assert layouts[0] != layouts[1]


def test_a_file_that_was_changed_at_equal_size(plan: Planned, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(LARGE[0])
    before = plan(blockpack.scan(tmp_path))
    require_equal(before, plan(blockpack.scan(tmp_path)))
    (tmp_path / "a").write_bytes(LARGE[1])
    os.utime(tmp_path / "a", ns=(1, 12_345))
    assert before != plan(blockpack.scan(tmp_path))


@pytest.mark.parametrize("by", ["path", "directory"])
def test_two_files_of_one_size_and_time(plan: Planned, tmp_path: Path, by: str) -> None:
    layouts = []
    for name, content in zip("xy", LARGE, strict=True):
        path = tmp_path / name / "a"
        path.parent.mkdir()
        path.write_bytes(content)
        os.utime(path, ns=(0, 0))
        tree = of(path) if by == "path" else blockpack.scan(path.parent)
        layouts.append(plan(tree))
    assert layouts[0] != layouts[1]


def test_what_callables_and_file_objects_open_is_not_known_to_be_the_same(plan: Planned) -> None:
    callables = [plan(of(lambda: io.BytesIO(b"one"), size=3)) for _ in range(2)]
    objects = [plan(of(io.BytesIO(content))) for content in (b"one", b"two")]
    assert callables[0] == callables[0] and objects[0] == objects[0]
    if callables[0].format != "git":  # whose objects are named by what was read
        assert callables[0] != callables[1]
    assert objects[0] != objects[1]


def test_bytes_are_compared(plan: Planned) -> None:
    require_equal(plan(of(b"one")), plan(of(bytearray(b"one"))))
    assert plan(of(b"one")) != plan(of(b"two"))


def test_entries_that_name_other_bytes_under_the_same_paths(plan: Planned, tmp_path: Path) -> None:
    for name, content in zip("ab", LARGE, strict=True):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(0, 0))
    tree = blockpack.scan(tmp_path)
    swapped = blockpack.Tree()
    swapped.add("a", tmp_path / "b")
    swapped.add("b", tmp_path / "a")
    assert plan(tree) != plan(swapped)


def test_archives_whose_member_differs_at_equal_size(plan: Planned, tmp_path: Path) -> None:
    layouts = []
    for number, content in enumerate(LARGE):
        path = tmp_path / f"{number}.tar"
        blockpack.write(blockpack.TarVolume().plan(of(content)), path)
        os.utime(path, ns=(0, 0))
        layouts.append(plan(blockpack.scan(path)))
    assert layouts[0] != layouts[1]
    require_equal(layouts[0], plan(blockpack.scan(tmp_path / "0.tar")))


def test_encrypted_layouts_have_nonces_of_their_own() -> None:
    plain = blockpack.TarVolume().plan(of(b"one"))
    layouts = [blockpack.encrypt(plain, bytes(32)) for _ in range(2)]
    assert layouts[0] == layouts[0]
    assert layouts[0] != layouts[1]
    assert layouts[0] != plain
