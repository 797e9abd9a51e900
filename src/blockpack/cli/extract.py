"""``blockpack extract``."""

from __future__ import annotations

from argparse import Namespace

from ..images.extract import extract
from ..images.opening import open_image
from .output import complain


def run(arguments: Namespace) -> int:
    """Copy everything in the image to a new or empty directory."""
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        count = extract(image, arguments.directory)
    if not arguments.quiet:
        complain(f"{arguments.directory}: {count:,} entries")
    return 0
