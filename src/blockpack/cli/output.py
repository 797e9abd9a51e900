"""What the command prints: messages, data, and JSON."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, BinaryIO, TextIO

from ..errors import BlockpackError, Problems, TargetError, reason
from ..planning.options import ALL, DISK, as_key, key_of

OF_MANIFESTS = ("attach", "build", "check", "deploy", "init")
"""Commands whose volumes and trees have their options in a manifest."""

_FLAGS = {"replace": "--force", "runtime": "--runtime-dir"}
"""Flags that are not named as the library's arguments are."""

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
"""What stands before what is told of a change."""

_PASSWORD = re.compile(r"(?<=://)[^/@:\s]*:[^/@\s]*@")
"""Who asks, in a URL, and the word that proves it: no log is to have these."""


def say(message: str) -> None:
    """A message for the person at the terminal, on standard error."""
    if sys.stderr is None:  # it was closed when we were started
        return
    encoding = sys.stderr.encoding or "utf-8"
    with suppress(OSError):  # nobody is there to hear it; the exit code has to do
        for line in _PASSWORD.sub("", message).splitlines():
            text = line.encode(encoding, "backslashreplace").decode(encoding)
            print(f"blockpack: {text}", file=sys.stderr, flush=True)


def say_warnings(warnings: Iterable[object]) -> None:
    """What a user should hear of, though it can be done."""
    for warning in warnings:
        say(f"warning: {warning}")


def say_error(error: BaseException, command: str = "", margin: str = "") -> None:
    """Say what is wrong, in words of the `command` that was given."""
    if isinstance(error, Problems):
        say(f"{margin}{error.message}")
        for member in error.exceptions:
            say_error(member, command, f"{margin}  ")
    elif isinstance(error, BlockpackError):
        say(f"{margin}{error.told(partial(spelled, command))}")
    else:
        say(f"{margin}{error}")


def spelled(command: str, name: str, value: str) -> str:
    """An option of the library as the user of `command` gives it: a flag, or a manifest's line."""
    if command in OF_MANIFESTS and name in {option.name for option in (*ALL, *DISK)}:
        return f"{as_key(name, value)} in the manifest"
    if name == "epoch":
        return f"SOURCE_DATE_EPOCH={value}"
    flag = _FLAGS.get(name) or f"--{key_of(name)}"
    return f"{flag} {value}".rstrip()


class ReportError(TargetError):
    """What was asked for is done, and the report of it cannot be printed."""

    exit_code = 9


def emit(text: str) -> None:
    """A line of data, on standard output. Raises `TargetError` if it cannot be written there."""
    output = _output()
    encoding = output.encoding or "utf-8"
    with _output_errors():
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=output)


def binary_output() -> BinaryIO:
    """Standard output for bytes. Raises `TargetError` if it is closed."""
    return _output().buffer


def flush_output() -> None:
    """See to it that what was printed is out. Raises as `emit` does."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    """Tell an error of standard output as such, unless it is that nobody reads any more."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TargetError.of("standard output", "cannot be written", error) from None


def discard_output() -> None:
    """Discard what is still buffered, or it would fail again at the end."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _output() -> TextIO:
    if sys.stdout is None:
        raise TargetError("standard output", "is closed", "leave it open, or redirect it")
    return sys.stdout


def picked(value: object, *names: str) -> dict[str, Any]:
    """The attributes of those names, for JSON."""
    return {name: getattr(value, name) for name in names}


def emit_json(value: Any) -> None:
    """A JSON document on standard output; names that are not UTF-8 have surrogate escapes."""
    import json  # only where JSON is asked for

    emit(json.dumps(value, indent=2))


def emit_report(value: Any, done: str) -> None:
    """JSON about what is `done`. Raises `ReportError`, which says so, if it cannot be printed."""
    try:
        emit_json(value)
        flush_output()
    except (OSError, TargetError) as error:
        discard_output()
        why = error.rule if isinstance(error, BlockpackError) else reason(error)
        raise ReportError("standard output", f"{why}; {done} nevertheless") from None


def counted(count: int, noun: str) -> str:
    """So many of what a noun is for: ``1 file``, ``2 files``, ``3 entries``."""
    return f"{count:,} {noun if count == 1 else re.sub('y$', 'ie', noun) + 's'}"


def amount(count: float) -> str:
    """A number of bytes for people: ``12.3 MiB``."""
    power, unit = unit_of(count)
    return f"{count:,.0f} {unit}" if unit == "B" else f"{count / power:,.1f} {unit}"


def unit_of(count: float) -> tuple[int, str]:
    """The unit in which to tell a number of bytes, and how many of them it is."""
    power = 1
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < power << 10:
            return power, unit
        power <<= 10
    return power, "TiB"


def emit_facts(format: str, size: int, facts: Mapping[str, object]) -> None:
    """What is known of an image of `size` bytes, a fact a line; those without a value left out."""
    shown = {"format": format, "size": f"{size} ({amount(size)})", **facts}
    for name, value in shown.items():
        if value != "":
            emit(f"{name.replace('_', ' '):<18}{value}")
