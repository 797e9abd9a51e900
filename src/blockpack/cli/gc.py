"""``blockpack gc``."""

from __future__ import annotations

from argparse import Namespace

from ..deploy.rollout import collect
from .output import complain


def run(arguments: Namespace) -> int:
    """Remove old generations."""
    removed = collect(arguments.root, arguments.keep)
    if not arguments.quiet:
        told = ", ".join(map(str, removed)) or "nothing"
        complain(f"removed: {told}")
    return 0
