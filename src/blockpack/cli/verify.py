"""``blockpack verify``."""

from __future__ import annotations

from argparse import Namespace

from ..errors import ImageError
from ..formats.registry import format_named
from ..images.image import Image
from ..images.opening import open_image
from ..planning.layout import Layout
from ..workers.processors import Jobs
from . import arguments as options
from .output import complain, emit, progress_bar
from .outputs import leave_out

DIFFERENT = 1
"""The exit code for an image that is sound, and not what its source would give."""


def run(arguments: Namespace) -> int:
    """Check the image's structure, and with a source every byte, name, time and permission."""
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        from ..images.compare import differences, has_the_bytes

        layout = None if arguments.source is None else _planned(arguments, image)
        jobs: Jobs = getattr(arguments, "jobs", "auto")
        with progress_bar(arguments.image, quiet=arguments.quiet) as show:
            if layout is not None and has_the_bytes(image, layout, jobs, show):
                return _same(arguments)  # and sound, as all that is planned
        problems = image.verify()
        for problem in problems:
            emit(str(problem))
        if problems:
            return ImageError.exit_code
        if layout is None:
            if not arguments.quiet:
                complain(f"{arguments.image}: sound")
            return 0
        with progress_bar(arguments.image, quiet=arguments.quiet) as show:
            found = differences(image, layout, jobs, show)
    for difference in found:
        emit(str(difference))
    return DIFFERENT if found else _same(arguments)


def _planned(arguments: Namespace, image: Image) -> Layout | None:
    """What the source would give; None if the image does not even tell its options."""
    try:
        told = image.options()
    except ImageError:
        return None
    # Sizes and types are the image's own affair; what it shows is to be compared.
    own_affair = format_named(image.format).volume_class().sizing
    volume = options.volume(arguments, image.format, leaving_out=own_affair, told=told)
    tree = options.tree(arguments)
    leave_out(tree, arguments.source, filter(None, [arguments.image, arguments.key_file]))
    return volume.plan(tree, jobs=getattr(arguments, "jobs", "auto"))


def _same(arguments: Namespace) -> int:
    if not arguments.quiet:
        complain(f"{arguments.image}: sound, and the same as {arguments.source}")
    return 0
