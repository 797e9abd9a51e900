"""``blockpack write``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import printable, reading_errors
from ..images.block_map import MOST, BlockMap
from ..images.device_copy import write_image
from ..writing.files import own_descriptor
from . import flags
from .output import amount, binary_output, say
from .outputs import Output, check_outputs
from .progress_bar import progress_bar

EXAMPLE = "blockpack write card.img /dev/sdX --bmap card.bmap --verify --allow-device"


def arguments(parser: ArgumentParser) -> None:
    flags.value(
        parser, "image", "IMAGE", "an image of any kind, or a partition of a disk: card.img#2"
    )
    flags.output(parser, "target", "DEVICE", "a device; a file, which is replaced; or '-'")
    flags.value(parser, "--bmap", "FILE", "write what this block map says alone")
    flags.switch(parser, "--verify", "read back what was written")
    flags.switch(parser, "--allow-device", "DEVICE may be a device; everything on it is lost")
    flags.add(parser, "--quiet")


def run(arguments: Namespace) -> int:
    image, target = arguments.image, Output(arguments.target, "a copy", bool)
    check_outputs([image], [target], [arguments.bmap], allow_device=arguments.allow_device)
    block_map = None
    if arguments.bmap is not None:
        with reading_errors(arguments.bmap), open(arguments.bmap, "rb") as file:
            data = file.read(MOST + 1)
        block_map = BlockMap.parse(data, arguments.bmap)
    if own_descriptor(arguments.target) == 1:
        binary_output()  # raises if it is closed
    with progress_bar(quiet=arguments.quiet) as progress:
        report = write_image(
            image,
            arguments.target,
            block_map=block_map,
            verify=arguments.verify,
            allow_device=arguments.allow_device,
            progress=progress,
        )
    if not arguments.quiet:
        left = f", {amount(report.holes)} left out" if report.holes else ""
        same = ", and read back the same" if arguments.verify else ""
        say(f"{printable(report.target)}: {amount(report.copied)} written{left}{same}")
    return 0
