"""What a build leaves for the next one, ``.blockpack-build.json``: how all was that it looked at.

It is of use on the machine that wrote it alone, and no more than a shortcut: without it, or if
anything about it is in doubt, everything is built again.

Most runs find everything as the last one left it, and they must not cost much: nothing slow is
imported, the manifest is compared and not parsed, and no file is read but the build's own.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from ...errors import BlockpackError, SourceError
from ...reading.ownership import open_trusted
from ...writing.place import Place
from ..file_names import RECORD
from ..source.paths import inside, manifest_text, subtree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...sources.options import Symlinks
    from ..source.inventory import Inventory, Subtree

STATE = ".blockpack-build.json"
"""The file's name, beside the images."""

SCHEMA = 2

_UNREADABLE = OSError, SourceError, ValueError, TypeError, KeyError, AttributeError, RecursionError

Signature = tuple[int, ...]
"""What tells a file from what takes its place, or was written to it: size, time of modification,
inode, and time of change, which nobody can set."""

CONTENTS = 3
"""How much of a signature stays when a file gets another owner, mode or name."""

KEY_SUFFIX = ".key"
"""What the names of files end in that hold an image's key, beside it."""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """The signature of the file at `path`; None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def _is_as_left(directory: str, name: str, left: Signature) -> bool:
    """Whether a file is as it was left; a key may also have been taken to where it is needed."""
    found = signature(os.path.join(directory, name))
    return found == left or (found is None and name.endswith(KEY_SUFFIX))


class VolumeState:
    """A volume as it was built: its fingerprint, and the files that were made of it.

    `parts` are the paths that it was made of, `inputs` tells what was there; `dated`, `exclude` and
    `symlinks` are as in `Subtree`. `files` has signatures by names.
    """

    def __init__(
        self,
        *,
        fingerprint: str,
        inputs: str | None,
        parts: Sequence[str],
        dated: bool,
        exclude: Sequence[str],
        symlinks: Symlinks,
        files: Mapping[str, Signature] | None = None,
    ) -> None:
        self.fingerprint = fingerprint
        self.inputs = inputs
        self.parts = tuple(parts)
        self.dated = dated
        self.exclude = tuple(exclude)
        self.symlinks = symlinks
        self.files = {name: tuple(left) for name, left in (files or {}).items()}

    def subtrees(self, root: str, left_out: Sequence[str]) -> Iterator[Subtree]:
        """What it is made of in the directory `root`. Raises `SourceError` and `UsageError`."""
        options = self.dated, self.exclude, self.symlinks
        return (subtree(root, part, left_out, *options) for part in self.parts)

    def is_whole(self, directory: str) -> bool:
        """Whether all files are in `directory`, as they were left."""
        return all(_is_as_left(directory, name, left) for name, left in self.files.items())

    def with_files(self, files: Mapping[str, Signature]) -> VolumeState:
        """The same volume, in other files."""
        return VolumeState(**{**vars(self), "files": files})

    def untold(self) -> VolumeState:
        """The same volume, if nothing may be noted of what is in it."""
        return VolumeState(**{**vars(self), "fingerprint": "", "inputs": None})


class State:
    """A build as a whole.

    `source` is the directory that it was made of, `manifest` the digest of the manifest,
    `environment` what else it depends on, `record` the digest of the record. It is `complete` if
    every volume of the manifest was built.
    """

    def __init__(
        self,
        *,
        source: str = "",
        manifest: str = "",
        environment: str = "",
        record: str = "",
        complete: bool = False,
        volumes: Mapping[str, VolumeState] | None = None,
    ) -> None:
        self.source = source
        self.manifest = manifest
        self.environment = environment
        self.record = record
        self.complete = complete
        self.volumes = dict(volumes or {})

    @classmethod
    def read(cls, directory: str) -> State:
        """The state in `directory`; an empty one if there is none, or it is not understood."""
        try:
            with open(open_trusted(os.path.join(directory, STATE), SourceError), "rb") as file:
                values = json.load(file)
            if values.pop("schema") != SCHEMA:
                return cls()
            volumes = {name: VolumeState(**told) for name, told in values.pop("volumes").items()}
            return cls(**values, volumes=volumes)
        except _UNREADABLE:
            return cls()

    def encoded(self) -> bytes:
        """The state as it is in its file."""
        volumes = {name: vars(volume) for name, volume in self.volumes.items()}
        values = {"schema": SCHEMA, **vars(self), "volumes": volumes}
        return json.dumps(values, indent=1).encode("ascii") + b"\n"


def unchanged(source: str, directory: str, inventory: Inventory) -> list[str] | None:
    """The names of the volumes in `directory`, if a build of the directory `source` would change
    nothing there; None if it might, or if anything is in doubt.
    """
    state = State.read(directory)
    try:
        with Place.own(directory) as dist:
            left, record = dist.leftovers(), dist.read(RECORD)
        if not (
            state.complete
            and state.environment == environment()
            and state.source == os.path.abspath(source)
            and state.manifest == digest(manifest_text(source))
            and state.record == digest(record)
            and all(volume.is_whole(directory) for volume in state.volumes.values())
            and not left
        ):
            return None
        place = inside(source, directory)
        left_out = () if place is None else (place,)
        for volume in state.volumes.values():
            told = inventory.digest(volume.subtrees(state.source, left_out))
            if told is None or told != volume.inputs:
                return None
    except (BlockpackError, OSError):  # it is for the build to tell
        return None
    return list(state.volumes)


def environment() -> str:
    """What a build depends on beside its source and its manifest."""
    import zlib

    from ... import __version__

    # The deflated parts of an image are what this zlib makes of them.
    return f"{__version__} {os.environ.get('SOURCE_DATE_EPOCH', '')} {zlib.ZLIB_RUNTIME_VERSION}"


def digest(data: bytes) -> str:
    """What tells bytes from others."""
    return hashlib.sha256(data).hexdigest()
