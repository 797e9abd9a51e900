"""The tree keeps its rules: sound paths, each once, directories above what they hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import Directory, File, Symlink, Tree


def paths(tree: Tree) -> list[str]:
    return [entry.path for entry in tree]


def test_entries_come_depth_first_and_sorted_each_directory_before_its_contents() -> None:
    tree = Tree()
    for path in ("b.txt", "a/z", "a.txt", "a/b/c", "a-b", "A"):
        tree.add(path, b"")
    assert paths(tree) == ["A", "a", "a/b", "a/b/c", "a/z", "a-b", "a.txt", "b.txt"]
    assert [path for path, _ in tree.directories()] == ["", "a", "a/b"]
    assert len(tree) == 8


@given(st.sets(st.text("ab/", min_size=1, max_size=6)))
def test_each_path_is_there_once_and_what_holds_it_is_a_directory(wanted: set[str]) -> None:
    tree = Tree()
    for path in wanted:
        try:
            tree.add(path, b"x")
        except blockpack.EntryError as error:
            assert error.path and error.rule and error.remedy
    found = paths(tree)
    assert len(found) == len(set(found)) == len(tree)
    for path in found:
        parent = path.rpartition("/")[0]
        assert not parent or isinstance(tree[parent], Directory)
        assert path in tree


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "../a", "a/..", "a\0b", "\ud800"]
)
def test_unsound_paths_are_refused(path: str) -> None:
    tree = Tree()
    adding: list[Callable[[], None]] = [
        lambda: tree.add(path, b""),
        lambda: tree.mkdir(path),
        lambda: tree.symlink(path, "x"),
    ]
    for add in adding:
        with pytest.raises(blockpack.EntryError) as raised:
            add()
        assert raised.value.remedy
        assert raised.value.exit_code == 3
    assert len(tree) == 0


def test_a_path_is_taken_once() -> None:
    tree = Tree()
    tree.add("a", b"1")
    adding: list[Callable[[], None]] = [
        lambda: tree.add("a", b"2"),
        lambda: tree.add("a/b", b""),
        lambda: tree.mkdir("a"),
    ]
    for add in adding:
        with pytest.raises(blockpack.EntryError, match="already"):
            add()
    assert len(tree) == 1


def test_adding_a_directory_again_keeps_what_it_holds() -> None:
    tree = Tree()
    tree.add("a/b", b"")
    tree.mkdir("a", mode=0o700)
    assert paths(tree) == ["a", "a/b"]
    directory = tree["a"]
    assert directory.mode == 0o755


def test_removing_a_directory_removes_what_it_holds() -> None:
    tree = Tree()
    for path in ("a/b/c", "a/d", "e"):
        tree.add(path, b"")
    tree.remove("a")
    assert paths(tree) == ["e"]
    tree.add("a/f", b"")
    assert paths(tree) == ["a", "a/f", "e"]
    with pytest.raises(KeyError):
        tree.remove("nothing")


def test_depth_is_not_limited_by_the_interpreter() -> None:
    tree = Tree()
    deep = "d/" * 3000 + "leaf"
    tree.add(deep, b"x")
    assert len(tree) == 3001
    assert deep in tree
    assert sum(1 for _ in tree) == 3001
    tree.remove("d")
    assert len(tree) == 0


def test_contents_are_bytes_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", ns=(1, 1_500_000_000_123_456_789))
    (tmp_path / "file").chmod(0o755)
    (tmp_path / "link").symlink_to("file")
    tree = Tree()
    tree.add("bytes", bytearray(b"abc"))
    tree.add("from/file", tmp_path / "file")
    tree.add("whole", tmp_path)
    tree.add("through", tmp_path / "link")
    found = tree["from/file"]
    assert isinstance(found, File)
    assert (found.size, found.mode, found.mtime_ns) == (5, 0o755, 1_500_000_000_123_456_789)
    assert isinstance(tree["whole/link"], Symlink)
    assert isinstance(tree["through"], File)
    assert paths(tree) == [
        "bytes", "from", "from/file", "through", "whole", "whole/file", "whole/link",
    ]  # fmt: skip


def test_what_is_no_content_is_refused(tmp_path: Path) -> None:
    tree = Tree()
    with pytest.raises(blockpack.UsageError, match="bytes, a Path"):
        tree.add("a", "text")  # type: ignore[arg-type]
    with pytest.raises(blockpack.SourceError, match="no such file"):
        tree.add("a", tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(blockpack.SourceError, match="no regular file"):
        tree.add("a", tmp_path / "pipe")
    assert len(tree) == 0
