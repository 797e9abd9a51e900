"""Paths in an image answer what `pathlib` answers of the same files on disk, whatever these are."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import blockpack

NAMES = ("a", "b", "c.txt", ".h", "d.tar.gz", "é")
TARGETS = ("a", "b", "../a", "a/b", "b/..", ".", "..", "c.txt", "l", "nowhere", "a/./c.txt")
PARTS = (*NAMES, "*", "**", "?", "*.txt", "[ab]", "[!a]*", ".*", "*.*", "nothing", "l")
NEWEST = sys.version_info >= (3, 13)

trees = st.recursive(
    st.binary(max_size=20) | st.sampled_from(TARGETS),
    lambda below: st.dictionaries(st.sampled_from((*NAMES, "l")), below, max_size=5),
    max_leaves=25,
).filter(lambda tree: isinstance(tree, dict))
paths = st.lists(st.sampled_from((*NAMES, "l", "..", ".")), max_size=4).map("/".join)
patterns = st.tuples(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join),
    st.sampled_from(("", "/")),
).map("".join)


def materialise(tree: Any, at: Path) -> None:
    """Make directories of dictionaries, files of bytes, and links of texts."""
    if isinstance(tree, dict):
        at.mkdir()
        for name, below in tree.items():
            materialise(below, at / name)
    elif isinstance(tree, bytes):
        at.write_bytes(tree)
    else:
        at.symlink_to(tree)


def is_inside(top: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(top)


@contextmanager
def both(tree: Any) -> Iterator[tuple[Path, Any]]:
    """The tree extracted to a directory, and the root of the image that it was extracted from."""
    with tempfile.TemporaryDirectory() as work:
        source, out = Path(work, "source"), Path(os.path.realpath(work), "out")
        materialise(tree, source)
        layout = blockpack.TarVolume(mode="keep", mtime="keep").plan(blockpack.scan(source))
        with blockpack.open_image(layout) as image:
            blockpack.extract(image, out)
            assume(all(is_inside(out, path) for path in every(out)))
            yield out, image.root


def every(top: Path) -> Iterator[Path]:
    for at, directories, files in os.walk(top):
        yield from (Path(at, name) for name in directories + files)


def stat_of(path: Any, *, follow_symlinks: bool = True) -> tuple[int, ...]:
    found = path.stat(follow_symlinks=follow_symlinks)
    if path.is_dir():
        return (found.st_mode,)
    return found.st_mode, found.st_size, found.st_mtime_ns // 10**9, int(found.st_mtime)


def lexists(path: Any) -> bool:
    return os.path.lexists(path) if isinstance(path, Path) else path.exists(follow_symlinks=False)


def begin(path: Any) -> bytes:
    with path.open("rb") as file:
        data: bytes = file.read(3)
        return data


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "exists": lambda path: path.exists(),
    "lexists": lexists,
    "is_file": lambda path: path.is_file(),
    "is_dir": lambda path: path.is_dir(),
    "is_symlink": lambda path: path.is_symlink(),
    "is_fifo": lambda path: path.is_fifo(),
    "is_socket": lambda path: path.is_socket(),
    "is_block_device": lambda path: path.is_block_device(),
    "is_char_device": lambda path: path.is_char_device(),
    "stat": stat_of,
    "lstat": lambda path: stat_of(path, follow_symlinks=False),
    "iterdir": lambda path: sorted(each.name for each in path.iterdir()),
    "readlink": lambda path: plain(path.readlink()),
    "read_bytes": lambda path: path.read_bytes(),
    "read_text": lambda path: path.read_text("latin-1"),
    "open": begin,
}


def answer(ask: Callable[[Any], object], path: Any) -> object:
    """What it says, or the kind of error: whatever is not there is not found."""
    try:
        return ask(path)
    except OSError as error:
        if not path.exists():
            return "absent"
        kinds = (IsADirectoryError, NotADirectoryError)
        return next((kind for kind in kinds if isinstance(error, kind)), "wrong")


@given(tree=trees, at=st.lists(paths, max_size=8))
def test_questions_have_the_same_answers(tree: Any, at: list[str]) -> None:
    with both(tree) as (disk, image):
        there = [str(path.relative_to(disk)) for path in every(disk)]
        for path in {*at, *there}:
            if not is_inside(disk, disk / path) or ".." in path.split("/")[:1]:
                continue
            for name, ask in QUESTIONS.items():
                if path != "" or name not in ("stat", "lstat"):  # the root's mode is not packed
                    found = answer(ask, image / path)
                    assert found == answer(ask, disk / path), (name, path)


@given(tree=trees, at=st.lists(paths, min_size=1, max_size=5))
def test_paths_are_resolved_as_there(tree: Any, at: list[str]) -> None:
    with both(tree) as (disk, image):
        for path in at:
            full = disk / path
            if is_inside(disk, full) and os.path.exists(full):
                found = str(image.joinpath(path).resolve(strict=True))
                assert disk / found == full.resolve(strict=True)
                assert image.joinpath(path).resolve().samefile(image / path)
            elif is_inside(disk, full) and not lexists(image / path):
                assert not image.joinpath(path).exists()


def below(top: Any, found: Iterator[Any]) -> set[Any]:
    return {plain(str(path.relative_to(top)).rstrip("/")) for path in found}


@given(tree=trees, chosen=st.lists(patterns, min_size=1, max_size=8), at=st.sampled_from(["", "a"]))
def test_patterns_find_the_same(tree: Any, chosen: list[str], at: str) -> None:
    with both(tree) as (disk, image):
        for pattern in chosen:
            for method in ("glob", "rglob"):
                ours = below(image, getattr(image / at, method)(pattern))
                theirs = below(disk, getattr(disk / at, method)(pattern))
                if not NEWEST:  # there "**" is directories alone, and no link that leads nowhere
                    ours, theirs = ({p for p in f if (disk / p).exists()} for f in (ours, theirs))
                    if pattern.endswith("**"):
                        ours = {path for path in ours if is_real_directory(disk / path)}
                assert ours == theirs, (method, pattern)


def is_real_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


@given(tree=trees, top_down=st.booleans(), at=st.sampled_from(["", "a", "nothing"]))
def test_a_walk_is_the_same(tree: Any, top_down: bool, at: str) -> None:
    with both(tree) as (disk, image):
        ours = [
            (str(path), sorted(directories), sorted(others))
            for path, directories, others in (image / at).walk(top_down)
        ]
        theirs = [
            (plain(os.path.relpath(path, disk)), sorted(directories), sorted(others))
            for path, directories, others in as_pathlib(os.walk(disk / at, top_down))
        ]
        assert sorted(ours) == sorted(theirs)
        order = [path for path, _, _ in ours]
        for number, path in enumerate(order):
            for other in order[number + 1 :]:
                first, second = (path, other) if top_down else (other, path)
                assert not first.startswith(f"{second}/"), "above comes before, or after"


def as_pathlib(walk: Iterator[Any]) -> Iterator[Any]:
    """`os.walk` as `pathlib.Path.walk`, which 3.11 has not: links are no directories."""
    for at, directories, files in walk:
        links = [name for name in directories if os.path.islink(os.path.join(at, name))]
        yield at, [name for name in directories if name not in links], files + links


@given(one=paths, other=paths, pattern=patterns)
def test_what_needs_no_image_is_as_of_pure_paths(one: str, other: str, pattern: str) -> None:
    from pathlib import PurePosixPath

    with blockpack.open_image(blockpack.TarVolume().plan(blockpack.Tree())) as image:
        tops: tuple[Any, Any] = (image.root, PurePosixPath())
        for ask in (
            lambda path, _: path.name,
            lambda path, _: path.parts,
            lambda path, _: (path.stem, path.suffix, path.suffixes),
            lambda path, _: path.parent,
            lambda path, _: path.as_posix(),
            lambda path, _: list(path.parents),
            lambda path, _: path.match(pattern),
            lambda path, _: path.is_absolute(),
            lambda path, there: path / there,
            lambda path, there: path.joinpath(there, "x", there),
            lambda path, there: path.is_relative_to(there),
            lambda path, there: path.relative_to(there),
            lambda path, there: path < there,
            lambda path, there: path >= there,
            lambda path, there: path == there,
            lambda path, _: path.with_name("n.x"),
            lambda path, _: path.with_suffix(".s"),
            lambda path, _: path.with_stem("s"),
        ):
            found = []
            for top in tops:
                try:
                    found.append(plain(ask(top / one, top / other)))
                except ValueError:
                    found.append("ValueError")
            assert found[0] == found[1]


def plain(value: object) -> object:
    """Paths as texts; pathlib's name of the top is a dot."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    shown = str(value)
    return "" if shown == "." else shown
