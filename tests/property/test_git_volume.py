"""What a git volume refuses, and that its layout is what was planned."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import GitVolume, Tree
from repositories import GitRepository


@pytest.fixture(name="bare")
def fixture_bare(tmp_path: Path) -> GitRepository:
    return GitRepository.init(tmp_path / "bare.git", "--bare")


def files(count: int = 3) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.add(f"d/{number}", bytes([number]) * 5000)
    return tree


def refusals(volume: GitVolume, tree: Tree) -> list[blockpack.BlockpackError]:
    with pytest.raises(blockpack.Problems) as raised:
        volume.plan(tree)
    return [each for each in raised.value.exceptions if isinstance(each, blockpack.BlockpackError)]


def test_a_size_that_is_too_small_is_a_problem_as_of_other_volumes() -> None:
    (problem,) = refusals(GitVolume(container="pack", size=512, compression=0), files())
    assert isinstance(problem, blockpack.EntryError)
    assert problem.option.startswith("size=")
    size = int(problem.option.removeprefix("size="))
    assert GitVolume(container="pack", size=size, compression=0).plan(files()).size == size


def test_all_that_is_wrong_is_told_at_once() -> None:
    tree = files()
    tree.add("a" * 4097, b"")
    tree.add(".git/config", b"")
    tree.symlink("far", "x" * 4097)
    found = refusals(GitVolume(container="bundle", history=True), tree)
    assert {problem.path[:9] for problem in found} == {"a" * 9, ".git", "far", ""}
    assert any("there is no history" in str(problem.rule) for problem in found)


@given(st.integers(4094, 4099), st.sampled_from(["a", "é", "a" * 200 + "/"]))
def test_a_path_is_refused_from_where_it_would_not_be_read(length: int, part: str) -> None:
    path = (part * length).encode()[:length].decode(errors="ignore").strip("/")
    tree = Tree()
    tree.add(path, b"content")
    volume = GitVolume(container="pack")
    if len(path.encode()) > 4096:
        problem = refusals(volume, tree)[-1]
        assert problem.path == path
        assert "4,096 bytes" in str(problem.rule)
        return
    with blockpack.open_image(volume.plan(tree)) as image:
        assert image.verify() == []
        assert image.read(path) == b"content"


def test_a_commit_with_parents_names_the_option_that_takes_them_along(bare: GitRepository) -> None:
    bare.commit({"a": b"1"})
    bare.commit({"a": b"2"})
    tree = blockpack.scan(f"git:{bare.path}@main")
    (problem,) = refusals(GitVolume(container="bundle"), tree)
    assert problem.option == "history"
    assert "history=True" in str(problem)
    assert GitVolume(container="bundle", history=True).plan(tree)


@pytest.mark.parametrize("container", ["pack", "bundle"])
def test_what_no_unikernel_reads_is_refused_by_its_profile(
    container: Literal["pack", "bundle"],
) -> None:
    with pytest.raises(blockpack.UsageError, match="sha256") as raised:
        GitVolume(profile="mirage", container=container, object_format="sha256")
    assert raised.value.option == "object_format=sha1"


@pytest.mark.parametrize("profile", ["any", "mirage"])
def test_an_encrypted_image_for_docteur_is_refused(profile: str) -> None:
    pytest.importorskip("cryptography")
    with pytest.raises(blockpack.UsageError, match="docteur opens its device") as raised:
        blockpack.encrypt(GitVolume(profile=profile).plan(files()), bytes(32))
    assert raised.value.option == "container=pack"
    assert blockpack.encrypt(GitVolume(profile=profile, container="pack").plan(files()), bytes(32))


def changed_altogether(tree: Tree) -> None:
    tree.remove("d")
    tree.add("d/0", b"another")


def renamed(tree: Tree) -> None:
    tree.remove("d/1")
    tree.add("d/8", b"more")


@pytest.mark.parametrize("change", [changed_altogether, renamed])
@pytest.mark.parametrize("of_commit", [False, True])
def test_a_layout_stays_what_it_was_whatever_becomes_of_the_tree(
    change: Callable[[Tree], None], of_commit: bool, bare: GitRepository
) -> None:
    tree = files()
    if of_commit:
        bare.commit({f"d/{number}": bytes([number]) * 5000 for number in range(3)})
        tree = blockpack.scan(f"git:{bare.path}@main")
    layout = GitVolume().plan(tree)
    with layout.open() as file:
        before = file.read()
    geometry, shown = dict(layout.geometry), [each.entry for each in layout.placements()]
    change(tree)
    assert (dict(layout.geometry), [each.entry for each in layout.placements()]) == (
        geometry,
        shown,
    )
    with layout.open() as file:
        assert file.read() == before
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "image")
        blockpack.write(layout, target)
        assert target.read_bytes() == before
    with blockpack.open_image(io.BytesIO(before)) as image:
        assert image.verify() == []
