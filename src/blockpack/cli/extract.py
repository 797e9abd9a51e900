"""``blockpack extract``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..images.extract import extract
from ..images.open_image import open_image
from . import flags
from .output import counted, say
from .progress_bar import progress_bar

EXAMPLE = "blockpack extract www.img out"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "image", "--key-file")
    flags.value(parser, "directory", "DIR", "a new or an empty directory")
    flags.add(parser, "--quiet")


def run(arguments: Namespace) -> int:
    with (
        open_image(arguments.image, key_file=arguments.key_file) as image,
        progress_bar(quiet=arguments.quiet) as progress,
    ):
        count = extract(image, arguments.directory, jobs="auto", progress=progress)
    if not arguments.quiet:
        say(f"{arguments.directory}: {counted(count, 'entry')}")
    return 0
