"""``blockpack verify``."""

from __future__ import annotations

from argparse import Namespace

from ..errors import ImageError
from ..formats.registry import format_named
from ..images.opening import open_image
from . import arguments as options
from .output import complain, emit
from .outputs import leave_out

DIFFERENT = 1
"""The exit code for an image that is sound, and not what its source would give."""


def run(arguments: Namespace) -> int:
    """Check the image's structure, and with a source every byte, name and time."""
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        problems = image.verify()
        for problem in problems:
            emit(str(problem))
        if problems:
            return ImageError.exit_code
        if arguments.source is None:
            if not arguments.quiet:
                complain(f"{arguments.image}: sound")
            return 0
        from ..images.compare import compare

        # Sizes and types are the image's own affair; what it shows is to be compared.
        own_affair = format_named(image.format).volume_class().sizing
        volume = options.volume(
            arguments, image.format, leaving_out=own_affair, told=image.options()
        )
        tree = options.tree(arguments)
        leave_out(tree, arguments.source, filter(None, [arguments.image, arguments.key_file]))
        layout = volume.plan(tree, jobs=getattr(arguments, "jobs", "auto"))
        different = False
        for difference in compare(image, layout):
            emit(str(difference))
            different = True
    if different:
        return DIFFERENT
    if not arguments.quiet:
        complain(f"{arguments.image}: sound, and the same as {arguments.source}")
    return 0
