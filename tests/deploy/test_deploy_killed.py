"""Whenever a deploy is killed, what is live is a whole generation, and the next run cleans up."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.status import status
from deploy.deployments import contents, names
from deploy.hosts import Host
from faults.launching import COMMAND, launched, run, wait_until

KILLS = 16  # the last of which is not cleaned up at once

AT_EACH_CALL = """
import json, os, signal, sys
from blockpack.cli import main
NAMES = "rename", "replace", "symlink", "link", "unlink", "rmdir", "mkdir", "fsync", "chmod"
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call
main(sys.argv[1:])  # so that all is imported
print(flush=True)
for line in sys.stdin:
    left, arguments = json.loads(line)
    process = os.fork()
    if not process:
        for name in NAMES:
            setattr(os, name, counted(getattr(os, name)))
        os._exit(main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Runs the command as often as it is asked to, each time killed right before the call of the number
that is given that changes names; 0 for none. That is faster than to start Python for each."""


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
    """The next run makes all well."""
    code, _, errors = run(COMMAND, *arguments(host))
    assert code == 0, errors
    settled(host, text)


def settled(host: Host, text: bytes) -> None:
    """The newest commit is live, the command ran, nothing is left."""
    assert contents(host.root / "current/site.img")["index.html"] == text
    assert host.live() == max(host.numbers())
    assert len(host.numbers()) <= 2
    assert names(host.root) == {"generations", "current", ".lock", "activations.jsonl"}
    told = host.told()
    assert told[-1][:2] == ["deploy", str(host.live())]


def test_a_kill_at_every_call_that_changes_names(host: Host, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with launched(AT_EACH_CALL, *arguments(Host(tmp_path / "other")), **streams) as forking:
        stdin, stdout = forking.stdin, forking.stdout
        assert stdin is not None and stdout is not None
        assert stdout.readline() == b"\n"

        def deploy(kill_at: int) -> int:
            line = json.dumps([kill_at, [*map(str, arguments(host))]])
            stdin.write(f"{line}\n".encode())
            stdin.flush()
            code = int(stdout.readline())
            assert wait_until(lambda: forking.processes() == [forking.pid])
            return code

        number = 0
        ended = False
        while not ended:
            number += 1
            text = b"%d" % number
            host.commit(**{"site/index.html": text})
            code = deploy(number)
            ended = code == 0
            assert ended or code == -signal.SIGKILL
            check(host, first=number == 1)
            assert deploy(0) == 0
            settled(host, text)
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
