"""Running the command: in this process for most promises, as a process of its own for the rest."""

from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, NamedTuple, NoReturn, Protocol

import blockpack
from blockpack import cli
from cli.contracts import require_valid_output

TIMEOUT = 30.0
"""Seconds after which a process is taken to hang."""

FORMATS = ("tar", "fat", "erofs")

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


def forked(
    *arguments: Argument,
    env: Mapping[str, str] | None = None,
    umask: int = -1,
    stdin: IO[bytes] | None = None,
    stdout: int | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own, forked from this one: Python takes a quarter of a
    second to start.
    """
    with open(os.devnull, "rb") as nothing:
        outputs, writer = os.pipe()
        errors, complaining = os.pipe()
        streams = (stdin or nothing).fileno(), writer if stdout is None else stdout, complaining
        child = begun(arguments, streams, env, umask)
    os.close(writer)
    os.close(complaining)
    try:
        said = _read_to_the_end(outputs, errors)
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    require_valid_output(arguments, said[0])
    return subprocess.CompletedProcess(arguments, code, *said)


def begun(
    arguments: Sequence[Argument],
    streams: Sequence[int],
    env: Mapping[str, str] | None = None,
    umask: int = -1,
) -> int:
    """Begin to run the command as a process that is forked from this one; its id."""
    with suppress(ImportError, IndexError):  # for those that are forked after it, too
        import_module(f"blockpack.cli.{arguments[0]}")
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, such as pytest-xdist's. This one holds no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        _become([*map(str, arguments)], streams, env, umask)
    return child


def _become(
    arguments: list[str], streams: Sequence[int], env: Mapping[str, str] | None, umask: int
) -> NoReturn:
    """Be what ``python -m blockpack`` is, with these standard streams and nothing else open."""
    code = 70
    try:
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        os.closerange(3, 1 << 12)
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        if umask >= 0:
            os.umask(umask)
        if "pyarrow" in sys.modules:  # it ends what is forked from here: its pipe is closed
            words = python(*arguments)
            os.execve(words[0], words, environment(env))
        usual = sys.__stdout__
        assert usual is not None
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding=usual.encoding, errors=usual.errors, closefd=False)
        sys.stderr = os.fdopen(
            2, "w", encoding=usual.encoding, errors="backslashreplace", closefd=False
        )
        sys.argv = ["blockpack", *arguments]
        vars(cli)["gc"] = gc  # which the command of that name took the place of
        cli.command()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _read_to_the_end(*pipes: int) -> list[bytes]:
    """What comes out of each of these pipes, which are then closed."""
    found = {pipe: bytearray() for pipe in pipes}
    left = set(pipes)
    while left:
        ready = select.select(left, [], [], TIMEOUT)[0]
        assert ready, f"the command said nothing for {TIMEOUT} s"
        for pipe in ready:
            data = os.read(pipe, 1 << 16)
            found[pipe] += data
            if not data:
                os.close(pipe)
                left.remove(pipe)
    return [bytes(found[pipe]) for pipe in pipes]


def process(
    *arguments: Argument,
    code: int | None = 0,
    changes: Mapping[str, str | None] | None = None,
    stdout: int | None = None,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run the command as a process of its own, and assert its exit code; as ``python -m
    blockpack`` where that can make a difference.
    """
    if changes is None and not pass_fds:
        done = forked(*arguments, stdout=stdout)
    else:
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
    return result
