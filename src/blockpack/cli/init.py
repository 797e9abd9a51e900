"""``blockpack init``."""

from __future__ import annotations

import os
from argparse import Namespace
from importlib.resources import files
from pathlib import Path

from ..errors import SourceError, UsageError, printable
from .output import complain, emit


def run(arguments: Namespace) -> int:
    """Write a manifest for the directory."""
    if arguments.schema:
        emit(files("blockpack").joinpath("deploy/schema.json").read_text("utf-8").rstrip())
        return 0
    from ..deploy.places import FILE
    from ..deploy.starter import starter

    if not arguments.directory.is_dir():
        raise SourceError(str(arguments.directory), "is no directory", "give one that is there")
    path = arguments.directory / FILE
    if not arguments.force and os.path.lexists(path):
        raise _is_there(path)
    found = starter(arguments.directory)
    _write(path, found.text, force=arguments.force)
    for volume in found.manifest.volumes.values():
        secret = ", secret" if volume.secret else ""
        complain(f"{printable(str(path))}: {volume.name}: {volume.format}{secret}")
    return 0


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write the manifest as images are written: whole, or not at all."""
    from ..writing.write import write_bytes

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
