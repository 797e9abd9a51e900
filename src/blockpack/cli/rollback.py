"""``blockpack rollback``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..deploy.host.rollout import rollback
from ..deploy.host.settings import HostSettings
from ..errors import printable
from . import flags
from .output import say
from .progress_bar import progress_bar

EXAMPLE = "blockpack rollback /var/lib/www"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "root")
    flags.value(
        parser, "--to", "N", "go to generation N (default: newest older that passed)", type=int
    )
    flags.add(parser, "--on-activate", "--quiet")


def run(arguments: Namespace) -> int:
    command = arguments.on_activate
    if command is None:
        command = HostSettings.of(arguments.root).on_activate
    with progress_bar(quiet=arguments.quiet) as progress:
        generation = rollback(
            arguments.root, arguments.to, on_activate=command or None, progress=progress
        )
    if not arguments.quiet:
        say(f"{printable(str(generation.path))} is live")
    return 0
