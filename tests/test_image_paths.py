"""Paths in an image answer as `pathlib.Path` does of the same files on disk."""

from __future__ import annotations

import errno
import importlib.resources.abc
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import blockpack


@pytest.fixture(name="pair", scope="module")
def fixture_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """A directory, and the root of an image of it."""
    top = tmp_path_factory.mktemp("paths") / "top"
    (top / "a" / "b.d" / "c").mkdir(parents=True)
    (top / "a" / "one.tar.gz").write_bytes(b"one")
    (top / "a" / "b.d" / "two.txt").write_text("zwei\n", "utf-8")
    (top / "a" / "b.d" / "c" / "three.txt").write_text("drei\n", "utf-8")
    (top / "empty").mkdir()
    (top / "run").write_bytes(b"#!/bin/sh\n")
    (top / "run").chmod(0o755)
    (top / "link.txt").symlink_to("a/b.d/two.txt")
    (top / "dir").symlink_to("a/b.d")
    layout = blockpack.TarVolume(mode="keep", mtime="keep").plan(blockpack.scan(top))
    with blockpack.open_image(layout) as image:
        yield top, image.root


PATHS = (
    "",
    "a",
    "a/one.tar.gz",
    "a/b.d",
    "a/b.d/two.txt",
    "empty",
    "run",
    "link.txt",
    "dir",
    "x/y",
    "run/x",
    "link.txt/x/y",
)

PURE: dict[str, Callable[[Any], object]] = {
    "name": lambda path: path.name,
    "suffix": lambda path: path.suffix,
    "suffixes": lambda path: path.suffixes,
    "stem": lambda path: path.stem,
    "match": lambda path: path.match("*.txt"),
}
LOOKING: dict[str, Callable[[Any], object]] = {
    "exists": lambda path: path.exists(),
    "is_file": lambda path: path.is_file(),
    "is_dir": lambda path: path.is_dir(),
    "is_symlink": lambda path: path.is_symlink(),
}
PATTERNS = ("*", "*.txt", "**/*.txt", "a/*", "a/**/three.txt", "*/*/*", "r?n", "[!l]*", "nothing/*")


def below(top: Any, paths: Iterator[Any]) -> set[str]:
    return {str(path.relative_to(top)) for path in paths}


@pytest.mark.parametrize("at", [path for path in PATHS if path])
@pytest.mark.parametrize("what", [*PURE, *LOOKING])
def test_a_path_answers_as_on_disk(pair: tuple[Path, Any], at: str, what: str) -> None:
    disk, image = (top.joinpath(at) for top in pair)
    ask = {**PURE, **LOOKING}[what]
    assert ask(image) == ask(disk)


@pytest.mark.parametrize("at", ["a", "run", "a/b.d/two.txt", "link.txt", "dir"])
def test_its_status_is_that_of_the_file(pair: tuple[Path, Any], at: str) -> None:
    disk, image = (top.joinpath(at) for top in pair)
    for ask in ("stat", "lstat"):
        ours, theirs = getattr(image, ask)(), getattr(disk, ask)()
        assert ours.st_mode == theirs.st_mode
        if disk.is_file():
            assert (ours.st_size, ours.st_mtime) == (theirs.st_size, int(theirs.st_mtime))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_find_the_same(pair: tuple[Path, Any], pattern: str) -> None:
    disk, image = pair
    assert below(image, image.glob(pattern)) == below(disk, disk.glob(pattern))
    assert below(image, image.rglob(pattern)) == below(disk, disk.rglob(pattern))


def test_a_walk_goes_everywhere(pair: tuple[Path, Any]) -> None:
    _, image = pair
    found = {str(at): (sorted(dirs), sorted(files)) for at, dirs, files in image.walk()}
    assert found == {
        "": (["a", "empty"], ["dir", "link.txt", "run"]),
        "a": (["b.d"], ["one.tar.gz"]),
        "a/b.d": (["c"], ["two.txt"]),
        "a/b.d/c": ([], ["three.txt"]),
        "empty": ([], []),
    }


def test_relatives_are_paths_of_the_image_too(pair: tuple[Path, Any]) -> None:
    _, image = pair
    path = image / "a" / "b.d" / "two.txt"
    assert path.with_name("c").joinpath("three.txt").read_text() == "drei\n"
    assert [str(each) for each in path.parents] == ["a/b.d", "a", ""]
    assert (image / "link.txt").readlink() == path
    assert path.is_relative_to(image / "a") and path.as_posix() == "a/b.d/two.txt"
    assert sorted({image / "b", image / "a", image / "a"}) == [image / "a", image / "b"]
    assert path.relative_to(path) == image
    with path.open("r", -1, "utf-8") as file:
        assert file.read() == "zwei\n"
    with pytest.raises(FileNotFoundError):
        (image / "nothing").stat()
    with pytest.raises(AttributeError):
        _ = path.nonsense
    assert image.joinpath(path.parent, "..", "/run").read_bytes() == b"#!/bin/sh\n"
    assert (image / "dir" / ".." / "one.tar.gz").resolve(strict=True) == image / "a" / "one.tar.gz"
    assert path.info.is_file(follow_symlinks=False)


