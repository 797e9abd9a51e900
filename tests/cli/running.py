"""Running the command: in this process for most promises, as a process of its own for the rest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import blockpack
from cli.contracts import require_valid_output

TIMEOUT = 30.0
"""Seconds after which a process is taken to hang."""

FORMATS = ("tar", "fat")

Argument = str | Path


class Result(NamedTuple):
    """What a run of the command came to."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.decode().splitlines()

    @property
    def messages(self) -> list[str]:
        """The lines of standard error, without the command's name in front."""
        lines = self.err.splitlines()
        assert all(line.startswith("blockpack: ") for line in lines), self.err
        return [line.removeprefix("blockpack: ") for line in lines]


class Command(Protocol):
    """Runs the command in this process; the fixture ``command`` is one."""

    def __call__(self, *arguments: Argument, code: int = 0) -> Result:
        """Run with `arguments` and assert the exit code."""


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process' environment with `changes` (None takes out), and blockpack in its path."""
    merged: dict[str, str | None] = {
        **os.environ,
        "PYTHONPATH": str(Path(blockpack.__file__).parents[1]),
        **(changes or {}),
    }
    return {name: value for name, value in merged.items() if value is not None}


def python(*arguments: Argument) -> list[str]:
    """The command line of ``python -m blockpack``."""
    return [sys.executable, "-m", "blockpack", *map(str, arguments)]


def process(
    *arguments: Argument,
    code: int | None = 0,
    changes: Mapping[str, str | None] | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run ``python -m blockpack`` as a process of its own, and assert its exit code."""
    done = subprocess.run(
        python(*arguments),
        env=environment(changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT,
        pass_fds=pass_fds,
        check=False,
    )
    result = Result(done.returncode, done.stdout or b"", done.stderr.decode())
    assert "Traceback" not in result.err, result.err
    assert code is None or result.code == code, result
    require_valid_output(arguments, result.out)
    return result
