"""What a build leaves for the next one, ``.blockpack-build.json``: how all was that it looked at.

It is of use on the machine that wrote it alone, and no more than a shortcut: without it, or if
anything about it is in doubt, everything is built again.

Most runs find everything as the last one left it, and they must not cost much: nothing slow is
imported, the manifest is compared and not parsed, and no file is read but the build's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from ...errors import BlockpackError, SourceError
from ...reading.ownership import open_trusted
from ...writing.place import Place
from ..file_names import RECORD
from ..source.inventory import Inventory, Subtree, digest_of
from ..source.paths import manifest_text

STATE = ".blockpack-build.json"
"""The file's name, beside the images."""

SCHEMA = 3

_UNREADABLE = OSError, SourceError, ValueError, TypeError, KeyError, AttributeError, RecursionError

Signature = tuple[int, ...]
"""What tells a file from what takes its place, or was written to it: size, time of modification,
inode, and time of change, which nobody can set."""

CONTENTS = 3
"""How much of a signature stays when a file gets another owner, mode or name."""

KEY_SUFFIX = ".key"
"""What the names of files end in that hold an image's key, beside it."""


def signature(path: str | os.PathLike[str]) -> Signature | None:
    """The signature of the file at `path`, or None."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def _is_as_left(directory: str, name: str, left: Signature) -> bool:
    """Whether a file is as it was left; a key may also have been taken to where it is needed."""
    found = signature(os.path.join(directory, name))
    return found == left or (found is None and name.endswith(KEY_SUFFIX))


class VolumeState(NamedTuple):
    """A volume as it was built: its fingerprint, and the signatures of its files by their names."""

    fingerprint: str
    files: Mapping[str, Signature]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The one that `values` are, which were JSON. Raises errors of any kind."""
        files = {name: tuple(left) for name, left in values["files"].items()}
        return cls(values["fingerprint"], files)

    def is_whole(self, directory: str) -> bool:
        """Whether all files are in `directory`, as they were left."""
        return all(_is_as_left(directory, name, left) for name, left in self.files.items())


class State(NamedTuple):
    """A build: the images that it left, and the `key` of what it depends on as a whole (`key_of`),
    which is empty unless every volume of the manifest was built. `subtrees` are what each was made
    of, if that was in a directory.
    """

    key: str = ""
    subtrees: tuple[tuple[Subtree, ...], ...] = ()
    volumes: Mapping[str, VolumeState] = MappingProxyType({})

    @classmethod
    def read(cls, directory: str) -> Self:
        """The state in `directory`; an empty one if there is none, or it is not understood."""
        try:
            with open(open_trusted(os.path.join(directory, STATE), SourceError), "rb") as file:
                values = json.load(file)
            if values["schema"] == SCHEMA:
                volumes = {name: VolumeState.of(each) for name, each in values["volumes"].items()}
                subtrees = (tuple(map(Subtree.of, each)) for each in values["subtrees"])
                return cls(values["key"], tuple(subtrees), volumes)
        except _UNREADABLE:
            pass
        return cls()

    def encoded(self) -> bytes:
        """The state as it is in its file."""
        volumes = {name: volume._asdict() for name, volume in self.volumes.items()}
        values = {"schema": SCHEMA, **self._asdict(), "volumes": volumes}
        return json.dumps(values, indent=1).encode("ascii") + b"\n"


def unchanged(source: str, directory: str, inventory: Inventory) -> list[str] | None:
    """The names of the volumes in `directory`, if a build of the directory `source` would change
    nothing there; None if it might, or if anything is in doubt.
    """
    state = State.read(directory)
    try:
        with Place.own(directory) as dist:
            left, record = dist.leftovers(), dist.read(RECORD)
        if (
            not state.key
            or left
            or not all(volume.is_whole(directory) for volume in state.volumes.values())
        ):
            return None
        inputs = map(inventory.digest, state.subtrees)
        if state.key != key_of(os.path.abspath(source), manifest_text(source), record, inputs):
            return None
    except (BlockpackError, OSError):  # it is for the build to tell
        return None
    return list(state.volumes)


def key_of(directory: str, manifest: bytes, record: bytes, inputs: Iterable[str | None]) -> str:
    """What tells a build: of which directory it was made, by which manifest, of which inputs of its
    volumes, and in which environment; and what its record says. Empty if an input is unknown.
    """
    import zlib

    from ... import __version__

    # The deflated parts of an image are what this zlib makes of them.
    environment = __version__, os.environ.get("SOURCE_DATE_EPOCH", ""), zlib.ZLIB_RUNTIME_VERSION
    facts = directory, manifest, record, *environment, *inputs
    return "" if None in facts else digest_of(facts)
