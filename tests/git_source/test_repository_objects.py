"""New commits of what a repository has: its blobs are taken over as it has packed them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from blockpack import GitVolume, Tree
from judges import git_pack
from judges.git_pack import Object, Pack
from repositories import LINK, Files, GitRepository, git_tree

NOISE = random.Random(3).randbytes(300_000)
LINES = "\n".join(random.Random(4).randbytes(20).hex() for _ in range(500))
IN_SUB: Files = {
    **{f"{n}.txt": f"{LINES}\n{n}".encode() for n in range(20)},
    "noise": NOISE,
    "twin": NOISE,
    "link": (LINK, b"noise"),
    "target": b"noise",  # the same blob as the link's
}
BLOBS = 22


@pytest.fixture(name="repository")
def fixture_repository(tmp_path: Path) -> GitRepository:
    """What is in ``sub``, and more, packed with deltas."""
    repository = GitRepository.init(tmp_path / "repository", "--bare")
    repository.commit({"outside": b"", **{f"sub/{path}": file for path, file in IN_SUB.items()}})
    repository.git("repack", "-adfq", "--window=50")
    return repository


def packed(tree: Tree, **options: Any) -> tuple[Pack, bytes]:
    """The pack of an image, and the id of its commit."""
    layout = GitVolume(container="pack", **options).plan(tree)
    with layout.open() as image:
        pack = git_pack.read_pack(image.read(int(layout.geometry["pack_size"])))
    return pack, bytes.fromhex(str(layout.geometry["commit"]))


def contents(files: Files) -> dict[bytes, tuple[bytes, bytes]]:
    return {
        path.encode(): (b"120000", file[1]) if isinstance(file, tuple) else (b"100644", file)
        for path, file in files.items()
    }


def blobs(pack: Pack) -> list[Object]:
    return [found for found in pack.objects.values() if found.kind == b"blob"]


def deltas(pack: Pack) -> int:
    return sum(found.base is not None for found in blobs(pack))


def test_blobs_of_a_directory_are_taken_as_they_are_packed(repository: GitRepository) -> None:
    pack, commit = packed(git_tree(repository.path, "main", "sub"))
    assert git_pack.files(pack, commit) == contents(IN_SUB)
    assert len(blobs(pack)) == BLOBS
    assert deltas(pack) == 19


def test_what_one_says_about_a_commit_changes_nothing_about_its_blobs(
    repository: GitRepository,
) -> None:
    tree = git_tree(repository.path)
    kept, _ = packed(tree)
    made, commit = packed(tree, message="another")
    assert commit not in kept.objects
    assert {found.data for found in blobs(made)} == {found.data for found in blobs(kept)}
    assert deltas(made) == deltas(kept) == 19


def test_a_level_that_is_asked_for_packs_everything_anew(repository: GitRepository) -> None:
    for subdir in ("", "sub"):  # a commit that is kept, and one that is made
        pack, commit = packed(git_tree(repository.path, "main", subdir), compression=9)
        assert (commit.hex() == repository.oid("main")) == (not subdir)
        assert not deltas(pack)


def test_what_a_repository_and_a_directory_share_is_there_once(
    repository: GitRepository, tmp_path: Path
) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(NOISE)
    tree = git_tree(repository.path, "main", "sub")
    more: Files = {"more/noise": NOISE, "more/text": b"noise", "more/new": b"new"}
    tree.add("more/noise", noise)
    tree.add("more/text", b"noise")
    tree.add("more/new", b"new")
    pack, commit = packed(tree)
    assert git_pack.files(pack, commit) == contents({**IN_SUB, **more})
    assert len(blobs(pack)) == BLOBS + 1


def test_blobs_of_another_hash_are_packed_anew(repository: GitRepository) -> None:
    tree = git_tree(repository.path, "main", "sub")
    layout = GitVolume(container="pack", object_format="sha256").plan(tree)
    with layout.open() as image:
        data = image.read(int(layout.geometry["pack_size"]))
    pack = git_pack.read_pack(data, "sha256")
    commit = bytes.fromhex(str(layout.geometry["commit"]))
    assert git_pack.files(pack, commit) == contents(IN_SUB)
    assert not deltas(pack)
