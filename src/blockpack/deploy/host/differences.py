"""How the volumes of two generations differ, file by file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import frozen

from ...errors import ImageError, SourceError, reading_errors
from ...reading.ownership import open_trusted
from ..record import ImageRecord
from .generations import Generation

_TOLD = ("sha256", "target")

Change = Literal["added", "removed", "changed"]
"""What became of a volume, or of a file in one."""


@frozen(kw_only=True)
class FileChange:
    """A file, directory or link at `path` in a volume."""

    path: str
    change: Change


@frozen(kw_only=True)
class VolumeChange:
    """A volume that is not the same in two generations.

    `files` has what differs in it. There is nothing in it if the volume itself was added or
    removed, if it is secret, or if its options changed and no file did.
    """

    name: str
    change: Change
    files: tuple[FileChange, ...] = ()


def differences(old: Generation, new: Generation) -> Iterator[VolumeChange]:
    """How the volumes of `new` differ from those of `old`, file by file. Raises `SourceError`,
    `ImageError` and `Problems` for a generation that is damaged.
    """
    before = {image.name: image for image in old.record().volumes}
    after = {image.name: image for image in new.record().volumes}
    for name, change in changed(before, after):
        is_in_both = change == "changed"
        files = _files(old, before[name], new, after[name]) if is_in_both else ()
        yield VolumeChange(name=name, change=change, files=tuple(files))


def changed(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[tuple[str, Change]]:
    """What became of the values of two mappings, by their keys."""
    for key in {**old, **new}:
        if key not in new:
            yield key, "removed"
        elif key not in old:
            yield key, "added"
        elif old[key] != new[key]:
            yield key, "changed"


def _files(
    old: Generation, before: ImageRecord, new: Generation, after: ImageRecord
) -> Iterator[FileChange]:
    if before.sha256 == after.sha256 or before.placements is None or after.placements is None:
        return
    found = changed(_entries(old, before.placements), _entries(new, after.placements))
    yield from (FileChange(path=path, change=change) for path, change in sorted(found))


def _entries(generation: Generation, placements: str) -> Mapping[str, tuple[Any, ...]]:
    """What each entry of an image holds, by its path, as its placements tell."""
    path = str(generation.path / placements)
    try:
        with reading_errors(path), open(open_trusted(path, SourceError), "rb") as file:
            entries = json.load(file)["entries"]
        return {each["path"]: (each["kind"], *map(each.get, _TOLD)) for each in entries}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        rule = "is not a list of placements: it is damaged"
        raise ImageError(path, rule, "deploy again") from None
