"""The tree keeps its rules: sound paths, each once, directories above what they hold."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack import Directory, File, NotInTreeError, Tree, scan
from blockpack.sources import directory
from blockpack.sources.options import ScanOptions, Symlinks


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
    files: set[str] = set()
    for path in wanted:
        sound = all(path.split("/"))
        parents = {path[:at] for at, character in enumerate(path) if character == "/"}
        taken = path in files or any(file.startswith(f"{path}/") for file in files)
        if sound and not taken and not parents & files:
            tree.add(path, b"x")
            files.add(path)
            continue
        with pytest.raises(blockpack.EntryError) as raised:
            tree.add(path, b"x")
        error = raised.value
        assert error.path and error.rule and error.remedy
    assert files <= set(paths(tree))
    found = paths(tree)
    assert len(found) == len(set(found)) == len(tree)
    for path in found:
        parent = path.rpartition("/")[0]
        assert not parent or isinstance(tree[parent], Directory)
        assert path in tree


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "../a", "a/..", "a\0b", "\ud800"),
        "\udcc3\udca4",  # the bytes of 'ä', which is spelled so
        "a/\udce2\udc82\udcac",
        "x\udc2f",  # stands for a slash, which is no byte that needs it
    ],
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
    asked: list[Callable[[str], object]] = [tree.remove, tree.__getitem__, tree.children]
    for each in asked:
        with pytest.raises(KeyError) as raised:
            each("nothing")
        error = raised.value
        assert isinstance(error, NotInTreeError)
        assert (error.path, error.remedy) == ("nothing", "add it first")
        assert str(error).startswith("nothing: is ")


def test_depth_is_not_limited_by_the_interpreter() -> None:
    tree = Tree()
    deep = "d/" * 3000 + "leaf"
    tree.add(deep, b"x")
    assert len(tree) == 3001
    assert deep in tree
    assert sum(1 for _ in tree) == 3001
    tree.remove("d")
    assert len(tree) == 0


def test_contents_are_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.utime(tmp_path / "file", ns=(1, 1_500_000_000_123_456_789))
    (tmp_path / "file").chmod(0o755)
    (tmp_path / "link").symlink_to("file")
    tree = Tree()
    tree.add("bytes", bytearray(b"abc"))
    tree.add("from/file", tmp_path / "file")
    tree.add("through", tmp_path / "link")
    found = tree["from/file"]
    assert isinstance(found, File)
    assert (found.size, found.mode, found.mtime_ns) == (5, 0o755, 1_500_000_000_123_456_789)
    assert isinstance(tree["through"], File)
    assert paths(tree) == ["bytes", "from", "from/file", "through"]


def test_what_is_no_content_is_refused(tmp_path: Path) -> None:
    tree = Tree()
    with pytest.raises(blockpack.UsageError, match="bytes, a Path"):
        tree.add("a", "text")  # type: ignore[arg-type]
    with pytest.raises(blockpack.SourceError, match="no such file"):
        tree.add("a", tmp_path / "missing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(blockpack.SourceError, match="not a regular file"):
        tree.add("a", tmp_path / "pipe")
    assert len(tree) == 0


@pytest.mark.parametrize(
    "target", ["", "a\0b", "\0", "\ud800", "to/\udfff", "\udcc3\udca4", "\udc41"]
)
def test_links_to_what_is_no_path_are_refused(target: str) -> None:
    tree = Tree()
    with pytest.raises(blockpack.EntryError) as raised:
        tree.symlink("link", target)
    assert raised.value.path == "link"
    assert raised.value.remedy
    assert len(tree) == 0


@pytest.mark.parametrize("name", ["ä", "caf\udce9", "\udcc3", "\udca4\udcc3", "\udcc3ä"])
def test_bytes_that_are_not_utf8_are_names_and_targets(name: str) -> None:
    tree = Tree()
    tree.add(name, b"")
    tree.symlink("link", name)
    assert len(tree) == 2


MOST_SECONDS = (1 << 63) - 1


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"mode": 0o10000}, "mode 0o10000"),
        ({"mode": 0o100644}, "mode 0o100644"),  # as stat has it, with the kind
        ({"mode": -1}, "mode -0o1"),
        ({"mtime_ns": (MOST_SECONDS + 1) * 10**9}, "time"),
        ({"mtime_ns": -(MOST_SECONDS + 1) * 10**9}, "time"),
        ({"mtime_ns": 10**40}, "time"),
    ],
)
def test_modes_and_times_that_are_none_are_refused(options: dict[str, int], wrong: str) -> None:
    tree = Tree()
    adding: list[Callable[[], None]] = [
        lambda: tree.add("a", b"", **options),
        lambda: tree.mkdir("a", **options),
    ]
    if "mtime_ns" in options:
        adding.append(lambda: tree.symlink("a", "b", **options))
    for add in adding:
        with pytest.raises(blockpack.EntryError, match=wrong) as raised:
            add()
        assert raised.value.path == "a"
    assert len(tree) == 0


def test_modes_and_times_at_their_limits_are_taken() -> None:
    tree = Tree()
    for number, mtime_ns in enumerate((MOST_SECONDS * 10**9 + 999_999_999, -(10**18), 0)):
        tree.add(f"{number}", b"", mode=0o7777, mtime_ns=mtime_ns)
        assert (tree[f"{number}"].mode, tree[f"{number}"].mtime_ns) == (0o7777, mtime_ns)


@pytest.mark.parametrize("size", [-1, 1 << 63, 1 << 200])
def test_a_content_has_a_size_that_files_have(size: int) -> None:
    tree = Tree()
    tree.add("there", b"x")
    with pytest.raises(blockpack.EntryError, match=f"a: no file has {size:,} bytes"):
        tree.add("a", io.BytesIO, size=size)
    assert paths(tree) == ["there"]


def test_a_directory_is_joined_and_not_added(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    tree = Tree()
    with pytest.raises(
        blockpack.SourceError, match="is a directory; give a file, or join its tree"
    ):
        tree.add("a", tmp_path)
    assert len(tree) == 0


# Joining -----------------------------------------------------------------------------------------


@pytest.fixture(name="source")
def fixture_source(tmp_path: Path) -> Path:
    """A directory with a few files and a link that leads out of it."""
    source = tmp_path / "source"
    for name in ("a", "d/b", "d/e/c"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode())
    (tmp_path / "outside").write_bytes(b"outside")
    return source


def test_directories_are_joined_under_paths_of_their_own(source: Path) -> None:
    tree = Tree()
    tree.add("x/own", b"own")
    tree.join("x/y", scan(source, exclude=["/a"]))
    tree.join("", directory.scan(source, ScanOptions(), left_out=["d/e"]))
    assert paths(tree) == [
        *("a", "d", "d/b", "x", "x/own", "x/y", "x/y/d", "x/y/d/b", "x/y/d/e", "x/y/d/e/c")
    ]
    layout = blockpack.TarVolume().plan(tree)
    with blockpack.open_image(layout.open()) as image, image.open("x/y/d/e/c") as file:
        assert file.read() == b"d/e/c"


@pytest.mark.parametrize("at", ["d/b", "a", "d"])
def test_what_is_joined_takes_no_others_place(source: Path, at: str) -> None:
    tree = scan(source)
    if at == "d":  # a directory meets a directory, and then a file a file
        (source / "b").write_bytes(b"other")
    before = list(tree)
    with pytest.raises(blockpack.EntryError, match="is already in the tree"):
        tree.join(at, scan(source))
    assert list(tree) == before


def test_a_confined_scan_follows_no_link_out_of_its_root(source: Path) -> None:
    def confined(symlinks: Symlinks) -> Tree:
        return directory.scan(source, ScanOptions(symlinks=symlinks), confined=True)

    (source / "d/inside").symlink_to("../a")
    assert "d/inside" in paths(confined("follow"))
    for target in ("../../outside", "../..", source.parent / "outside"):
        (source / "d/out").symlink_to(target)
        with pytest.raises(blockpack.Problems) as caught:
            confined("follow")
        assert "d/out: is a link that leads outside" in str(caught.value)
        assert confined("keep")["d/out"].kind == "symlink"
        (source / "d/out").unlink()


def test_a_file_object_of_text_is_refused() -> None:
    with pytest.raises(blockpack.UsageError, match="open it in the mode 'rb'"):
        Tree().add("a", io.StringIO("text"))  # type: ignore[arg-type]
