"""From arguments to an exit code: parsing, and what becomes of errors."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from .. import __version__
from ..errors import BlockpackError, Problems, TargetError, UsageError, printable, reason
from .output import complain, flush_output

COMMANDS = {
    "pack": "pack a tree into an image",
    "build": "build the images of a deployment",
    "check": "look for all that is wrong with a deployment, and write nothing",
    "deploy": "make a commit the live generation of images on this host",
    "rollback": "make an older generation live",
    "status": "show what is live, and how generations differ",
    "gc": "remove old generations",
    "plan": "show what pack would write: size, geometry, extents",
    "ls": "list what an image holds",
    "cat": "print a file of an image",
    "extract": "copy everything in an image to a directory",
    "info": "show an image's format and geometry",
    "verify": "check an image, by itself or against its source",
    "init": "write a manifest of volumes for a directory",
    "secrets": "encrypt and edit secrets, and change who can open them",
    "attach": "print how a machine gets the images that were built",
}

INTERRUPTED = 130

_FLAGS = {"replace": "--force", "runtime": "--runtime-dir", "root": "--to"}
"""Flags that are not named as the library's arguments are."""

_WIDTH = 80  # characters
_MOMENT = 0.01  # seconds


class Terminated(BaseException):
    """A signal that ends the process, as an exception: everything is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        """What a shell shows for a process that the signal ended."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others."""

    def error(self, message: str) -> NoReturn:
        """Print the message and a hint, and exit with 2."""
        complain(f"{message}; see '{self.prog} --help'")
        raise SystemExit(UsageError.exit_code)


def run(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`; the exit code."""
    try:
        with _termination():
            parser = _parser(arguments)
            parsed = parser.parse_args(arguments)
            if parsed.command is None:
                if sys.stderr is not None:
                    parser.print_help(sys.stderr)
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
    except MemoryError:
        complain("there is not enough memory for this")
        return TargetError.exit_code
    except OSError as error:
        complain(f"{_named(error)}{reason(error)}")
        return TargetError.exit_code
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except Terminated as ending:
        complain("terminated")
        return ending.exit_code


def _named(error: OSError) -> str:
    """The beginning of what is told of an error: the file, where it is known by a name."""
    name = error.filename  # a descriptor's number, if that was all that was known
    return f"{printable(os.fsdecode(name))}: " if name and not isinstance(name, int) else ""


def _complain_about(error: BaseException, margin: str = "") -> None:
    if not isinstance(error, Problems):
        told = error.told(as_flag) if isinstance(error, BlockpackError) else error
        complain(f"{margin}{told}")
        return
    complain(f"{margin}{error.message}")
    for member in error.exceptions:
        _complain_about(member, f"{margin}  ")


def as_flag(name: str, value: str) -> str:
    """An option of the library as a flag of the command."""
    from ..planning.options import ALL

    flag = next((option.flag for option in ALL if option.name == name), "")
    flag = flag or _FLAGS.get(name) or f"--{name.replace('_', '-')}"
    return f"{flag} {value}".rstrip()


@contextmanager
def _termination() -> Iterator[None]:
    """Have the signals that end a process raise an exception meanwhile."""

    def terminate(number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated(number)

    before: dict[int, Any] = {}
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_unraised, hook)
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # not every system has both
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, terminate)
    except ValueError:  # not the main thread: then signals are somebody else's
        pass
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _unraised(hook: Callable[[Any], object], lost: sys.UnraisableHookArgs) -> None:
    """Have an ending that came while nobody could be told come again, in a moment.

    Python drops what is raised while a weak reference calls back, as they do in each import.
    """
    ending = lost.exc_value
    if not isinstance(ending, KeyboardInterrupt | Terminated):
        hook(lost)
        return

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise ending

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _MOMENT)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line of `words`; it knows the arguments of what it may be about."""
    asks_for_help = not words or any(word in ("-h", "--help") for word in words)
    # Each argument is laid out to check it. Only help needs to know how wide the terminal is.
    layout = partial(argparse.HelpFormatter, width=None if asks_for_help else _WIDTH)
    parser = _Parser(
        prog="blockpack",
        description="Pack a tree of files into a block-device image.",
        formatter_class=layout,
    )
    parser.add_argument("--version", action="version", version=f"blockpack {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        parser_class=_Parser,
        prog=parser.prog,  # or argparse would lay out the help to find that out
    )
    from . import arguments

    asked_for = [words[0]] if words and words[0] in COMMANDS else COMMANDS
    for name in asked_for:  # each takes its time, and only help and errors are about all
        summary = COMMANDS[name]
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=layout,
        )
        if name in words:
            getattr(arguments, f"add_{name}")(command)
    return parser
