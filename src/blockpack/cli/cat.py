"""``blockpack cat``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..images.open_image import open_image
from ..writing.targets import Copying, Streaming, copy_content
from . import flags
from .output import binary_output, flush_output

EXAMPLE = "blockpack cat www.img index.html"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "image", "--key-file")
    flags.value(parser, "path", "PATH", "a file in the image", type=flags.entry_text)


def run(arguments: Namespace) -> int:
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        target = Streaming.to(binary_output())
        copy_content(image.content(arguments.path), target, Copying.by(lambda _: None))
    flush_output()
    return 0
