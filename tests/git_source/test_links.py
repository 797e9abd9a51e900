"""Symbolic links in a repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack import Symlink, scan
from git_source.trees import SITE, checked_out, content, image, problems, refused
from repositories import LINK, SUBMODULE, GitRepository, git_tree


def test_links_are_kept_skipped_or_errors(bare: GitRepository) -> None:
    bare.commit(SITE)
    assert isinstance(git_tree(bare.path)["media/link"], Symlink)
    assert "media/link" not in git_tree(bare.path, symlinks="skip")
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(bare.path, symlinks="error")
    assert set(problems(raised)) == {"media/link"}


def test_links_are_followed_inside(repository: GitRepository, tmp_path: Path) -> None:
    links = {
        "to-file": b"index.html",
        "to-directory": b"media/",
        "media/up/dot": b"./../../run.sh",
        "through": b"to-directory/deep/../a.bin",
        "link-to-link": b"through",
        "media/deep/er/chain": b"../../../link-to-link",
    }
    files: dict[str, Any] = {path: (LINK, target) for path, target in links.items()}
    repository.commit({**SITE, **files})
    tree = git_tree(repository.path, symlinks="follow")
    directory = checked_out(repository, tmp_path / "checkout")
    scanned = scan(directory, symlinks="follow")
    assert [(type(e), e.path, e.mode) for e in tree] == [(type(e), e.path, e.mode) for e in scanned]
    assert image(tree) == image(scanned)
    assert content(tree, "to-directory/deep/er/chain") == SITE["media/a.bin"]


def test_links_that_cannot_be_followed_are_told_all_at_once(bare: GitRepository) -> None:
    links = {
        "absolute": b"/etc/passwd",
        "outside": b"../x",
        "sub/outside": b"../../x",
        "nowhere": b"missing",
        "in-file": b"file/x",
        "file-as-directory": b"file/",
        "circle": b"circle",
        "one": b"two",
        "two": b"one",
        "sub/above": b"..",
        "sub/itself": b".",
        "into": b"module/x",
        "long": b"x" * 5000,
        "nul": b"a\0b",
    }
    files: dict[str, Any] = {path: (LINK, target) for path, target in links.items()}
    files["module"] = SUBMODULE, b"1" * 40
    bare.commit({"file": b"", **files})
    with pytest.raises(blockpack.Problems) as raised:
        git_tree(bare.path, symlinks="follow", submodules="skip")
    told = problems(raised)
    assert set(told) == set(links)
    for path in ("absolute", "outside", "sub/outside"):
        assert "outside of what is packed" in told[path]
    for path in ("circle", "one", "two"):
        assert "in a circle" in told[path]
    for path in ("sub/above", "sub/itself"):
        assert "a directory that it is in" in told[path]
    bare.commit({"dir/link": (LINK, b"../file"), "file": b"f"})
    assert content(git_tree(bare.path, symlinks="follow"), "dir/link") == b"f"
    with refused("outside of what is packed"):
        git_tree(bare.path, "HEAD", "dir", symlinks="follow")
