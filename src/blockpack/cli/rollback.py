"""``blockpack rollback``."""

from __future__ import annotations

from argparse import Namespace

from ..deploy.rollout import rollback
from ..errors import printable
from .output import complain


def run(arguments: Namespace) -> int:
    """Make an older generation live."""
    generation = rollback(arguments.root, arguments.to, on_activate=arguments.on_activate)
    if not arguments.quiet:
        complain(f"{printable(str(generation.path))} is live")
    return 0
