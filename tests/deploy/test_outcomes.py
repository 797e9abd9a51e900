"""Generations that passed or failed: what a rollback goes to, what is kept, what is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack import ActivationError, ImageError, Problems, TargetError, UsageError
from blockpack.deploy.host import history
from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.history import outcomes
from blockpack.deploy.host.rollout import collect, deploy, rollback
from blockpack.deploy.host.status import status, verify_live
from blockpack.writing.place import Place
from cli.running import process
from deploy.deployments import names
from deploy.hosts import Host
from faults.mounts import file_system

FAILING = '[ "$BLOCKPACK_WHY" = undone ]'
"""A command that fails for whatever is new."""


def fail(host: Host, **options: object) -> None:
    """Deploy another commit, for which the command fails."""
    host.commit(**{"site/index.html": os.urandom(8)})
    with pytest.raises(ActivationError):
        host.deploy(on_activate=FAILING, **options)


def damage(host: Host, number: int, volume: str = "site") -> Path:
    """Change one byte of an image; its size and times stay."""
    path = Generations(host.root).numbered(number).path / f"{volume}.img"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return path


# Passed or failed --------------------------------------------------------------------------------


def test_a_rollback_goes_to_what_passed_and_that_is_kept(host: Host) -> None:
    host.deploy(keep=2, on_activate="true")
    fail(host, keep=2)
    fail(host, keep=2)
    assert host.outcomes() == {
        1: None,
        2: "the command ended with status 1",
        3: "the command ended with status 1",
    }
    host.commit(**{"site/index.html": b"good"})
    assert host.deploy(keep=2, on_activate="true").removed == (2, 3)
    assert rollback(host.root, on_activate="true").number == 1
    assert host.live() == 1


def test_what_failed_is_gone_back_to_only_by_its_number(host: Host) -> None:
    fail(host)
    host.deploy()  # which tries it again
    fail(host)
    fail(host)
    assert (host.live(), host.outcomes()[1]) == (1, None)
    with pytest.raises(UsageError, match=r"no older generation that passed; name one of 2, 3"):
        rollback(host.root)
    assert rollback(host.root, 2).number == 2  # without a command there is none that fails
    assert host.outcomes()[2] is None


def test_a_rollback_passes_over_what_it_leaves(host: Host) -> None:
    host.deploy_times(4)
    assert [rollback(host.root).number for _ in range(3)] == [3, 2, 1]
    with pytest.raises(UsageError, match="no older generation that passed"):
        rollback(host.root)
    rollback(host.root, 3)  # forward again
    assert rollback(host.root).number == 1
    host.deploy_times(1)
    assert (host.live(), rollback(host.root).number) == (5, 1)


def test_one_way_back_is_always_left(host: Host) -> None:
    host.deploy_times(3)
    fail(host)
    assert collect(host.root, 1) == (1, 4)
    assert host.numbers() == [2, 3]
    assert rollback(host.root).number == 2
    assert collect(host.root, 1) == ()


@pytest.mark.parametrize("left", [b"", b"\0" * 100])
def test_one_way_back_is_left_though_the_history_is_lost(host: Host, left: bytes) -> None:
    host.deploy_times(3)
    (host.root / history.HISTORY).write_bytes(left)
    collect(host.root, keep=1)
    assert host.numbers() == [2, 3]
    rollback(host.root, to=2)
    assert host.live() == 2


def test_a_failed_deploy_tells_what_tries_it_again(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    done = process(
        *("deploy", f"{host.repository.path}@main", "--to", host.root),
        *("--on-activate", f"test -e '{host.place}/it is mended'"),
        code=7,
    )
    told = done.err.splitlines()[-1]
    assert told.startswith("blockpack: to try again: blockpack deploy ")
    (host.place / "it is mended").touch()
    words = told.partition("again: ")[2].replace("blockpack", "", 1)
    subprocess.run(f"{_program(host)} {words}", shell=True, cwd="/", check=True)
    assert host.live() == 2


def _program(host: Host) -> str:
    import sys

    import blockpack

    source = Path(blockpack.__file__).parents[1]
    return f"PYTHONPATH='{source}' '{sys.executable}' -m blockpack"


_EVENT = st.fixed_dictionaries(
    {},
    optional={
        "generation": st.none() | st.integers(0, 5) | st.booleans() | st.text(max_size=2),
        "before": st.none() | st.integers(0, 5) | st.text(max_size=2),
        "why": st.sampled_from(["deploy", "rollback", "undone", "x", None]),
        "command": st.booleans() | st.none(),
        "outcome": st.sampled_from(["passed", "failed", None]),
        "reason": st.none() | st.text(max_size=3),
        "commit": st.none() | st.text(max_size=2),
        "commit_before": st.none() | st.text(max_size=2),
    },
)


@given(st.lists(_EVENT, max_size=20), st.frozensets(st.integers(1, 5)))
def test_whatever_is_in_a_history_something_sound_follows(
    events: list[dict[str, Any]], numbers: frozenset[int]
) -> None:
    found = outcomes(events, numbers)
    assert found.passed | found.failed.keys() | found.passed_over <= numbers
    assert not found.passed & found.failed.keys()


# Damage ------------------------------------------------------------------------------------------


def test_an_image_that_is_damaged_is_not_gone_back_to(host: Host) -> None:
    host.deploy_times(3)
    path = damage(host, 2)
    done = process("rollback", host.root, "--on-activate", host.command(), code=6)
    assert str(path) in done.err and "is damaged" in done.err
    assert host.live() == 3 and not host.log.exists()
    reason = host.outcomes()[2]
    assert reason is not None and str(path) in reason
    assert any("2 " in line and "damaged" in line for line in process("status", host.root).lines)
    assert rollback(host.root).number == 1  # the next one that passed


def test_what_is_damaged_is_built_anew_when_it_is_to_be_live_again(host: Host) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"new"})
    with pytest.raises(ActivationError):
        host.deploy(on_activate=FAILING)
    damage(host, 2)
    report = host.deploy(on_activate=host.command())
    assert (report.outcome, host.live()) == ("deployed", 3)
    assert report.damaged is not None and "site.img" in report.damaged
    assert report.build is not None and report.build.built == ("site",)
    assert host.outcomes()[2] is not None


def test_what_is_live_is_verified_when_that_is_asked_for(host: Host) -> None:
    host.deploy_times(2)
    process("status", host.root, "--verify")
    damage(host, 2, "media")
    damage(host, 1)
    done = process("status", host.root, "--verify", code=6)
    assert "media.img: is damaged" in done.err
    assert status(host.root).generations[1].failed is not None
    # The next run does not leave it at that.
    report = host.deploy(on_activate=host.command())
    assert (report.outcome, host.live()) == ("deployed", 3)
    verify_live(host.root)
    assert host.deploy().outcome == "unchanged"


def test_a_rollback_that_went_to_what_is_damaged_now_is_built_anew(host: Host) -> None:
    host.deploy_times(2)
    commit = rollback(host.root).record().commit
    damage(host, 1)
    with pytest.raises(ImageError):
        verify_live(host.root)
    report = host.deploy()
    assert (report.outcome, report.commit, host.live()) == ("deployed", commit, 3)
    assert host.deploy().outcome == "held"


# What was live is live ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [None, "true"])
@pytest.mark.parametrize("way", ["deploy", "rollback", "first"])
def test_what_was_live_is_live_if_the_switch_cannot_be_flushed(
    host: Host, way: str, command: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "first":
        host.deploy_times(2)
    if way == "deploy":
        host.commit(**{"site/index.html": b"new"})
    before = host.live()
    link = os.readlink(host.root / "current") if before else None
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(host.root):
            with_current = (host.root / "current").is_symlink()
            if with_current and os.readlink(host.root / "current") != link:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(TargetError, match="input/output error"):
        if way == "rollback":
            rollback(host.root, on_activate=command)
        else:
            host.deploy(on_activate=command)
    monkeypatch.undo()
    assert host.live() == before
    assert not status(host.root).unfinished
    assert host.deploy().outcome == ("unchanged" if way == "rollback" else "activated")


def test_what_was_live_is_live_if_it_cannot_be_written_that_it_is_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.deploy()
    host.commit(**{"site/index.html": b"bad"})
    append = history.append

    def failing(root: Place, values: Mapping[str, Any]) -> None:
        if values.get("why") == "undone":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        append(root, values)

    monkeypatch.setattr(history, "append", failing)
    with pytest.raises(TargetError, match="input/output error"):
        host.deploy(on_activate=FAILING)
    monkeypatch.undo()
    assert host.live() == 1
    assert host.deploy(on_activate="true").outcome == "activated"


# Status, and space -------------------------------------------------------------------------------


def test_status_tells_what_failed_and_what_gc_would_free(host: Host) -> None:
    host.deploy_times(3)
    fail(host)
    told = json.loads(process("status", host.root, "--json").out)
    assert [(each["passed"], each["failed"]) for each in told["generations"]] == [
        *[(True, None)] * 3,
        (False, "the command ended with status 1"),
    ]
    assert (told["live"], told["way_back"]) == (3, 2)
    gc = told["gc"]
    assert (gc["keep"], gc["generations"]) == (1, [1, 4])
    images = host.root / "generations"
    du = subprocess.run(["du", "-s", "-B1", images], stdout=subprocess.PIPE, check=True)
    directories = sum(
        path.stat().st_blocks * 512 for path in (images, *images.iterdir()) if path.is_dir()
    )
    assert told["disk_use"] == int(du.stdout.split()[0]) - directories
    lines = process("status", host.root).lines
    assert any("failed: the command ended with status 1" in line for line in lines)
    assert any(line.startswith("gc --keep 1 would remove 1, 4, and free ") for line in lines)
    collect(host.root, 1)
    left = json.loads(process("status", host.root, "--json").out)
    assert (left["disk_use"], left["gc"]["freed"]) == (told["disk_use"] - gc["freed"], 0)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("file", ["manifest.json", "site.json"])
def test_status_tells_what_it_can_of_what_is_damaged(host: Host, number: int, file: str) -> None:
    host.deploy_times(2)
    path = Generations(host.root).numbered(number).path / file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:50])
    found = status(host.root)
    assert (found.live is not None and found.live.number, found.way_back) == (2, 1)
    assert (found.generations[number - 1].damaged is not None) == (file == "manifest.json")
    lines = process("status", host.root).lines
    assert "generation 2 is live" in lines[0]


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_blocks_that_are_shared_are_counted_once(kind: str, tmp_path: Path) -> None:
    with file_system(kind, tmp_path, 320 << 20) as mount:
        host = Host(mount)
        film = os.urandom(8 << 20)
        for text in (b"1", b"2", b"3"):
            host.commit(**{"media/film.bin": film, "site/index.html": text})
            host.deploy()
        os.sync()
        found = status(host.root)
        assert len(film) <= found.disk_use < len(film) + (4 << 20)
        assert found.outdated == (1,) and 0 < found.freed < 4 << 20


# Directories -------------------------------------------------------------------------------------


def test_nothing_empty_is_left(host: Host, tmp_path: Path) -> None:
    host.commit(**{"site/a:b": b""})
    root = tmp_path / "made/for/this"
    for target in (root, tmp_path / "there"):
        with pytest.raises(Problems):
            deploy(host.repository.path, "main", target)
        (tmp_path / "there").mkdir(exist_ok=True)
    assert not (tmp_path / "made").exists()
    with pytest.raises(Problems):
        deploy(host.repository.path, "main", tmp_path / "there")
    assert names(tmp_path / "there") == set()
