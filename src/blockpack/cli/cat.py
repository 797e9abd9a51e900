"""``blockpack cat``."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace

from ..image import open_image


def run(arguments: Namespace) -> int:
    """Copy one file of the image to standard output."""
    with open_image(arguments.image) as image, image.open(arguments.path) as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
    sys.stdout.buffer.flush()
    return 0
