"""``blockpack info``."""

from __future__ import annotations

from argparse import Namespace

from ..image import open_image
from .output import amount, emit, emit_json


def run(arguments: Namespace) -> int:
    """Show the image's format, size and geometry."""
    with open_image(arguments.image) as image:
        facts = dict(image.info())
        if arguments.json:
            emit_json({"format": image.format, "size": image.size, "geometry": facts})
            return 0
        emit(f"{'format':<18}{image.format}")
        emit(f"{'size':<18}{image.size} ({amount(image.size)})")
        for name, value in facts.items():
            emit(f"{name.replace('_', ' '):<18}{value}")
    return 0
