"""``blockpack init``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from importlib.resources import files
from pathlib import Path

from ..deploy.file_names import MANIFEST
from ..deploy.manifest.starter import starter
from ..errors import SourceError, UsageError, printable
from ..writing.write import write_bytes
from .output import emit, say

EXAMPLE = "blockpack init site"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default=os.curdir,
        help="directory to write it for (default .)",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing manifest")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of manifests, for editors"
    )


def run(arguments: Namespace) -> int:
    """Write a manifest for the directory."""
    if arguments.schema:
        emit(files("blockpack").joinpath("deploy/schema.json").read_text("utf-8").rstrip())
        return 0
    directory = Path(arguments.directory)
    if not directory.is_dir():
        raise SourceError(arguments.directory, "is not a directory", "give one that is there")
    path = directory / MANIFEST
    if not arguments.force and os.path.lexists(path):
        raise _is_there(path)
    found = starter(directory)
    _write(path, found.text, force=arguments.force)
    for volume in found.manifest.volumes.values():
        secret = ", secret" if volume.secret else ""
        say(f"{printable(str(path))}: {volume.name}: {volume.format}{secret}")
    return 0


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write the manifest as images are written: whole, or not at all."""
    data = text.encode()
    if force:
        write_bytes(data, path)
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise _is_there(path) from None
    try:
        write_bytes(data, path)
    except BaseException:
        path.unlink()
        raise


def _is_there(path: Path) -> UsageError:
    return UsageError(str(path), "is there already", option="replace")
