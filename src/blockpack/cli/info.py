"""``blockpack info``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import raise_problems
from ..images.open_image import open_image
from . import flags
from .output import emit_facts, emit_json

EXAMPLE = "blockpack info www.img"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    flags.add_image(parser)
    flags.add_json(parser)


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
        raise_problems("some of the image cannot be read", image.problems)
    return 0
