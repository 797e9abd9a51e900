"""Signals at any time: extracting leaves nothing, starting is quiet, what is ignored stays so."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import blockpack
from faults.launching import COMMAND, NO_NAMELESS_FILES, SLOW, launched, run, wait_until
from faults.rendering import differ_at, make_files, pattern, rendered

SLOW_EXTRACTION = """
import os, time
_utime = os.utime
def _slow(*arguments, **options):
    open(os.environ["STARTED"], "w").close()
    time.sleep(0.2)
    return _utime(*arguments, **options)
os.utime = _slow
"""
"""Before the command: each time that is set takes a while, and the first makes a file STARTED."""

IGNORING = """
import signal
signal.signal(signal.{name}, signal.SIG_IGN)
"""

ENDINGS = [
    (signal.SIGINT, 130, "blockpack: interrupted\n"),
    (signal.SIGTERM, 143, "blockpack: terminated\n"),
    (signal.SIGHUP, 129, "blockpack: terminated\n"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {f"{n % 10}/{n}": pattern(2000, n) for n in range(100)}
    return make_files(tmp_path / "source", files)


@pytest.fixture
def image(source: Path, tmp_path: Path) -> Path:
    layout = blockpack.TarVolume().plan(blockpack.scan(source))
    blockpack.write(layout, tmp_path / "x.tar")
    return tmp_path / "x.tar"


@pytest.mark.parametrize("there", [True, False], ids=["into a directory", "into nothing"])
@pytest.mark.parametrize(("number", "code", "message"), ENDINGS)
def test_a_signal_ends_extraction_and_leaves_nothing(
    image: Path, tmp_path: Path, number: int, code: int, message: str, there: bool
) -> None:
    place = tmp_path / "place"
    (place / "out" if there else place).mkdir(parents=True)
    started = tmp_path / "started"
    with launched(
        SLOW_EXTRACTION + COMMAND,
        *("extract", image, place / "out"),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
    ) as process:
        assert wait_until(started.exists)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.decode()) == (code, message)
    assert [path.name for path in place.rglob("*")] == (["out"] if there else [])


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_signal_that_is_ignored_from_the_start_is_not_heeded(
    source: Path, tmp_path: Path, name: str, jobs: int
) -> None:
    """As ``nohup`` has it, and a shell's ``&``; all processes of the group hear the signal."""
    started = tmp_path / "started"
    image = tmp_path / "x.img"
    with launched(
        SLOW.replace("0.5", "0.2") + NO_NAMELESS_FILES + IGNORING.format(name=name) + COMMAND,
        *("pack", source, image, "--format", "tar", "--quiet", "--jobs", str(jobs)),
        env={"STARTED": str(started)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert wait_until(started.exists)
        os.killpg(process.pid, getattr(signal, name))
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.decode()) == (0, "")
    expected = rendered(blockpack.TarVolume().plan(blockpack.scan(source)))
    assert differ_at(image.read_bytes(), expected) is None


AT_ONCE = """
import os
from blockpack import cli
_main = cli.main
def main():
    os.write(1, b"!")
    return _main()
cli.main = main
cli.command()
"""
"""Tells when the command begins: what the interpreter does before is not ours."""


LOST = """
import os, signal, sys, time, weakref
from blockpack.cli import pack
class Held:
    pass
def interrupted(_):
    os.kill(os.getpid(), getattr(signal, os.environ["NUMBER"]))
    for _ in range(1000):
        pass
def run(arguments):
    held = Held()
    reference = weakref.ref(held, interrupted)
    del held
    time.sleep(20)
pack.run = run
"""
"""Before the command: a signal comes while Python drops whatever is raised."""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_that_comes_while_nothing_can_be_raised_is_not_lost(
    number: str, code: int, source: Path
) -> None:
    begun = time.monotonic()
    arguments = ("pack", source, "x.tar")
    found, _, errors = run(LOST + COMMAND, *arguments, env={"NUMBER": number})
    assert (found, time.monotonic() - begun < 10) == (code, True)
    assert errors == ("blockpack: interrupted\n" if code == 130 else "blockpack: terminated\n")


def test_an_interrupt_right_at_the_start_is_never_a_traceback(source: Path, tmp_path: Path) -> None:
    for _ in range(10):
        with launched(
            AT_ONCE,
            *("pack", source, tmp_path / "x.img", "--format", "tar"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"!"
            time.sleep(random.uniform(0.005, 0.1))
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        assert b"Traceback" not in errors, errors.decode()
        assert process.returncode in (0, -signal.SIGINT, 130), errors.decode()
