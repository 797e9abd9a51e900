"""The command, and programs that use the library, as processes that are watched and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import blockpack

PATIENCE = 30.0
"""Seconds after which what was waited for will not come about any more."""

_MARK = "BLOCKPACK_TEST_MARK"

COMMAND = "from blockpack.cli import command\ncommand()\n"

SLOW = """
import os, pathlib, time
_pwrite = os.pwrite
def _slow(*arguments):
    pathlib.Path(os.environ["STARTED"]).touch()
    time.sleep(0.5)
    return _pwrite(*arguments)
os.pwrite = _slow
"""
"""Before the command: each write takes half a second, and the first one makes a file STARTED."""

SLOW_START = """
import os, pathlib, time
_fork = os.fork
def _slow():
    process = _fork()
    if not process:
        pathlib.Path(os.environ["STARTED"]).touch()
        time.sleep(0.5)
    return process
os.fork = _slow
"""
"""Before the command: each worker makes a file STARTED, and takes half a second to start."""

NO_NAMELESS_FILES = """
import errno, os
_open = os.open
def _without_tmpfile(path, flags, *arguments, **options):
    if flags & os.O_TMPFILE == os.O_TMPFILE:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return _open(path, flags, *arguments, **options)
os.open = _without_tmpfile
"""
"""Before the command: a file system that knows no O_TMPFILE."""


class Launched(subprocess.Popen[bytes]):
    """A Python program, and a way to find all processes that it forked."""

    def __init__(self, program: str, *arguments: str | Path, **options: Any) -> None:
        self.mark = uuid4().hex
        search = [Path(blockpack.__file__).parents[1], os.environ.get("PYTHONPATH", "")]
        environment = {
            **os.environ,
            **options.pop("env", {}),
            "PYTHONPATH": os.pathsep.join(map(str, filter(None, search))),
            _MARK: self.mark,
        }
        command = [sys.executable, "-c", program, *map(str, arguments)]
        super().__init__(command, env=environment, **options)

    def processes(self) -> list[int]:
        """The ids of this process and of those that it forked, as far as they are alive."""
        wanted = f"{_MARK}={self.mark}".encode()
        found = []
        for name in os.listdir("/proc"):
            # What has ended, even if nobody has heard of it yet, has no environment.
            if name.isdecimal() and wanted in _environment(int(name)):
                found.append(int(name))
        return found

    def end_all(self) -> None:
        """End what is still there: a test that failed leaves nothing running."""
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        self.wait()


def _environment(process: int) -> list[bytes]:
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@contextmanager
def launched(program: str, *arguments: str | Path, **options: Any) -> Iterator[Launched]:
    """Run `program` with `arguments`; at the end of the block all its processes are ended."""
    with Launched(program, *arguments, **options) as process:
        try:
            yield process
        finally:
            process.end_all()


def wait_until(condition: Callable[[], object], patience: float = PATIENCE) -> bool:
    """Whether `condition` came to hold in time."""
    until = time.monotonic() + patience
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def run(program: str, *arguments: str | Path, **options: Any) -> tuple[int, bytes, str]:
    """Run `program` to its end: its exit code, and what it wrote to either output.

    No process of it may outlive it, and none may show a traceback.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    with launched(program, *arguments, **options) as process:
        output, errors = process.communicate(timeout=PATIENCE)
        left = process.processes()
    assert not left
    text = errors.decode()
    assert "Traceback" not in text, text
    return process.returncode, output or b"", text