def test_a_link_that_leads_nowhere_is_no_file_that_is_found(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("gone")
    with blockpack.open_image(blockpack.TarVolume().plan(blockpack.scan(tmp_path))) as image:
        for top in (tmp_path, image.root):
            with pytest.raises(FileNotFoundError):
                (top / "nowhere").read_bytes()


def test_it_is_a_traversable(pair: tuple[Path, Any]) -> None:
    _, image = pair
    with blockpack.open_image(blockpack.TarVolume().plan(blockpack.Tree())) as other:
        for top in (image, other.root):
            traversable: importlib.resources.abc.Traversable = top  # to type checkers, too
            assert isinstance(traversable, importlib.resources.abc.Traversable)
            blockpack.Tree().add("any", importlib.resources.files(blockpack) / "py.typed")
    tree = blockpack.Tree()
    tree.add("copy", image / "a" / "b.d" / "two.txt")
    layout = blockpack.TarVolume().plan(tree)
    with blockpack.open_image(layout) as copy:
        assert copy.read("copy") == b"zwei\n"
    with importlib.resources.as_file(image / "a" / "b.d" / "two.txt") as path:
        assert path.read_bytes() == b"zwei\n"


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda top: (top / "a").read_bytes(), IsADirectoryError),
        (lambda top: (top / "dir").open(), IsADirectoryError),
        (lambda top: (top / "run").iterdir(), NotADirectoryError),
        (lambda top: (top / "run").readlink(), OSError),
        (lambda top: (top / "nothing").iterdir(), FileNotFoundError),
        (lambda top: (top / "nothing").resolve(strict=True), FileNotFoundError),
        (lambda top: (top / "run").open("wb"), OSError),
        (lambda top: (top / "run").open("x"), ValueError),
        (lambda top: (top / "run").open("r", 0), ValueError),
        (lambda top: top.glob(""), ValueError),
        (lambda top: top.glob("/a"), NotImplementedError),
        (lambda top: top.rglob("/a"), NotImplementedError),
    ],
)
def test_errors_are_those_of_pathlib(
    pair: tuple[Path, Any], ask: Callable[[Any], Any], error: type[Exception]
) -> None:
    _, image = pair
    with pytest.raises(error) as raised:
        ask(image)
    if isinstance(raised.value, blockpack.ImageError):
        assert getattr(raised.value, "errno", None)
        assert getattr(raised.value, "filename", None) == raised.value.path
        again = pickle.loads(pickle.dumps(raised.value))
        assert str(again) == str(raised.value) and again.remedy == raised.value.remedy
        for name in ("filename", "strerror"):  # as libraries set them that send errors
            setattr(again, name, getattr(raised.value, name))
            assert getattr(again, name) == getattr(raised.value, name)


@pytest.mark.parametrize("at", ["run/x", "run/x/y", "link.txt/x", "dir/two.txt/x"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda path: path.open(),
        lambda path: path.read_bytes(),
        lambda path: path.read_text(),
        lambda path: list(path.iterdir()),
        lambda path: path.stat(),
        lambda path: path.lstat(),
        lambda path: path.readlink(),
        lambda path: path.resolve(strict=True),
        lambda path: path.samefile(path),
    ],
)
def test_a_path_through_a_file_is_no_directory_s(
    pair: tuple[Path, Any], at: str, ask: Callable[[Any], Any]
) -> None:
    for top in pair:
        with pytest.raises(NotADirectoryError) as raised:
            ask(top / at)
        assert raised.value.errno == errno.ENOTDIR
    assert isinstance(raised.value, blockpack.ImageError)
    assert "is a file, not a directory" in str(raised.value)


def test_no_link_is_read_of_a_file(pair: tuple[Path, Any]) -> None:
    for top in pair:
        with pytest.raises(OSError) as raised:
            (top / "run").readlink()
        assert raised.value.errno == errno.EINVAL
        assert not isinstance(raised.value, FileNotFoundError)
    assert isinstance(raised.value, blockpack.ImageError)


def test_neither_depth_nor_width_is_too_much() -> None:
    tree = blockpack.Tree()
    deep = "/".join(["d"] * 300)
    tree.add(f"{deep}/file", b"deep")
    for number in range(1_500):
        tree.mkdir(f"wide/{number}")
    with blockpack.open_image(blockpack.TarVolume().plan(tree)) as image:
        assert sum(1 for _ in image.root.walk()) == 1_802
        assert sum(1 for _ in image.root.walk(top_down=False)) == 1_802
        assert [str(path) for path in image.root.rglob("file")] == [f"{deep}/file"]
        assert len(list(image.root.glob("wide/*/"))) == 1_500
        pattern = "/".join(["**", "*"] * 50)
        assert len(list((image.root / "wide").glob(pattern))) == 0
        assert len(list((image.root / "wide").glob("**/" * 500 + "*"))) == 1_500
