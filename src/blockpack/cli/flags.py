"""Arguments that several commands share, and how values of theirs are read.

Nothing is imported that takes long: build hooks start the command often.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import UsageError
from ..workers.processors import Jobs, require_jobs

_Value = TypeVar("_Value")

Parser = ArgumentParser | _ArgumentGroup

SOURCE = "directory, archive, image, git:REPO@REV, URL, or '-'"


def told(convert: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """`convert` for a parser, which says for which argument a value is wrong."""

    def converted(text: str) -> _Value:
        try:
            return convert(text)
        except UsageError as error:
            raise ArgumentTypeError(str(error)) from None

    return converted


def entry_text(text: str) -> str:
    """An argument that names entries: UTF-8 as in images, in any locale."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def _size(text: str) -> int:
    from ..planning.options import parse_size  # late, for most commands have no sizes

    return told(parse_size)(text)


def _jobs(text: str) -> Jobs:
    try:
        jobs: Jobs = "auto" if text == "auto" else int(text)
        require_jobs(jobs)
    except ValueError:
        rule = f"{text!r} is not a number from 1 on"
        raise ArgumentTypeError(f"{rule}; give --jobs auto") from None
    return jobs


_SHARED: dict[str, dict[str, Any]] = {
    "image": {
        "metavar": "IMAGE",
        "help": "an image or a device; IMAGE#N is a partition of a disk",
    },
    "source": {
        "metavar": "DIR",
        "nargs": "?",
        "default": os.curdir,
        "help": "directory of a deployment (default .), or git:REPO@REV",
    },
    "root": {"metavar": "ROOT", "help": "directory that was deployed to"},
    "--executor": {"metavar": "E", "help": "build with dask://HOST:PORT or MODULE:CALLABLE"},
    "--identity": {"metavar": "FILE", "help": "age or SSH identity that opens secrets"},
    "--jobs": {
        "type": _jobs,
        "metavar": "N",
        "default": "auto",
        "help": "number of processes (auto)",
    },
    "--json": {"action": "store_true", "help": "print JSON (docs/json.md)"},
    "--key-file": {"metavar": "FILE", "help": "IMAGE is encrypted with the key in FILE"},
    "--max-size": {"type": _size, "metavar": "SIZE", "help": "refuse larger images (K, M, G)"},
    "--on-activate": {
        "metavar": "CMD",
        "help": "shell command after a switch; if it fails, that is undone",
    },
    "--quiet": {"action": "store_true", "help": "print nothing but errors"},
}


def add(parser: ArgumentParser, *names: str, **how: Any) -> None:
    """Arguments of these names; `how` is what is special about them here."""
    for name in names:
        words = ("-q", name) if name == "--quiet" else (name,)
        parser.add_argument(*words, **_SHARED[name] | how)


def add_secrets(parser: ArgumentParser) -> None:
    """What secret volumes are opened and encrypted with."""
    add(parser, "--identity")
    add(parser, "--key-file", help="key for secret volumes (default: a new one for each)")


def value(parser: Parser, name: str, metavar: str | tuple[str, ...], help: str, **how: Any) -> None:
    """An argument with a value."""
    parser.add_argument(name, metavar=metavar, help=help, **how)


def written(path: str) -> str:
    """What an argument names that is written: ``-`` is standard output."""
    return "/dev/stdout" if path == "-" else path


def output(parser: Parser, name: str, metavar: str, help: str) -> None:
    """An argument that names what is written."""
    value(parser, name, metavar, help, type=written)


def repeatable(parser: Parser, name: str, metavar: str, help: str, **how: Any) -> None:
    """An argument with a value that may be given several times."""
    value(parser, name, metavar, f"{help}; repeatable", action="append", default=[], **how)


def switch(parser: Parser, name: str, help: str) -> None:
    """An argument that is given or not."""
    parser.add_argument(name, action="store_true", help=help)
