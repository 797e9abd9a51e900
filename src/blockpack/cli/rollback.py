"""``blockpack rollback``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..deploy.host.rollout import rollback
from ..errors import printable
from . import flags
from .output import say

EXAMPLE = "blockpack rollback /var/lib/www"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    flags.add_root(parser)
    parser.add_argument(
        "--to", type=int, metavar="N", help="go to generation N (default: the one before)"
    )
    flags.add_on_activate(parser)
    flags.add_quiet(parser)


def run(arguments: Namespace) -> int:
    """Make an older generation live."""
    generation = rollback(arguments.root, arguments.to, on_activate=arguments.on_activate)
    if not arguments.quiet:
        say(f"{printable(str(generation.path))} is live")
    return 0
