"""``blockpack extract``."""

from __future__ import annotations

from argparse import Namespace

from ..images.extract import extract
from ..images.opening import open_image
from .output import complain, progress_bar


def run(arguments: Namespace) -> int:
    """Copy everything in the image to a new or empty directory."""
    with (
        open_image(arguments.image, key_file=arguments.key_file) as image,
        progress_bar(arguments.directory, quiet=arguments.quiet) as show,
    ):
        count = extract(image, arguments.directory, jobs="auto", progress=show)
    if not arguments.quiet:
        complain(f"{arguments.directory}: {count:,} entries")
    return 0
