"""Whenever a deploy is killed, what is live is a whole generation, and the next run cleans up."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from blockpack.deploy.generations import Generations
from blockpack.deploy.overview import status
from deploy.deployments import contents, names
from deploy.hosts import Host
from faults.launching import COMMAND, launched, run, wait_until

KILLS = 25

AT_EACH_CALL = """
import os, signal
_left = int(os.environ["KILL_AT"])
def _counted(function):
    def counted(*arguments, **options):
        global _left
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return counted
for _name in ("rename", "replace", "symlink", "link", "unlink", "rmdir", "mkdir", "fsync", "chmod"):
    setattr(os, _name, _counted(getattr(os, _name)))
"""
"""Before the command: it is killed right before the call of that number that changes names."""


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def arguments(host: Host, *more: str) -> tuple[str | Path, ...]:
    command = host.command()
    options = ("--to", host.root, "--keep", "2", "--on-activate", command, "--jobs", "1")
    return "deploy", f"{host.repository.path}@main", *options, "--quiet", *more


def check(host: Host, *, first: bool = False) -> None:
    """What is live is whole, or nothing is before the first."""
    generation = Generations(host.root).current() if host.root.exists() else None
    if generation is None:
        assert first
        return
    host.live_image_is_whole()


def clean(host: Host, text: bytes) -> None:
    """The next run makes all well: the newest commit is live, the command ran, nothing is left."""
    code, _, errors = run(COMMAND, *arguments(host))
    assert code == 0, errors
    assert contents(host.root / "current/site.img")["index.html"] == text
    assert host.live() == max(host.numbers())
    assert len(host.numbers()) <= 2
    assert names(host.root) == {"generations", "current", ".lock", "activations.jsonl"}
    told = host.told()
    assert told[-1][:2] == ["deploy", str(host.live())]


def test_a_kill_at_every_call_that_changes_names(host: Host) -> None:
    number = 0
    ended = False
    while not ended:
        number += 1
        text = b"%d" % number
        host.commit(**{"site/index.html": text})
        with launched(AT_EACH_CALL + COMMAND, *arguments(host), env={"KILL_AT": str(number)}) as it:
            it.wait(timeout=60)
            assert wait_until(lambda at=it: not at.processes())  # type: ignore[misc]
        ended = it.returncode == 0
        assert ended or it.returncode == -signal.SIGKILL
        check(host, first=number == 1)
        clean(host, text)
    assert number > 30  # all of them were met


def test_a_kill_at_any_time(host: Host) -> None:
    begun = time.monotonic()
    clean(host, b"<h1>hello</h1>\n")
    usual = time.monotonic() - begun
    for kill in range(KILLS):
        text = b"%d" % kill
        host.commit(**{"site/index.html": text})
        with launched(COMMAND, *arguments(host)) as process:
            time.sleep(usual * random.uniform(0.2, 1.1))
            process.kill()
            assert wait_until(lambda at=process: not at.processes())  # type: ignore[misc]
        check(host)
        if kill % 3:
            clean(host, text)
    clean(host, text)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_while_the_command_runs_undoes_the_switch(
    host: Host, number: int, code: int
) -> None:
    clean(host, b"<h1>hello</h1>\n")
    host.commit(**{"site/index.html": b"new"})
    started = host.place / "started"
    slow = (*arguments(host)[:-2], "1", "--on-activate", f"touch '{started}'; exec sleep 20")
    with launched(COMMAND, *slow, stderr=subprocess.PIPE) as process:
        assert wait_until(started.exists)
        process.send_signal(number)
        assert process.wait(timeout=10) == code
    assert host.live() == 1
    clean(host, b"new")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_rollback_that_is_ended_while_the_host_is_told_tells_it_again(
    host: Host, number: int
) -> None:
    clean(host, b"<h1>hello</h1>\n")
    host.commit(**{"site/index.html": b"bad"})
    clean(host, b"bad")
    started = host.place / "started"
    slow = ("rollback", host.root, "--on-activate", f"touch '{started}'; exec sleep 20")
    with launched(COMMAND, *slow) as process:
        assert wait_until(started.exists)
        assert not status(host.root).unfinished  # it is at work
        process.send_signal(number)
        process.wait()
    assert status(host.root).unfinished
    live = host.live()
    assert live == (1 if number == signal.SIGKILL else 2)
    report = host.deploy(on_activate=host.command())
    assert (report.outcome, host.live()) == ("activated", live)
    assert host.told()[0][1] == str(live)
    assert not status(host.root).unfinished
    expected = "held" if number == signal.SIGKILL else "unchanged"
    assert host.deploy(on_activate="false").outcome == expected


def test_a_run_that_broke_off_while_the_host_was_told_tells_it_again(host: Host) -> None:
    clean(host, b"<h1>hello</h1>\n")
    host.commit(**{"site/index.html": b"new"})
    started = host.place / "started"
    slow = (*arguments(host)[:-2], "1", "--on-activate", f"touch '{started}'; exec sleep 20")
    with launched(COMMAND, *slow) as process:
        assert wait_until(started.exists)
        process.kill()
        process.wait()
    assert host.live() == 2
    # If it fails then, what was live before is live again, as ever.
    failing = (*arguments(host)[:-2], "1", "--on-activate", "false")
    code, _, errors = run(COMMAND, *failing)
    assert code == 7
    assert "generation 1 is live again" in errors
    assert host.live() == 1
    clean(host, b"new")
    assert host.live() == 2
