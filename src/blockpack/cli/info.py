"""``blockpack info``."""

from __future__ import annotations

from argparse import Namespace

from ..images.opening import open_image
from .output import emit_facts, emit_json


def run(arguments: Namespace) -> int:
    """Show the image's format, size and geometry."""
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        facts = dict(image.info())
        if image.layer is not None:
            facts |= image.layer.info()
        if arguments.json:
            emit_json({"format": image.format, "size": image.size, "geometry": facts})
        else:
            emit_facts(image.format, image.size, facts)
    return 0
