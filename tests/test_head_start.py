"""A scan that goes on where another process has got to finds what a scan finds by itself."""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from pathlib import Path
from select import select
from typing import Any

import pytest

import blockpack
from blockpack import Tree
from blockpack.cli.ahead import listing_ahead
from blockpack.sources.ahead import HeadStart
from faults.launching import COMMAND, run


def make(root: Path, directories: int) -> Path:
    """A source with a bit of everything; of 60 directories it is worth several processes."""
    for number in range(directories):
        directory = root / f"d{number:02}" / "deeper"
        directory.mkdir(parents=True)
        for index in range(60):
            (directory / f"file {index}").write_bytes(b"x" * index)
        (directory / "link").symlink_to("file 1")
        (directory / "run").touch(0o755)
        os.link(directory / "file 2", directory.parent / "again")
    (root / "empty").mkdir(parents=True)
    with open(os.fsencode(root) + b"/\xff", "wb"):
        pass
    return root


@pytest.fixture(name="sources", scope="module")
def fixture_sources(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Sources of no, of few and of many directories, which nobody changes."""
    place = tmp_path_factory.mktemp("sources")
    return {number: make(place / str(number), number) for number in (0, 3, 60)}


def children() -> list[int]:
    """The processes that this one has started, and has not waited for."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            status = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == os.getpid():
            found.append(int(name))
    return found


def wait_for(ahead: HeadStart) -> None:
    """Until it has listed all there is, or has come to an end: then there is something to read."""
    assert ahead._worker is not None
    assert select([ahead._worker.results], [], [], 60)[0]


@pytest.mark.parametrize("seconds", [0, 0.02, 0.3])
@pytest.mark.parametrize("directories", [0, 3, 60])
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_tree_is_that_of_a_scan(
    sources: dict[int, Path], seconds: float, directories: int, jobs: int
) -> None:
    root = sources[directories]
    before = children()
    with HeadStart(str(root)) as ahead:
        time.sleep(seconds)
        tree = Tree.scan(root, jobs=jobs, ahead=ahead)
    assert list(tree) == list(Tree.scan(root, jobs=1))
    assert children() == before


def test_it_is_of_use(tmp_path: Path) -> None:
    """What it has listed is not listed again."""
    root = make(tmp_path / "source", 5)
    (root / "d03" / "pipe").touch()
    with HeadStart(str(root)) as ahead:
        wait_for(ahead)
        ahead.call_off(blockpack.TargetError)
        listings = list(ahead.listings(blockpack.TargetError))
    assert ahead.pending == []
    paths = sorted(path for rows in listings for path, *_ in rows)
    assert paths == sorted(entry.path for entry in Tree.scan(root))
    assert ahead.count == len(paths)


def test_what_takes_a_decision_is_left_to_the_scan(tmp_path: Path) -> None:
    root = make(tmp_path / "source", 5)
    os.mkfifo(root / "d01" / "pipe")
    os.mkfifo(root / "d03" / "deeper" / "pipe")
    told = []
    with HeadStart(str(root)) as ahead:
        wait_for(ahead)
        for head_start in (None, ahead):
            with pytest.raises(blockpack.Problems, match="2 problems") as raised:
                Tree.scan(root, ahead=head_start)
            told.append(str(raised.value))
    assert told[0] == told[1]
    assert sorted(unread[1] for unread in ahead.pending) == ["d01/", "d03/deeper/"]


def test_a_scan_that_decides_makes_nothing_of_it(sources: dict[int, Path]) -> None:
    root = sources[3]
    with HeadStart(str(root)) as ahead:
        tree = Tree.scan(root, exclude=["file 1*"], symlinks="follow", ahead=ahead)
    assert list(tree) == list(Tree.scan(root, exclude=["file 1*"], symlinks="follow"))


def test_a_source_that_is_missing_is_told_as_ever(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with (
        HeadStart(missing) as ahead,
        pytest.raises(blockpack.SourceError, match="missing: cannot be read: no such file"),
    ):
        Tree.scan(missing, ahead=ahead)


def test_one_that_was_killed_is_an_error(
    sources: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sources[3]
    parent, listing = os.getpid(), os.scandir

    def killed(path: bytes) -> Any:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return listing(path)

    monkeypatch.setattr(os, "scandir", killed)
    before = children()
    with (
        HeadStart(str(root)) as ahead,
        pytest.raises(blockpack.SourceError, match="was killed by signal 9"),
    ):
        wait_for(ahead)
        Tree.scan(root, ahead=ahead)
    assert children() == before


def test_one_that_nobody_asks_ends(sources: dict[int, Path]) -> None:
    root = sources[60]
    before = children()
    with pytest.raises(KeyError), HeadStart(str(root)) as ahead:
        wait_for(ahead)  # which now waits to be heard
        raise KeyError
    assert children() == before


def test_without_another_process_the_scan_does_it_all(
    sources: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = sources[60]

    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    with HeadStart(str(root)) as ahead:
        assert list(Tree.scan(root, jobs=2, ahead=ahead)) == list(Tree.scan(root, jobs=1))


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({}, True),
        ({"command": "plan"}, True),
        ({"command": "ls"}, False),
        ({"jobs": 1}, False),
        ({"exclude": ["*.psd"]}, False),
        ({"symlinks": "follow"}, False),
        ({"source": "git:."}, False),
        ({"source": "/missing"}, False),
    ],
)
def test_the_command_begins_early_where_it_may(
    tmp_path: Path, changes: dict[str, Any], begins: bool
) -> None:
    arguments = Namespace(command="pack", source=str(tmp_path), exclude=[], symlinks="keep", jobs=2)
    vars(arguments).update(changes)
    with listing_ahead(arguments):
        assert isinstance(getattr(arguments, "ahead", None), HeadStart) == begins


@pytest.mark.parametrize(("option", "code"), [((), 0), (("--label", "X"), 2)])
def test_the_command_leaves_no_process(
    sources: dict[int, Path], tmp_path: Path, option: tuple[str, ...], code: int
) -> None:
    root = sources[60]
    target = tmp_path / "x.tar"
    command = ("pack", str(root), str(target), "--format", "tar", "-q", "--jobs", "2", *option)
    assert run(COMMAND, *command)[0] == code  # which looks for what is left
    if code == 0:
        with blockpack.open_image(target) as image:
            assert len(list(image.walk())) == len(Tree.scan(root))
