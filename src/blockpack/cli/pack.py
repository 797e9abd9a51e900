"""``blockpack pack``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from attrs import asdict

from ..errors import UsageError, printable
from ..layers.ccm import encrypt
from ..layers.keys import read_key
from ..planning.layout import Layout
from ..planning.volume import Volume
from ..workers.processors import require_jobs
from ..writing.progress import Tell
from ..writing.write import Report, write, write_bytes
from . import flags, packing
from .output import amount, binary_output, emit_report, say
from .overwrites import check_outputs, replaced
from .progress_bar import progress_bar

EXAMPLE = "blockpack pack site www.img --format fat --label WWW --free 10M"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("source", metavar="SOURCE", help=flags.SOURCE)
    parser.add_argument("image", metavar="IMAGE", help="file or device; '-' is standard output")
    flags.add_json(parser)
    flags.add_jobs(parser, "number of processes")
    parser.add_argument("--manifest", metavar="FILE", help="write offsets and digests to FILE")
    parser.add_argument("--bmap", metavar="FILE", help="write a block map to FILE, for bmaptool")
    flags.add_quiet(parser)
    flags.add_key(parser, "encrypt IMAGE with the key in FILE")
    parser.add_argument("--fsync", action="store_true", help="flush the image to the disk")
    parser.add_argument(
        "--allow-device",
        action="store_true",
        help="IMAGE may be a device; everything on it is lost",
    )
    packing.add_options(parser, " (by the suffix of IMAGE)")


def run(arguments: Namespace) -> int:
    """Pack the source into the image."""
    to_output = arguments.image == "-"
    if to_output and arguments.json:
        raise UsageError(
            "", "the image and JSON cannot both go to standard output", "leave one out"
        )
    if to_output and binary_output().isatty():
        raise UsageError("", "an image does not belong on a terminal", "redirect the output")
    require_jobs(arguments.jobs)
    volume = packing.volume(arguments)
    layout = _planned(volume, arguments, None if to_output else arguments.image)
    with progress_bar(quiet=arguments.quiet) as progress:
        report = write(
            layout,
            binary_output() if to_output else arguments.image,
            progress=progress,
            jobs=arguments.jobs,
            fsync=arguments.fsync,
            allow_device=arguments.allow_device,
        )
        if arguments.manifest is not None:
            _write_manifest(layout, arguments.manifest, progress)
        if arguments.bmap is not None:
            _write_block_map(layout, arguments.image, arguments.bmap)
    if arguments.json:
        emit_report(_json(layout, report), f"{arguments.image} is written")
    elif not arguments.quiet:
        say(_summary(layout, report))
    return 0


def _planned(volume: Volume, arguments: Namespace, image: str | None) -> Layout:
    """The layout of what is to be written to `image`; None is standard output."""
    key_file: str | None = arguments.key_file
    if key_file is None:
        outputs = check_outputs(arguments.source, image, arguments.manifest, format=volume.format)
        return _plan(volume, arguments, outputs)
    if arguments.manifest is not None:
        raise UsageError("", "a manifest would tell what an encrypted image holds", "leave it out")
    key = read_key(key_file)
    outputs = check_outputs(arguments.source, image, None, format=volume.format, key_file=key_file)
    return encrypt(_plan(volume, arguments, [*outputs, key_file]), key)


def _plan(volume: Volume, arguments: Namespace, left_out: list[str]) -> Layout:
    layout = packing.layout(volume, arguments, left_out)
    if not arguments.quiet:
        for output in replaced(arguments.source, left_out):
            say(f"warning: {printable(output)}: is in the source; it is left out, and replaced")
        for warning in layout.warnings:
            say(f"warning: {warning}")
    return layout


def _json(layout: Layout, report: Report) -> dict[str, Any]:
    return {
        "format": layout.format,
        **asdict(report),
        "geometry": dict(layout.geometry),
        "warnings": list(map(str, layout.warnings)),
    }


def _summary(layout: Layout, report: Report) -> str:
    parts = [
        f"{printable(report.target)}: {layout.title}, {amount(report.size)} "
        f"in {report.seconds:.2f} s"
    ]
    if report.cloned:
        parts.append(f"{amount(report.cloned)} cloned")
    return ", ".join(parts)


def _write_manifest(layout: Layout, path: str, progress: Tell | None) -> None:
    """Write the manifest as images are written: whole, or not at all."""
    import json  # slow to import, as is what digests come from

    from ..images.contents import manifest

    found = manifest(layout, progress=progress)
    write_bytes(json.dumps(found, indent=2).encode("ascii") + b"\n", path)


def _write_block_map(layout: Layout, image: str, path: str) -> None:
    """Write the map of what has to be right; its digests are of the image, where that is a file."""
    from ..images.block_map import BlockMap  # slow to import

    if os.path.isfile(image):
        with open(image, "rb") as file:
            found = BlockMap.of(layout, file)
    else:
        found = BlockMap.of(layout)
    write_bytes(found.encoded(), path)
