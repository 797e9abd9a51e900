"""``blockpack verify``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial

from ..errors import ImageError, UsageError
from ..formats.registry import format_named
from ..images.address import split_address
from ..images.compare import Difference, differences, has_the_bytes
from ..images.image import Image
from ..images.open_image import open_image
from ..layers.disk.record import DISK
from ..planning.layout import Layout
from ..writing.progress import Tell
from . import flags, packing
from .output import emit, say, spelled
from .progress_bar import progress_bar

DIFFERENT = 1
"""The exit code for a sound image that differs from its source."""

_TELLING = {"has another time": "mtime", "the mode differs": "mode", "the owner differs": "owner"}
"""The option of an image that differs in such a way alone, perhaps since that was ``keep``."""

EXAMPLE = "blockpack verify www.img site"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "image", "--key-file")
    flags.value(
        parser, "source", "SOURCE", "compare every byte, name and time with this", nargs="?"
    )
    flags.add(parser, "--quiet")
    flags.value(parser, "--root-hash", "HEX", "the root hash of the hash tree")
    flags.value(parser, "--verity", "FILE", "the hash tree, if it is not behind IMAGE")
    flags.value(parser, "--hash-offset", "N", "byte where the hash tree begins")
    packing.add_options(parser, " (that of IMAGE)")


def run(arguments: Namespace) -> int:
    """Check the image's structure, and with a source every byte, name, time and permission."""
    with open_image(
        arguments.image,
        key_file=arguments.key_file,
        root_hash=arguments.root_hash,
        hash_offset=arguments.hash_offset,
        hash_tree=arguments.verity,
    ) as image:
        layout = None if arguments.source is None else _planned(arguments, image)
        with progress_bar(quiet=arguments.quiet) as progress:
            problems, found = _wrong(image, layout, progress)
    for each in (*(problem.told(partial(spelled, "verify")) for problem in problems), *found):
        emit(str(each))
    if problems:
        return ImageError.exit_code
    if found:
        ways = {next(filter(each.what.startswith, _TELLING), "") for each in found}
        names = [name for way, name in _TELLING.items() if way in ways]
        ungiven = all(getattr(arguments, name) is None for name in names)
        if len(names) == len(ways) and ungiven and not arguments.quiet:
            options = " ".join(spelled("verify", name, "keep") for name in names)
            say(f"if it was packed with {options}, give that here, too")
        return DIFFERENT
    if not arguments.quiet:
        same = "" if layout is None else f", and the same as {arguments.source}"
        say(f"{arguments.image}: sound{same}")
    return 0


def _wrong(
    image: Image, layout: Layout | None, progress: Tell | None
) -> tuple[list[ImageError], list[Difference]]:
    """What is wrong with an image, or else how it differs from the layout."""
    if layout is not None and has_the_bytes(image, layout, "auto", progress):
        # It is sound, as all that is planned; but a hash tree is not of the plan.
        has_tree = image.layer is not None and "root_hash" in image.layer.info()
        return (image.verify() if has_tree else []), []
    problems = image.verify(progress=progress)
    if problems or layout is None:
        return problems, []
    return [], differences(image, layout, "auto", progress)


def _planned(arguments: Namespace, image: Image) -> Layout | None:
    """What the source would give; None if the image does not even tell its options."""
    if image.format == DISK.name:
        rule = "is a disk, and one partition of it is compared at a time"
        raise UsageError(arguments.image, rule, f"name it: {arguments.image}#NUMBER")
    try:
        told = image.options()
    except ImageError:
        return None
    if arguments.format not in (None, image.format):
        rule = f"is {image.format}, not {arguments.format}"
        raise UsageError(arguments.image, rule, "leave --format out")
    if arguments.erofs and image.format == "tar" and not told.get("erofs"):
        raise UsageError(arguments.image, "is a tar, and no EROFS", "leave --erofs out")
    # Sizes and types are the image's own affair; what it shows is to be compared.
    own_affair = format_named(image.format).volume_class().sizing
    volume = packing.volume(arguments, image.format, leaving_out=own_affair, told=told)
    outputs = filter(None, [split_address(arguments.image)[0], arguments.key_file])
    return packing.layout(volume, arguments, outputs)
