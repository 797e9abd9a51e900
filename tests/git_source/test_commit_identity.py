"""Which trees are still the commit that they come from, and which have its history."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import GitVolume, Tree
from blockpack.cli.run import run
from blockpack.formats.git import objects
from git_source.trees import refused
from repositories import EXECUTABLE, LINK, SUBMODULE, Files, GitRepository, git_tree, pointer


def plain(repository: GitRepository) -> str:
    """Two commits; the id of the last."""
    repository.commit({"a": b"first"})
    files: Files = {"a": b"x", "sub/b": b"y", "sub/c": b"z", "run": (EXECUTABLE, b"#!/bin/sh\n")}
    return repository.commit(files)


def commit_of(tree: Tree, **options: Any) -> str:
    return str(GitVolume(**options).plan(tree).geometry["commit"])


def test_a_tree_that_is_not_the_commits_is_a_new_commit(bare: GitRepository) -> None:
    commit = plain(bare)
    whole = git_tree(bare.path)
    assert commit_of(whole) == commit
    changed = git_tree(bare.path)
    changed.add("new", b"new")
    restored = git_tree(bare.path)
    restored.remove("a")
    trees = {
        "a subdirectory": git_tree(bare.path, subdir="sub"),
        "without a file": git_tree(bare.path, exclude=["a"]),
        "with another file": changed,
        "with one file less": restored,
        "a tree by itself": git_tree(bare.path, "main^{tree}"),
    }
    for name, tree in trees.items():
        assert commit_of(tree) != commit, name
        with refused("there is no history"):
            commit_of(tree, history=True)
    for options in ({"message": "m"}, {"author": "A <a@b>"}, {"profile": "mirage"}):
        assert commit_of(whole, **options) != commit, options
        with refused("give no message"):
            commit_of(whole, history=True, **options)
    assert commit_of(whole, container="pack", object_format="sha256") != commit
    assert commit_of(whole, branch="other", compression=0) == commit
    assert commit_of(git_tree(bare.path, exclude=["nothing"])) == commit


def test_submodules_that_are_skipped_make_a_new_commit(bare: GitRepository) -> None:
    commit = bare.commit({"a": b"x", "module": (SUBMODULE, b"1" * 40)})
    assert commit_of(git_tree(bare.path, submodules="skip")) != commit


def test_what_git_lfs_has_is_in_a_new_commit(bare: GitRepository) -> None:
    content = b"large, in a way"
    oid = hashlib.sha256(content).hexdigest()
    place = bare.path / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    attributes = b"*.bin filter=lfs\n"
    commit = bare.commit({".gitattributes": attributes, "a.bin": pointer(oid, len(content))})
    layout = GitVolume().plan(git_tree(bare.path))
    assert layout.geometry["commit"] != commit
    with blockpack.open_image(layout.open()) as image, image.open("a.bin") as file:
        assert file.read() == content


def test_followed_links_are_a_new_commit(bare: GitRepository) -> None:
    commit = bare.commit({"a": b"x", "link": (LINK, b"a")})
    assert commit_of(git_tree(bare.path)) == commit
    for symlinks in ("follow", "skip"):
        assert commit_of(git_tree(bare.path, symlinks=symlinks)) != commit


def test_a_bundle_of_a_commit_with_parents_takes_its_history(
    bare: GitRepository, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain(bare)
    command = ["pack", f"git:{bare.path}@main", str(tmp_path / "x"), "--format", "git"]
    assert run([*command, "--container", "bundle"]) == 3
    assert "take them along: --history" in capfd.readouterr().err
    assert run([*command, "--container", "bundle", "--history", "-q"]) == 0
    assert run([*command, "--container", "bundle", "--message", "m", "-q"]) == 0
    assert run([*command, "--container", "pack", "--history"]) == 2
    assert run([*command, "--history", "--exclude", "a"]) == 3


def test_the_history_of_a_shallow_clone_is_refused(bare: GitRepository, tmp_path: Path) -> None:
    commit = plain(bare)
    clone = GitRepository(tmp_path / "clone")
    bare.git("clone", "-q", "--bare", "--depth=1", bare.path.as_uri(), clone.path)
    tree = git_tree(clone.path)
    assert commit_of(tree) == commit
    for container in ("docteur", "bundle"):
        with pytest.raises(blockpack.SourceError) as raised:
            commit_of(tree, history=True, container=container)
        assert raised.value.path == str(clone.path)
        assert f"git -C {clone.path} fetch --unshallow" in raised.value.remedy


def test_grafts_and_replacements_change_no_history(bare: GitRepository) -> None:
    commit = plain(bare)
    before = GitVolume(history=True).plan(git_tree(bare.path)).geometry
    (bare.path / "info").mkdir(exist_ok=True)
    (bare.path / "info" / "grafts").write_text(f"{commit}\n")
    bare.git("replace", bare.oid("main~0:a"), bare.blob(b"something else"))
    assert GitVolume(history=True).plan(git_tree(bare.path)).geometry == before


def test_unpacked_trees_and_commits_have_a_limit(
    bare: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.git("config", "fastimport.unpackLimit", "1000")
    names = {f"{'n' * 100}{number}": b"" for number in range(100)}
    bare.commit({f"sub/{name}": data for name, data in names.items()})
    bare.commit({"a": b""})
    tree = git_tree(bare.path)
    monkeypatch.setattr(objects, "MOST_BYTES", 1000)
    with pytest.raises(blockpack.SourceError) as raised:
        GitVolume(history=True).plan(tree)
    assert raised.value.path == str(bare.path)
    assert f"object {bare.oid('main~1:sub')} has 12,990 bytes" in raised.value.rule
