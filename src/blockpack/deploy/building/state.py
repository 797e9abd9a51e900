"""What a build leaves for the next one, ``.blockpack-build.json``: how all was that it looked at.

Nothing slow is imported: this is read by each run, also by those that have nothing to do.

It is of use on the machine that wrote it alone, and no more than a shortcut: without it, or if
anything about it is in doubt, everything is built again.
"""

from __future__ import annotations

import hashlib
import json
import os

from ...errors import SourceError
from ...reading.ownership import open_trusted

TYPE_CHECKING = False  # typing is slow to import

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STATE = ".blockpack-build.json"
"""The file's name, beside the images."""

SCHEMA = 1

_UNREADABLE = OSError, SourceError, ValueError, TypeError, KeyError, AttributeError, RecursionError

Signature = tuple[int, ...]
"""What tells a file from what takes its place: size, time of modification, inode."""


KEY_SUFFIX = ".key"
"""What the names of files end in that hold an image's key, beside it."""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """The signature of the file at `path`; None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def _is_as_left(directory: str, name: str, left: Signature) -> bool:
    """Whether a file is as it was left; a key may also have been taken to where it is needed."""
    found = signature(os.path.join(directory, name))
    return found == left or (found is None and name.endswith(KEY_SUFFIX))


class VolumeState:
    """A volume as it was built: its fingerprint, and the files that were made of it.

    `parts` are the paths that it was made of, `times` tells whether those of directories matter,
    `inputs` what was there. `files` has signatures by names.
    """

    def __init__(
        self,
        fingerprint: str,
        inputs: str | None,
        parts: Sequence[str],
        times: bool,
        files: Mapping[str, Signature],
    ) -> None:
        self.fingerprint = fingerprint
        self.inputs = inputs
        self.parts = tuple(parts)
        self.times = times
        self.files = {name: tuple(left) for name, left in files.items()}

    def is_whole(self, directory: str) -> bool:
        """Whether all files are in `directory`, as they were left."""
        return all(_is_as_left(directory, name, left) for name, left in self.files.items())

    def with_files(self, files: Mapping[str, Signature]) -> VolumeState:
        """The same volume, in other files."""
        return VolumeState(self.fingerprint, self.inputs, self.parts, self.times, files)


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


def environment() -> str:
    """What a build depends on beside its source and its manifest."""
    import zlib

    from ... import __version__

    # The deflated parts of an image are what this zlib makes of them.
    return f"{__version__} {os.environ.get('SOURCE_DATE_EPOCH', '')} {zlib.ZLIB_RUNTIME_VERSION}"


def digest(data: bytes) -> str:
    """What tells bytes from others."""
    return hashlib.sha256(data).hexdigest()
