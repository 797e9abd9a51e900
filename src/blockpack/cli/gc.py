"""``blockpack gc``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..deploy.host.rollout import collect
from ..deploy.host.settings import HostSettings
from ..errors import UsageError
from . import flags
from .output import say

EXAMPLE = "blockpack gc /var/lib/www --keep 3"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "root")
    what = "generations to keep that passed; the live one and one to go back to always stay"
    flags.value(parser, "--keep", "N", what, type=int)
    flags.add(parser, "--quiet")


def run(arguments: Namespace) -> int:
    keep = HostSettings.of(arguments.root).keep if arguments.keep is None else arguments.keep
    if keep is None:
        rule = "it is not known how many generations to keep"
        raise UsageError("", rule, "give --keep N, or set keep in ROOT/host.toml")
    removed = collect(arguments.root, keep)
    if not arguments.quiet:
        told = ", ".join(map(str, removed)) or "nothing"
        say(f"removed: {told}")
    return 0
