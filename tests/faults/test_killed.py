"""A run that is interrupted, terminated or killed leaves the old or the new image, whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from faults.injection import nameless_files
from faults.launching import (
    COMMAND,
    NO_NAMELESS_FILES,
    SLOW,
    SLOW_START,
    Launched,
    launched,
    run,
    wait_until,
)
from faults.rendering import pattern

OLD = pattern(100_000)
KILLS = 6


def pack(tree: Path, target: Path, jobs: int) -> tuple[str | Path, ...]:
    return "pack", tree, target, "--format", "tar", "--quiet", "--jobs", str(jobs)


def old_image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "x.img"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_kill_9_at_any_time_leaves_the_old_or_the_new_image(
    tree: Path, tmp_path: Path, jobs: int
) -> None:
    target = old_image(tmp_path)
    whole = tmp_path / "whole.img"
    begun = time.monotonic()
    assert run(COMMAND, *pack(tree, whole, jobs))[0] == 0
    usual = time.monotonic() - begun
    new = whole.read_bytes()
    nameless = nameless_files(tmp_path)
    for kill in range(KILLS):
        target.write_bytes(OLD)
        with launched(COMMAND, *pack(tree, target, jobs)) as process:
            # Nearly all of the writing is in the later half.
            time.sleep(usual * (random.uniform(0.3, 1.1) if kill else 0.1))
            process.kill()
            assert wait_until(lambda at=process: not at.processes()), "workers live on"  # type: ignore[misc]
        assert target.read_bytes() in (OLD, new)
        for name in set(os.listdir(target.parent)) - {target.name}:
            # Between two system calls a whole image has a name that is not yet the target's.
            left = target.parent / name
            assert not nameless or left.read_bytes() == new
            left.unlink()


def test_workers_end_soon_after_their_parent_was_killed(tree: Path, tmp_path: Path) -> None:
    target = old_image(tmp_path)
    environment = {"STARTED": str(tmp_path / "started")}
    with launched(SLOW + COMMAND, *pack(tree, target, 2), env=environment) as process:
        assert wait_until((tmp_path / "started").exists)
        assert wait_until(lambda: len(process.processes()) == 2)
        process.kill()
        process.wait()
        # Each of them is within half a second of its next report, and seconds from its end.
        assert wait_until(lambda: not process.processes(), patience=3)
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]


def end_by(signals: list[int], process: Launched, started: Path) -> str:
    """What a process says that is sent signals while it writes."""
    assert wait_until(started.exists)
    for number in signals:
        process.send_signal(number)
    process.wait(timeout=10)
    # Before the errors are read: their end is where the last of all the processes ends.
    assert not process.processes()
    _, errors = process.communicate()
    return str(errors.decode())


@pytest.mark.parametrize(
    ("number", "code", "message", "nameless", "jobs"),
    [
        (signal.SIGINT, 130, "blockpack: interrupted\n", True, 1),
        (signal.SIGINT, 130, "blockpack: interrupted\n", True, 2),
        (signal.SIGINT, 130, "blockpack: interrupted\n", False, 1),
        (signal.SIGTERM, 143, "blockpack: terminated\n", True, 2),
        (signal.SIGHUP, 129, "blockpack: terminated\n", False, 1),
    ],
)
def test_a_signal_ends_all_processes_and_leaves_the_old_image(
    tree: Path, tmp_path: Path, number: int, code: int, message: str, nameless: bool, jobs: int
) -> None:
    target = old_image(tmp_path)
    started = tmp_path / "started"
    program = SLOW + ("" if nameless else NO_NAMELESS_FILES) + COMMAND
    with launched(
        program,
        *pack(tree, target, jobs),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        errors = end_by([number], process, started)
    assert (process.returncode, errors) == (code, message)
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("moment", ["writing", "starting"])
@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "blockpack: interrupted\n"),
        (signal.SIGTERM, 143, "blockpack: terminated\n"),
        (signal.SIGHUP, 129, "blockpack: terminated\n"),
    ],
)
def test_a_signal_that_all_processes_hear_is_told_once_and_leaves_the_old_image(
    tree: Path, tmp_path: Path, number: int, code: int, message: str, moment: str
) -> None:
    """As a terminal sends it on Ctrl-C: to the whole process group."""
    target = old_image(tmp_path)
    started = tmp_path / "started"
    with launched(
        (SLOW if moment == "writing" else SLOW_START) + NO_NAMELESS_FILES + COMMAND,
        *pack(tree, target, 2),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert wait_until(started.exists)
        if moment == "writing":
            assert wait_until(lambda: len(process.processes()) == 2)
        os.killpg(process.pid, number)
        errors = end_by([], process, started)
    assert (process.returncode, errors) == (code, message)
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]


def test_a_signal_before_a_first_image_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    started, images = tmp_path / "started", tmp_path / "images"
    images.mkdir()
    with launched(
        SLOW + NO_NAMELESS_FILES + COMMAND,
        *pack(tree, images / "x.img", 1),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        end_by([signal.SIGTERM], process, started)
    assert process.returncode == 143
    assert os.listdir(images) == []
