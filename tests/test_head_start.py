"""A scan that goes on where another process has got to finds what a scan finds by itself."""

from __future__ import annotations

import os
import signal
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from select import select
from typing import Any

import pytest

import blockpack
from blockpack import Tree
from blockpack.cli.ahead import listing_ahead
from blockpack.sources.ahead import HeadStart
from faults.launching import COMMAND, run
from large_sources import fill


def make(root: Path, directories: int) -> Path:
    """A source with an empty directory and a name that is no text, too."""
    fill(root, directories)
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


def test_what_it_has_listed_is_not_listed_again(
    sources: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with HeadStart(str(sources[3])) as ahead:
        wait_for(ahead)
        monkeypatch.setattr(os, "scandir", None)
        tree = Tree.scan(sources[3], ahead=ahead)
    assert len(tree) > 100


def test_it_ends_when_it_is_called_off(
    sources: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the directory that it is at: it is slow here, and called off in the first one."""
    begun, begin = os.pipe()
    listing = os.scandir

    def slow(path: Any) -> Any:
        os.write(begin, b"x")
        time.sleep(0.3)
        return listing(path)

    monkeypatch.setattr(os, "scandir", slow)
    with HeadStart(str(sources[3])) as ahead:
        os.read(begun, 1)
        found = ahead.call_off(blockpack.TargetError)
    os.close(begun)
    os.close(begin)
    assert found is not None
    assert (found.names, len(found.pending)) == (5, 4)


def test_what_takes_a_decision_is_left_to_the_scan(tmp_path: Path) -> None:
    root = make(tmp_path / "source", 5)
    os.mkfifo(root / "d01" / "pipe")
    os.mkfifo(root / "d03" / "deeper" / "pipe")
    with HeadStart(str(root)) as ahead:
        wait_for(ahead)
        found = ahead.call_off(blockpack.TargetError)
        assert found is not None
        assert sorted(unread[1] for unread in found.pending) == ["d01/", "d03/deeper/"]
    told = []
    for head_start in (None, HeadStart(str(root))):
        with pytest.raises(blockpack.Problems, match="2 problems") as raised:
            Tree.scan(root, ahead=head_start)
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_it_is_taken_over_once_and_for_its_own_directory_alone(sources: dict[int, Path]) -> None:
    with HeadStart(str(sources[60])) as ahead:
        assert len(Tree.scan(sources[3], ahead=ahead)) < 1_000
        first = Tree.scan(sources[60], ahead=ahead)
        assert list(Tree.scan(sources[60], ahead=ahead)) == list(first)


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


def in_the_other_process(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Have it `do` something when it is about to list."""
    parent, listing = os.getpid(), os.scandir

    def scandir(path: Any) -> Any:
        if os.getpid() != parent:
            do()
        return listing(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("how", ["killed", "out of memory"])
def test_without_it_the_scan_does_it_all(
    sources: dict[int, Path], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def fail() -> None:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError

    before = children()
    with monkeypatch.context() as patch:
        in_the_other_process(patch, fail)
        with HeadStart(str(sources[3])) as ahead:
            wait_for(ahead)
            tree = Tree.scan(sources[3], ahead=ahead)
    assert list(tree) == list(Tree.scan(sources[3]))
    assert children() == before


def test_one_that_is_killed_while_it_is_heard_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "source"
    root.mkdir()
    for number in range(3_000):
        (root / f"{number:0200}").touch()  # more than a pipe holds
    before = children()
    with HeadStart(str(root)) as ahead:
        wait_for(ahead)
        found = ahead.call_off(lambda how: blockpack.SourceError("source", how))
        assert found is not None
        (lister,) = set(children()) - set(before)
        os.kill(lister, signal.SIGKILL)
        with pytest.raises(blockpack.SourceError, match="was killed by signal 9"):
            list(found.listings)
    assert children() == before


SIGNALLED = """
import os, signal, sys
from blockpack.sources.ahead import HeadStart

_fork = os.fork
def signalled():
    process = _fork()
    if process:
        os.kill(os.getpid(), signal.SIGINT)
    return process
os.fork = signalled

descriptors = os.listdir("/proc/self/fd")
try:
    HeadStart(sys.argv[1])
except KeyboardInterrupt:
    print(os.listdir("/proc/self/fd") == descriptors)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child")
"""


def test_a_signal_at_its_birth_ends_it(sources: dict[int, Path]) -> None:
    assert run(SIGNALLED, sources[60]) == (0, b"True\nno child\n", "")


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
        ({"source": os.path.dirname(__file__)}, False),  # few names
    ],
)
def test_the_command_begins_early_where_it_may(
    sources: dict[int, Path], changes: dict[str, Any], begins: bool
) -> None:
    source = str(sources[60])
    arguments = Namespace(command="pack", source=source, exclude=[], symlinks="keep", jobs=2)
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
