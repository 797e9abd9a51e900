"""From arguments to an exit code: parsing, and what becomes of errors."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from .. import __version__
from ..errors import BlockpackError, Problems, TargetError, UsageError
from .output import complain, flush_output

COMMANDS = {
    "pack": "pack a tree into an image",
    "plan": "show what pack would write: size, geometry, extents",
    "ls": "list what an image holds",
    "cat": "print a file of an image",
    "extract": "copy everything in an image to a directory",
    "info": "show an image's format and geometry",
    "verify": "check an image, by itself or against its source",
}

INTERRUPTED = 130
TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM, as an exception, so that everything is cleaned up on the way out."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others."""

    def error(self, message: str) -> NoReturn:
        """Print the message and a hint, and exit with 2."""
        complain(f"{message}; see '{self.prog} --help'")
        raise SystemExit(UsageError.exit_code)


def run(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`; the exit code."""
    # What is made here lives to the end and has no cycles; looking for them takes a tenth of
    # the time with a million entries.
    gc.disable()
    try:
        with _termination():
            parsed = _parser().parse_args(arguments)
            if parsed.command is None:
                _parser().print_help(sys.stderr)
                return UsageError.exit_code
            module = importlib.import_module(f".{parsed.command}", __package__)
            code: int = module.run(parsed)
            flush_output()
            return code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else UsageError.exit_code
    except BlockpackError as error:
        _complain_about(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered must not fail at exit too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return TargetError.exit_code
    except OSError as error:
        complain(f"{error.filename or 'blockpack'}: {(error.strerror or str(error)).lower()}")
        return TargetError.exit_code
    except KeyboardInterrupt:
        complain("interrupted; nothing was changed")
        return INTERRUPTED
    except Terminated:
        complain("terminated; nothing was changed")
        return TERMINATED


def _complain_about(error: BlockpackError) -> None:
    if not isinstance(error, Problems):
        complain(str(error))
        return
    complain(error.message)
    for member in error.exceptions:
        complain(f"  {member}")


@contextmanager
def _termination() -> Iterator[None]:
    """Have SIGTERM raise `Terminated` meanwhile."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread: then signals are somebody else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="blockpack", description="Pack a tree of files into a block-device image."
    )
    parser.add_argument("--version", action="version", version=f"blockpack {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    from . import arguments

    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        getattr(arguments, f"add_{name}")(command)
    return parser
