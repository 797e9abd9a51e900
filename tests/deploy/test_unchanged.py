"""The run that has nothing to do: what it imports, and what it sees."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from blockpack import SourceError, cli, scan
from blockpack.deploy.building.build import build
from blockpack.deploy.building.build_state import unchanged
from blockpack.deploy.source import inventory as looking
from blockpack.deploy.source.inventory import Inventory, Subtree, settled
from blockpack.sources import shared_walk
from blockpack.sources.directory_walk import DirectoryWalk, Row
from cli.running import environment
from deploy.deployments import names, write_files

SLOW = (
    "attr",
    "tomllib",
    "pathlib",
    "blockpack.model.tree",
    "blockpack.planning.volume",
    "concurrent.futures",
)
"""Modules that take long to import."""

PROGRAM = """
import sys
from blockpack.cli import main
code = main(sys.argv[1:])
print(code, *sorted(set(sys.modules)))
"""


def test_nothing_slow_is_imported(deployment: Path, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM, "build", deployment, "--out", out],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    code, *modules = done.stdout.split()
    assert code == "0"
    assert "blockpack.deploy.building.build_state" in modules
    assert not set(SLOW) & set(modules)


@pytest.mark.parametrize(
    "left", [".blockpack-0123456789abcdee.tmp/site.img", ".blockpack-0123456789abcdef.tmp"]
)
def test_what_a_killed_run_left_is_removed_though_nothing_changed(
    deployment: Path, tmp_path: Path, left: str
) -> None:
    out = tmp_path / "dist"
    build(deployment, out)
    before = names(out)
    write_files(out, {left: b"half an image"})
    assert unchanged(str(deployment), str(out), Inventory()) is None
    assert cli.main(["build", str(deployment), "--out", str(out), "--quiet"]) == 0
    assert names(out) == before
    assert unchanged(str(deployment), str(out), Inventory()) is not None


def test_another_zlib_may_deflate_otherwise(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(deployment, tmp_path / "dist")
    assert unchanged(str(deployment), str(tmp_path / "dist"), Inventory()) is not None
    monkeypatch.setattr(zlib, "ZLIB_RUNTIME_VERSION", "0.9")
    assert unchanged(str(deployment), str(tmp_path / "dist"), Inventory()) is None


def test_if_it_cannot_be_looked_at_the_build_is_to_tell(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> NoReturn:
        raise SourceError("d", "a process that looks for changes was killed")

    build(deployment, tmp_path / "dist")
    monkeypatch.setattr(looking, "shared_walk", lost)
    assert unchanged(str(deployment), str(tmp_path / "dist"), Inventory()) is None


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    """A directory with some files in several directories."""
    files = {f"d{number % 7}/e/f{number}": b"x" for number in range(50)}
    write_files(tmp_path / "tree", {**files, "top": b"x"})
    (tmp_path / "tree/link").symlink_to("top")
    (tmp_path / "tree/empty").mkdir()
    return tmp_path / "tree"


def seen(tree: Path, jobs: int = 1, *, dated: bool = False) -> str | None:
    return Inventory(jobs).of(Subtree(f"{tree}/", dated)).digest


def link_elsewhere(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("pot")


def replace_by_the_same(tree: Path) -> None:
    (tree / "t").write_bytes(b"x")
    os.utime(tree / "t", ns=(0, (tree / "top").stat().st_mtime_ns))
    (tree / "t").rename(tree / "top")


CHANGES: dict[str, Callable[[Path], object]] = {
    "contents": lambda tree: (tree / "d1/e/f1").write_bytes(b"y"),
    "mode": lambda tree: (tree / "d1/e/f1").chmod(0o600),
    "directory's mode": lambda tree: (tree / "d1").chmod(0o700),
    "time": lambda tree: os.utime(tree / "d1/e/f1", (1, 1)),
    "added": lambda tree: (tree / "d1/e/new").write_bytes(b""),
    "removed": lambda tree: (tree / "d1/e/f1").unlink(),
    "renamed": lambda tree: (tree / "d1/e/f1").rename(tree / "d1/e/g1"),
    "moved": lambda tree: (tree / "d1/e/f1").rename(tree / "d2/e/f1"),
    "directory renamed": lambda tree: (tree / "d1").rename(tree / "x1"),
    "directory added": lambda tree: (tree / "d1/more").mkdir(),
    "empty directory removed": lambda tree: (tree / "empty").rmdir(),
    "link": link_elsewhere,
    "hard link": lambda tree: os.link(tree / "top", tree / "d1/e/hard"),
    "replaced by the same": replace_by_the_same,
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(tree: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(tree)
    assert before is not None
    assert seen(tree) == before
    monkeypatch.setattr(shared_walk, "WORTHWHILE", 1)
    assert seen(tree, jobs=2) == before
    time.sleep(0.02)
    CHANGES[change](tree)
    after = seen(tree)
    assert after != before
    assert seen(tree, jobs=2) == after


def test_times_of_directories_are_seen_where_they_matter(tree: Path) -> None:
    before, before_with = seen(tree), seen(tree, dated=True)
    os.utime(tree / "d1", (1, 1))
    assert seen(tree) == before
    assert seen(tree, dated=True) != before_with


def test_a_process_that_is_lost_is_told_with_the_directory(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpid()
    listings = DirectoryWalk.listings

    def dying(walk: DirectoryWalk) -> Iterator[list[Row]]:
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)
        yield from listings(walk)

    monkeypatch.setattr(shared_walk, "WORTHWHILE", 1)
    monkeypatch.setattr(DirectoryWalk, "listings", dying)
    with pytest.raises(SourceError, match=f"{re.escape(str(tree))}: a process .* by signal 9"):
        scan(tree, jobs=3)
    assert seen(tree, 3) is None


def test_what_cannot_be_looked_at_is_unknown(tree: Path) -> None:
    assert seen(tree / "nowhere") is None
    assert Inventory().of(Subtree(f"{tree}/nowhere")).digest is None
    os.mkfifo(tree / "pipe")
    assert seen(tree) is None


def test_a_change_that_the_clock_may_show_again_is_waited_for() -> None:
    now = time.time_ns() | 1  # not a whole second
    assert settled(now - 10**9, now) is True
    assert settled(now - 10**9, now - 10**9) is False  # it took a second to look
    begun = time.time_ns()
    assert settled(begun | 1, begun) is False
    assert time.time_ns() - begun >= looking.TICK
    assert settled(now + 10**10, now) is None  # the clock went back


def test_inputs_from_the_future_are_never_unchanged(
    deployment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the clock went back, what changes may get a time that was there before."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
    for _ in range(2):
        assert build(deployment, tmp_path / "dist", jobs=1).built == ("site", "media")
    monkeypatch.undo()
    build(deployment, tmp_path / "dist")
    assert set(unchanged(str(deployment), str(tmp_path / "dist"), Inventory()) or ()) == {
        "site",
        "media",
    }
