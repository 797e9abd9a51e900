"""What a build leaves for the next one, ``.blockpack-build.json``: how all was that it looked at.

It is of use on the machine that wrote it alone, and no more than a shortcut: without it, or if
anything about it is in doubt, everything is built again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, Self

from attrs import asdict, field, frozen

STATE = ".blockpack-build.json"
"""The file's name, beside the images."""

SCHEMA = 1

Signature = tuple[int, ...]
"""What tells a file from what takes its place: size, time of modification, inode."""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """The signature of the file at `path`; None if there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


@frozen
class VolumeState:
    """A volume as it was built: its fingerprint, and the files that were made of it.

    `parts` are the paths that it was made of and `times` whether those of directories matter,
    `inputs` tells what was there.
    """

    fingerprint: str
    inputs: str | None
    parts: tuple[str, ...]
    times: bool
    files: Mapping[str, Signature]

    def is_whole(self, directory: str | os.PathLike[str]) -> bool:
        """Whether all files are in `directory`, as they were left."""
        return all(
            signature(os.path.join(directory, name)) == left for name, left in self.files.items()
        )


@frozen(kw_only=True)
class State:
    """A build as a whole.

    `source` is the directory that it was made of, `manifest` the digest of the manifest,
    `environment` what else it depends on, `record` the digest of the record. It is `complete` if
    every volume of the manifest was built.
    """

    source: str = ""
    manifest: str = ""
    environment: str = ""
    record: str = ""
    complete: bool = False
    volumes: Mapping[str, VolumeState] = field(factory=dict)

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Self:
        """The state in `directory`; an empty one if there is none, or it is not understood."""
        try:
            with open(os.path.join(directory, STATE), "rb") as file:
                values: Any = json.load(file)
            if values.pop("schema") != SCHEMA:
                return cls()
            volumes = {name: _volume(told) for name, told in values.pop("volumes").items()}
            return cls(**values, volumes=volumes)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()

    def write(self, directory: str | os.PathLike[str], staging: str | os.PathLike[str]) -> None:
        """Write the state to `directory`, first into `staging`. Raises `OSError`."""
        new = os.path.join(staging, STATE)
        with open(new, "w", encoding="ascii") as file:
            json.dump({"schema": SCHEMA, **asdict(self)}, file, indent=1)
            file.write("\n")
        os.replace(new, os.path.join(directory, STATE))


def _volume(values: dict[str, Any]) -> VolumeState:
    files = {name: tuple(left) for name, left in values.pop("files").items()}
    return VolumeState(files=files, parts=tuple(values.pop("parts")), **values)


def environment() -> str:
    """What a build depends on beside its source and its manifest."""
    from .. import __version__

    return f"{__version__} {os.environ.get('SOURCE_DATE_EPOCH', '')}"


def digest(data: bytes) -> str:
    """What tells bytes from others."""
    return hashlib.sha256(data).hexdigest()
