"""``blockpack gc``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..deploy.host.rollout import collect
from . import flags
from .output import say

EXAMPLE = "blockpack gc /var/lib/www --keep 3"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    flags.add_root(parser)
    parser.add_argument(
        "--keep",
        type=int,
        metavar="N",
        required=True,
        help="generations to keep besides the live one",
    )
    flags.add_quiet(parser)


def run(arguments: Namespace) -> int:
    """Remove old generations."""
    removed = collect(arguments.root, arguments.keep)
    if not arguments.quiet:
        told = ", ".join(map(str, removed)) or "nothing"
        say(f"removed: {told}")
    return 0
