"""Whenever a deploy is killed, what is live is a whole generation, and the next run cleans up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from blockpack.deploy.host.generations import Generations
from blockpack.deploy.host.status import status
from deploy.deployments import contents, names, record
from deploy.hosts import Host
from faults.launching import COMMAND, Launched, launched, run, wait_until

KILLS = 10  # the last of which is not cleaned up at once

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
STEP = 1 if THOROUGH else 15
"""Of the calls that a run makes, every so manieth is met by a fault."""

AT_EACH_CALL = """
import errno, json, os, signal, sys
from blockpack.cli import main
NAMES = (
    "open", "write", "pwrite", "ftruncate", "fsync", "chmod", "fchmod", "mkdir", "rmdir", "link",
    "symlink", "rename", "replace", "unlink", "listdir",
)
def counted(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0 and fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if left == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments, **options)
    return call
main(sys.argv[1:])  # so that all is imported
print(flush=True)
for line in sys.stdin:
    fault, left, arguments = json.loads(line)
    process = os.fork()
    if not process:
        for name in NAMES:
            setattr(os, name, counted(getattr(os, name)))
        code = main(arguments)
        os._exit(code if left > 0 or fault == "kill" else code + 100)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
"""Runs the command as often as it is asked to, each time with a fault at the call of the number
that is given: it is killed right before, or the call fails. To start Python for each would be slow.
A run that met an error, and went on to its end, ends with 100 more."""


class Runs:
    """Runs of the command with a fault at one of its calls."""

    def __init__(self, process: Launched) -> None:
        self._process = process
        assert process.stdout is not None and process.stdout.readline() == b"\n"

    def run(self, fault: str, number: int, arguments: Iterable[str | Path]) -> int:
        """The exit code of a run; 0 as a number is no call."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        line = json.dumps([fault, number or 1 << 30, [*map(str, arguments)]])
        stdin.write(f"{line}\n".encode())
        stdin.flush()
        code = int(stdout.readline())
        assert wait_until(lambda: self._process.processes() == [self._process.pid])
        return code


@pytest.fixture(name="runs", scope="module")
def fixture_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    other = Host(tmp_path_factory.mktemp("other"))
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with launched(AT_EACH_CALL, *arguments(other), **streams) as process:
        yield Runs(process)


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


def all_whole(host: Host) -> None:
    """Whatever has the name of a generation is one, and what is live is one of them."""
    place = Generations(host.root)
    for generation in place.all():
        record(generation.path)
    place.current()


LEAST = {"deploy": 110, "failed": 110, "rollback": 15, "gc": 20}
"""Calls that each of these makes at least."""

FAILING = '[ "$BLOCKPACK_WHY" = undone ]'


def prepared(host: Host, runs: Runs, what: str, number: int) -> tuple[str | Path, ...]:
    """What is to be run, with all that it needs: two generations at least, and a new commit."""
    plain = ("deploy", f"{host.repository.path}@main", "--to", host.root, "--quiet", "--jobs", "1")
    for text in ("one", "two", "three")[: 3 if what == "gc" else 2]:
        if what != "deploy" or number < 2:
            host.commit(**{"site/index.html": f"{text} {number}".encode()})
            assert runs.run("none", 0, plain) == 0
    if what == "rollback":
        return ("rollback", host.root, "--on-activate", host.command(), "--quiet")
    if what == "gc":
        return ("gc", host.root, "--keep", "1", "--quiet")
    host.commit(**{"site/index.html": b"%d" % number})
    return (*plain, "--on-activate", FAILING) if what == "failed" else arguments(host)


@pytest.mark.parametrize("fault", ["kill", "EIO"])
@pytest.mark.parametrize("what", ["deploy", "failed", "rollback", "gc"])
def test_a_fault_at_any_call_leaves_whole_generations(
    host: Host, runs: Runs, what: str, fault: str
) -> None:
    number = 1 if THOROUGH else random.randrange(1, STEP)
    met = 0
    while True:  # until there is no such call
        words = prepared(host, runs, what, number)
        before = Generations(host.root).current()
        code = runs.run(fault, number, words)
        all_whole(host)
        after = Generations(host.root).current()
        if fault == "EIO" and code % 100 and what != "gc":
            assert after == before, f"call {number}: what was live is not"
        assert runs.run("none", 0, arguments(host)) == 0
        if what in ("deploy", "failed"):
            settled(host, b"%d" % number)
        if code >= 0 and (fault == "kill" or code < 100):
            break
        met, number = met + 1, number + STEP
    assert met >= LEAST[what] // STEP


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
