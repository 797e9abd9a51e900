"""``blockpack init``."""

from __future__ import annotations

import os
import stat
from argparse import ArgumentParser, Namespace
from contextlib import suppress
from functools import partial
from importlib.resources import files

from ..deploy.file_names import MANIFEST
from ..deploy.manifest.starter import starter
from ..errors import SourceError, UsageError, printable
from ..writing.place import Place
from ..writing.replacement import replacing
from ..writing.targets import target_errors
from . import flags
from .output import emit, say

EXAMPLE = "blockpack init site"


def arguments(parser: ArgumentParser) -> None:
    what = "directory to write it for (default .)"
    flags.value(parser, "directory", "DIR", what, nargs="?", default=os.curdir)
    flags.switch(parser, "--force", "replace an existing manifest")
    flags.switch(parser, "--schema", "print the JSON schema of manifests, for editors")


def run(arguments: Namespace) -> int:
    if arguments.schema:
        emit(files("blockpack").joinpath("deploy/schema.json").read_text("utf-8").rstrip())
        return 0
    directory: str = arguments.directory
    if not os.path.isdir(directory):
        raise SourceError(directory, "is not a directory", "give one that is there")
    path = os.path.join(directory, MANIFEST)
    with target_errors(path), Place.open(directory) as place:
        require_new = partial(_require_new, place, path, force=arguments.force)
        require_new()
        found = starter(directory)
        with replacing(place, MANIFEST, flush=True) as descriptor:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(found.text.encode())
            require_new()
    for volume in found.manifest.volumes.values():
        secret = ", secret" if volume.secret else ""
        say(f"{printable(path)}: {volume.name}: {volume.format}{secret}")
    for note in found.notes:
        say(f"{printable(path)}: {note}")
    return 0


def _require_new(place: Place, path: str, *, force: bool) -> None:
    """Raise `UsageError` for what is there already; a link is not even replaced by force."""
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(place.lstat(MANIFEST).st_mode):
            raise UsageError(path, "is a symbolic link", "remove it, or write what it leads to")
        if not force:
            raise UsageError(path, "is there already", option="replace")
