"""From arguments to an exit code: parsing, and what becomes of errors."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import takewhile
from types import FrameType
from typing import Any, NoReturn

from .. import __version__
from ..errors import (
    BlockpackError,
    TargetError,
    UsageError,
    printable,
    raise_usage,
    reason,
    require_path,
)
from .output import discard_output, emit, flush_output, say, say_error

COMMANDS = {
    "pack": "pack a tree into an image",
    "disk": "build a disk: a partition table around images",
    "build": "build the images of a deployment",
    "check": "check a deployment for problems, and write nothing",
    "deploy": "make a commit the live generation of images on this host",
    "rollback": "make an older generation live",
    "status": "show what is live, and how generations differ",
    "gc": "remove old generations",
    "seed": "pack a directory into a seed for cloud-init (NoCloud)",
    "plan": "show what pack would write: size, geometry, extents",
    "serve": "serve an image, or what pack would write, as a block device (NBD)",
    "write": "write an image to a device",
    "diff": "show what differs between two images, sources or commits",
    "map": "draw what each byte of an image is for",
    "ls": "list what an image holds",
    "cat": "print a file of an image",
    "extract": "copy everything in an image to a directory",
    "info": "show an image's format and geometry",
    "verify": "check an image, by itself or against its source",
    "init": "write a manifest of volumes for a directory",
    "secrets": "encrypt and edit secrets, and change who can open them",
    "attach": "print the configuration that attaches images to a machine",
    "completion": "print a script that completes arguments in a shell",
}
"""What each command does. In the module of its name, `arguments` adds what it takes to a parser,
`EXAMPLE` is for its help, and `run` does it and gives the exit code.
"""

INTERRUPTED = 130

_WIDTH = 80  # characters
_HELP_COLUMN = 24


class Terminated(BaseException):
    """A signal that ends the process, as an exception: everything is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number  # what a shell shows for a process that the signal ended


class _Parser(argparse.ArgumentParser):
    """A parser whose errors look like all others, come together, and say what may be meant."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._wrong: list[str] = []

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with the message and a hint, or `WrongUsage` with what was found
        before as well.
        """
        wrong = [UsageError("", each) for each in self._wrong]
        raise_usage([*wrong, UsageError("", message, f"see '{self.prog} --help'")])
        raise AssertionError

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but for errors."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if self._wrong:
            if unknown:
                self._wrong.append(f"unrecognized arguments: {' '.join(unknown)}")
            self.error(self._wrong.pop())
        return parsed, unknown

    def _get_values(self, action: argparse.Action, words: list[str]) -> Any:
        """Go on to the next argument where one has a wrong value; argparse ends at the first."""
        try:
            return super()._get_values(action, words)
        except argparse.ArgumentError as error:
            if isinstance(action, argparse._SubParsersAction):  # without which nothing is known
                raise
            self._wrong.append(str(error))

    def format_help(self) -> str:
        """The help without empty lines between groups: it is to fit a screen."""
        return re.sub(r"\n\n(?=\S[^\n]*:\n  )", "\n", super().format_help())

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; argparse would pass over a disk that is full."""
        if file is sys.stdout:
            emit(message.rstrip("\n"))
            flush_output()
        elif file is not None:
            print(message, end="", file=file)

    def require_known(self, words: Sequence[str]) -> None:
        """Refuse options that there are not, before argparse takes what follows for theirs."""
        known = _options(self)
        for word in takewhile("--".__ne__, words):
            option = word.partition("=")[0]
            is_option = option.startswith("--") and " " not in word
            if is_option and not any(flag.startswith(option) for flag in known):
                self._wrong.append(f"unrecognized arguments: {word}{meant(option, known)}")
        if self._wrong:
            self.error(self._wrong.pop())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Offer the nearest choice for one that is none; argparse has no public way to do so."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += meant(str(value), map(str, action.choices or ()))
            raise


def _options(parser: argparse.ArgumentParser) -> set[str]:
    """All options of a parser, and of those for what it can be asked to do."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*map(_options, action.choices.values()))
    return found


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest of the `known` ones."""
    from difflib import get_close_matches  # only for errors

    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _usage(parser: argparse.ArgumentParser) -> str:
    """What must be given, in one line; argparse would tell of all options there."""
    parts = [parser.prog]
    for action in parser._actions:
        shown = str(action.metavar)
        if action.option_strings and action.required:
            parts.append(f"{action.option_strings[0]} {shown}")
        elif not action.option_strings:
            parts.append(f"[{shown}]" if action.nargs == "?" else shown)
    return " ".join([*parts, "[options]"])


def run(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`; the exit code."""
    command = arguments[0] if arguments else ""
    try:
        with _termination():
            for word in filter(None, arguments):
                require_path(word)
            parser, module = _parser(arguments)
            parsed = parser.parse_args(arguments)
            if module is None:
                with suppress(OSError):  # nobody is there to read it
                    parser.print_help(sys.stderr)
                return UsageError.exit_code
            code: int = module.run(parsed)
            flush_output()
            return code
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else UsageError.exit_code
    except BlockpackError as error:
        say_error(error, command)
        return error.exit_code
    except BrokenPipeError:
        discard_output()  # whoever read it has gone
        return TargetError.exit_code
    except MemoryError:
        say("there is not enough memory for this")
        return TargetError.exit_code
    except OSError as error:
        name = error.filename  # a descriptor's number, if that was all that was known
        shown = f"{printable(os.fsdecode(name))}: " if name and not isinstance(name, int) else ""
        say(f"{shown}{reason(error)}")
        return TargetError.exit_code
    except (KeyboardInterrupt, Terminated) as ending:
        return _ended(ending)


def _ended(ending: BaseException) -> int:
    say("terminated" if isinstance(ending, Terminated) else "interrupted")
    return ending.exit_code if isinstance(ending, Terminated) else INTERRUPTED


@contextmanager
def _termination() -> Iterator[None]:
    """Have the signals that end a process raise an exception meanwhile."""

    def terminate(number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated(number)

    def unraised(lost: sys.UnraisableHookArgs) -> None:
        # Python drops what is raised while a weak reference calls back, as they do in each import.
        # A signal that comes then ends the process; the next run tidies up, as after a kill.
        if isinstance(lost.exc_value, KeyboardInterrupt | Terminated):
            os._exit(_ended(lost.exc_value))
        hook(lost)

    before: dict[int, Any] = {}
    hook, sys.unraisablehook = sys.unraisablehook, unraised
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


def _parser(words: Sequence[str]) -> tuple[_Parser, Any]:
    """The parser of a command line of `words`, and the module of the command that it is about."""
    asks_for_help = not words or any(word in ("-h", "--help") for word in words)
    # Each argument is laid out to check it. Only help needs to know how wide the terminal is.
    layout = partial(
        argparse.RawDescriptionHelpFormatter,
        max_help_position=_HELP_COLUMN,
        width=None if asks_for_help else _WIDTH,
    )
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
    first = next((word for word in words if word != "--"), "")
    name = first if first in COMMANDS else None
    # Each takes its time, and only help and errors are about all.
    for each in [name] if name else COMMANDS:
        summary = COMMANDS[each]
        command = commands.add_parser(
            each,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=layout,
        )
        if each == name:
            chosen = command
    if name is None:
        return parser, None
    module = importlib.import_module(f".{name}", __package__)
    module.arguments(chosen)
    chosen.description = f"{chosen.description} For example:\n  {module.EXAMPLE}"
    chosen.usage = _usage(chosen)
    chosen.require_known(words)
    return parser, module
