"""``blockpack cat``."""

from __future__ import annotations

import shutil
from argparse import Namespace

from ..images.opening import open_image
from .output import binary_output, flush_output


def run(arguments: Namespace) -> int:
    """Copy one file of the image to standard output."""
    with (
        open_image(arguments.image, key_file=arguments.key_file) as image,
        image.open(arguments.path) as file,
    ):
        shutil.copyfileobj(file, binary_output(), 1 << 20)
    flush_output()
    return 0
