"""``blockpack verify``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import ImageError, UsageError
from ..formats.registry import format_named
from ..images.compare import differences, has_the_bytes
from ..images.image import Image
from ..images.open_image import open_image
from ..planning.layout import Layout
from . import flags, packing
from .output import emit, progress_bar, say

DIFFERENT = 1
"""The exit code for an image that is sound, and not what its source would give."""

EXAMPLE = "blockpack verify www.img site"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    flags.add_image(parser)
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="also compare every byte, name and time"
    )
    flags.add_quiet(parser)
    packing.add_options(parser)


def run(arguments: Namespace) -> int:
    """Check the image's structure, and with a source every byte, name, time and permission."""
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        layout = None if arguments.source is None else _planned(arguments, image)
        with progress_bar("comparing", quiet=arguments.quiet) as progress:
            if layout is not None and has_the_bytes(image, layout, "auto", progress):
                return _same(arguments)  # and sound, as all that is planned
        with progress_bar("verifying", quiet=arguments.quiet) as progress:
            problems = image.verify(progress=progress)
        for problem in problems:
            emit(str(problem))
        if problems:
            return ImageError.exit_code
        if layout is None:
            if not arguments.quiet:
                say(f"{arguments.image}: sound")
            return 0
        with progress_bar("comparing", quiet=arguments.quiet) as progress:
            found = differences(image, layout, "auto", progress)
    for difference in found:
        emit(str(difference))
    return DIFFERENT if found else _same(arguments)


def _planned(arguments: Namespace, image: Image) -> Layout | None:
    """What the source would give; None if the image does not even tell its options."""
    try:
        told = image.options()
    except ImageError:
        return None
    if arguments.format not in (None, image.format):
        rule = f"is {image.format}, not {arguments.format}"
        raise UsageError(arguments.image, rule, "leave --format out")
    # Sizes and types are the image's own affair; what it shows is to be compared.
    own_affair = format_named(image.format).volume_class().sizing
    volume = packing.volume(arguments, image.format, leaving_out=own_affair, told=told)
    outputs = filter(None, [arguments.image, arguments.key_file])
    return packing.layout(volume, arguments, outputs)


def _same(arguments: Namespace) -> int:
    if not arguments.quiet:
        say(f"{arguments.image}: sound, and the same as {arguments.source}")
    return 0
