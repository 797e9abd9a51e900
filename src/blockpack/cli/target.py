"""Writing a planned image as the user asks for it: the flags, the checks before, and the report."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from attrs import asdict

from ..errors import UsageError, printable
from ..planning.layout import Layout
from ..writing.files import own_descriptor
from ..writing.progress import Tell
from ..writing.write import write, write_bytes
from . import flags
from .output import amount, binary_output, emit, emit_report, say
from .progress_bar import progress_bar


def add_target(parser: ArgumentParser) -> None:
    """Where an image is written to."""
    flags.output(parser, "image", "IMAGE", "file or device; '-' is standard output")


def add_options(parser: ArgumentParser) -> None:
    """How it is written, and what is written beside it."""
    flags.add(parser, "--json", "--jobs")
    flags.output(parser, "--manifest", "FILE", "write offsets and digests to FILE")
    flags.output(parser, "--bmap", "FILE", "write a block map to FILE, for bmaptool")
    flags.add(parser, "--quiet")
    flags.switch(parser, "--fsync", "flush the image to the disk")
    flags.switch(parser, "--allow-device", "IMAGE may be a device; everything on it is lost")


def require_writable(arguments: Namespace) -> None:
    """Raise `UsageError` if the image cannot go where it is to go."""
    to_output = _is_output(arguments.image)
    if arguments.json and (to_output or any(map(_is_output, (arguments.manifest, arguments.bmap)))):
        rule = "JSON is printed, so nothing else can go to standard output"
        raise UsageError("", rule, "write it to a file")
    if to_output and binary_output().isatty():
        raise UsageError("", "an image does not belong on a terminal", "redirect the output")


def _is_output(path: str | None) -> bool:
    return path is not None and own_descriptor(path) == 1


def write_layout(
    layout: Layout, arguments: Namespace, beside: Callable[[], object] | None = None, **more: Any
) -> None:
    """Write the image, what goes with it, and the report; with `more` in its JSON. What `beside`
    writes is there before the image takes its name.
    """
    with progress_bar(quiet=arguments.quiet) as progress:
        report = write(
            layout,
            binary_output() if _is_output(arguments.image) else arguments.image,
            progress=progress,
            jobs=arguments.jobs,
            fsync=arguments.fsync,
            allow_device=arguments.allow_device,
            before_named=beside,
        )
        if arguments.manifest is not None:
            _write_manifest(layout, arguments.manifest, progress)
        if arguments.bmap is not None:
            _write_block_map(layout, arguments.image, arguments.bmap)
    if arguments.json:
        told = {"geometry": dict(layout.geometry), "warnings": list(map(str, layout.warnings))}
        values = {"format": layout.format, **asdict(report), **told, **more}
        emit_report(values, f"{arguments.image} is written")
        return
    if not arguments.quiet:
        cloned = f", {amount(report.cloned)} cloned" if report.cloned else ""
        size, seconds = amount(report.size), f"{report.seconds:.2f} s"
        say(f"{printable(report.target)}: {layout.title}, {size} in {seconds}{cloned}")
    for name in ("root_hash", "usr_hash"):  # of hash trees
        if name in layout.geometry:
            (say if _is_output(arguments.image) else emit)(str(layout.geometry[name]))


def _write_manifest(layout: Layout, path: str, progress: Tell | None) -> None:
    """Write the manifest as images are written: whole, or not at all."""
    import json  # slow to import, as is what digests come from

    from ..images.contents import manifest

    found = manifest(layout, progress=progress)
    write_bytes(json.dumps(found, indent=2).encode("ascii") + b"\n", path)


def _write_block_map(layout: Layout, image: str, path: str) -> None:
    """Write the map of what has to be right; its digests are of the image, where that is a file."""
    from ..images.block_map import BlockMap  # slow to import

    is_file = os.path.isfile(image) and own_descriptor(image) is None
    with open(image, "rb") if is_file else nullcontext() as file:
        found = BlockMap.of(layout, file)
    write_bytes(found.encoded(), path)
