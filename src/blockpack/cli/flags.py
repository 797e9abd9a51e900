"""Arguments that several commands share, and how values of theirs are read.

Nothing is imported that takes long: build hooks start the command often.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Callable
from typing import TypeVar

from ..errors import UsageError
from ..workers.processors import Jobs

_Value = TypeVar("_Value")

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


def add_repeatable(
    parser: ArgumentParser | _ArgumentGroup, flag: str, metavar: str, help: str
) -> None:
    """An argument that may be given several times."""
    told = f"{help}; repeatable"
    parser.add_argument(flag, action="append", default=[], metavar=metavar, help=told)


def add_image(parser: ArgumentParser) -> None:
    """An image that is read, and its key."""
    parser.add_argument(
        "image", metavar="IMAGE", help="an image or a device; IMAGE#N is a partition of a disk"
    )
    add_key(parser, "IMAGE is encrypted with the key in FILE")


def add_key(parser: ArgumentParser, help: str) -> None:
    """The key of an image."""
    parser.add_argument("--key-file", metavar="FILE", help=help)


def add_deployment(parser: ArgumentParser) -> None:
    """Where a deployment is."""
    parser.add_argument(
        "source",
        metavar="DIR",
        nargs="?",
        default=os.curdir,
        help="directory of a deployment (default .), or git:REPO@REV",
    )


def add_root(parser: ArgumentParser) -> None:
    """Where generations are."""
    parser.add_argument("root", metavar="ROOT", help="directory that was deployed to")


def add_on_activate(parser: ArgumentParser) -> None:
    """The host's own command."""
    parser.add_argument(
        "--on-activate",
        metavar="CMD",
        help="shell command after a switch; if it fails, that is undone",
    )


def add_secrets(parser: ArgumentParser) -> None:
    """What secret volumes are opened and encrypted with."""
    parser.add_argument("--identity", metavar="FILE", help="age or SSH identity that opens secrets")
    parser.add_argument(
        "--key-file", metavar="FILE", help="key for secret volumes (default: a new one for each)"
    )


def add_executor(parser: ArgumentParser) -> None:
    """Who builds."""
    parser.add_argument(
        "--executor", metavar="E", help="build with dask://HOST:PORT or MODULE:CALLABLE"
    )


def add_max_size(parser: ArgumentParser) -> None:
    """The largest image."""
    from ..planning.options import parse_size  # late, for most commands have no sizes

    parser.add_argument(
        "--max-size", type=told(parse_size), metavar="SIZE", help="refuse larger images (K, M, G)"
    )


def add_jobs(parser: ArgumentParser, help: str) -> None:
    """How many processes work."""
    parser.add_argument("--jobs", type=_jobs, metavar="N", default="auto", help=f"{help} (auto)")


def _jobs(text: str) -> Jobs:
    try:
        return "auto" if text == "auto" else int(text)
    except ValueError:
        raise ArgumentTypeError(f"a number, or 'auto'; not {text!r}") from None


def add_json(parser: ArgumentParser) -> None:
    """JSON on standard output."""
    parser.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")


def add_quiet(parser: ArgumentParser) -> None:
    """Fewer messages."""
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
