"""What is live under a root, since when, of what commit; and what differs between generations."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import frozen

from ...errors import BlockpackError, ImageError, SourceError
from ..record import BuildRecord, FromCommit, ImageRecord
from .generations import Generation, Generations

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


@frozen(kw_only=True)
class GenerationStatus:
    """One generation. `size` is that of its images, in bytes; those of secret volumes left out.

    `volumes` has each image, and `live_since` (seconds since 1970) is when the live one was
    switched to. Of one that is `damaged`, which says how, there is no more to tell than its name.
    """

    number: int
    name: str
    commit: str
    live: bool
    live_since: float | None
    size: int
    volumes: tuple[ImageRecord, ...]
    damaged: str | None = None


@frozen(kw_only=True)
class Status:
    """All generations under `root`, the oldest first; `name` is the deployment's.

    `changes` tells how the live generation differs from the one before it, whose number is
    `compared`. `unfinished` tells that a run was ended before the host had been told of a switch.
    """

    root: str
    name: str
    generations: tuple[GenerationStatus, ...]
    compared: int | None
    changes: tuple[VolumeChange, ...]
    unfinished: bool

    @property
    def live(self) -> GenerationStatus | None:
        """The generation that is live, if any is."""
        return next((each for each in self.generations if each.live), None)


def status(root: str | os.PathLike[str]) -> Status:
    """What there is under `root`.

    Raises `SourceError` if nothing was ever deployed there, and `ImageError` if what is live is
    damaged.
    """
    place = Generations.existing(root)
    current = place.current()
    since = place.live_since()
    records: dict[Generation, BuildRecord] = {}
    found: list[GenerationStatus] = []
    for generation in place.all():
        try:
            record = records[generation] = generation.record()
        except BlockpackError as error:
            if generation == current:
                raise
            found.append(_damaged(generation, str(error)))
        else:
            found.append(_status(generation, record, since if generation == current else None))
    older = [each for each in records if current is not None and each < current]
    before = older[-1] if older else None
    return Status(
        root=place.root,
        name=records[current].name if current in records else "",
        generations=tuple(found),
        compared=before.number if before else None,
        changes=tuple(differences(before, current)) if before and current else (),
        # Asked again, for a run that was at work at first may have ended in between.
        unfinished=place.broke_off() and not place.busy() and place.broke_off(),
    )


def _status(
    generation: Generation, record: BuildRecord, live_since: float | None
) -> GenerationStatus:
    return GenerationStatus(
        number=generation.number,
        name=generation.name,
        commit=record.source.commit if isinstance(record.source, FromCommit) else "",
        live=live_since is not None,
        live_since=live_since,
        size=sum(image.size or 0 for image in record.volumes),
        volumes=record.volumes,
    )


def _damaged(generation: Generation, how: str) -> GenerationStatus:
    return GenerationStatus(
        number=generation.number,
        name=generation.name,
        commit="",
        live=False,
        live_since=None,
        size=0,
        volumes=(),
        damaged=how,
    )


# Differences -------------------------------------------------------------------------------------


def differences(old: Generation, new: Generation) -> Iterator[VolumeChange]:
    """How the volumes of `new` differ from those of `old`, file by file.

    Raises `SourceError`, `ImageError` and `Problems` for a generation that is damaged.
    """
    before = {image.name: image for image in old.record().volumes}
    after = {image.name: image for image in new.record().volumes}
    for name in {**before, **after}:
        if name not in after:
            yield VolumeChange(name=name, change="removed")
        elif name not in before:
            yield VolumeChange(name=name, change="added")
        elif before[name] != after[name]:
            files = tuple(_files(old, before[name], new, after[name]))
            yield VolumeChange(name=name, change="changed", files=files)


def _files(
    old: Generation, before: ImageRecord, new: Generation, after: ImageRecord
) -> Iterator[FileChange]:
    if before.sha256 == after.sha256 or before.placements is None or after.placements is None:
        return
    was = _entries(old, before.placements)
    is_now = _entries(new, after.placements)
    for path in sorted({**was, **is_now}):
        if path not in is_now:
            yield FileChange(path=path, change="removed")
        elif path not in was:
            yield FileChange(path=path, change="added")
        elif was[path] != is_now[path]:
            yield FileChange(path=path, change="changed")


def _entries(generation: Generation, placements: str) -> Mapping[str, tuple[Any, ...]]:
    """What each entry of an image holds, by its path, as its placements tell."""
    path = generation.path / placements
    try:
        with open(path, "rb") as file:
            entries = json.load(file)["entries"]
        return {
            entry["path"]: (entry["kind"], entry.get("sha256"), entry.get("target"))
            for entry in entries
        }
    except OSError as error:
        raise SourceError.of(str(path), "cannot be read", error) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ImageError(
            str(path), "is no list of placements: it is damaged", "deploy again"
        ) from None
