"""What is live under a root, since when, of what commit; what passed or failed; its space."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from attrs import frozen

from ...errors import BlockpackError, TargetError
from ...writing.progress import Tell
from ..record import BuildRecord, ImageRecord
from .differences import VolumeChange, differences
from .disk_use import disk_use
from .generations import CURRENT, Generation, Generations
from .root import Root
from .settings import HostSettings
from .soundness import damage


@frozen(kw_only=True)
class GenerationStatus:
    """One generation.

    `volumes` has each image, and `live_since` (seconds since 1970) is when the live one was
    switched to. It `passed` if the host's command did not fail for it; `failed` tells why it did.
    Of one that is `damaged`, which says how, there is no more to tell than its name.
    """

    number: int
    name: str
    commit: str = ""
    live_since: float | None = None
    passed: bool = False
    failed: str | None = None
    volumes: tuple[ImageRecord, ...] = ()
    damaged: str | None = None

    @property
    def live(self) -> bool:
        """Whether it is the one that is live."""
        return self.live_since is not None

    @property
    def size(self) -> int:
        """Bytes of its images; those of secret volumes left out."""
        return sum(image.size or 0 for image in self.volumes)


@frozen(kw_only=True)
class Status:
    """All generations under `root`, the oldest first; `name` is the deployment's.

    `changes` tells how the live generation differs from the one before it, whose number is
    `compared`. `unfinished` tells that a run was ended before the host had been told of a switch.
    `way_back` is what a rollback goes to. All takes `disk_use` bytes, what is shared counted once;
    `collect` with `keep` would remove `outdated` generations, and free `freed` bytes.
    """

    root: str
    name: str
    generations: tuple[GenerationStatus, ...]
    compared: int | None
    changes: tuple[VolumeChange, ...]
    unfinished: bool
    way_back: int | None
    disk_use: int
    keep: int
    outdated: tuple[int, ...]
    freed: int

    @property
    def live(self) -> GenerationStatus | None:
        """The live generation, if there is one."""
        return next((each for each in self.generations if each.live), None)


def status(root: str | os.PathLike[str]) -> Status:
    """What there is under `root`. Raises `SourceError` if nothing was ever deployed there."""
    place = Generations.existing(root)
    current, since, outcomes = place.current(), None, place.outcomes()
    with suppress(OSError):
        since = os.lstat(os.path.join(place.root, CURRENT)).st_mtime
    records: dict[Generation, BuildRecord] = {}
    found: list[GenerationStatus] = []
    for generation in place.all():
        record, damaged = None, None
        try:
            record = records[generation] = generation.record()
        except BlockpackError as error:
            damaged = str(error)
        each = GenerationStatus(
            number=generation.number,
            name=generation.name,
            commit="" if record is None else record.commit,
            live_since=since if generation == current else None,
            passed=generation.number in outcomes.passed,
            failed=outcomes.failed.get(generation.number),
            volumes=() if record is None else record.volumes,
            damaged=damaged,
        )
        found.append(each)
    before, changes = _changes(records, current)
    way_back, keep = place.way_back(), 1  # if this host does not say
    with suppress(BlockpackError):
        keep = HostSettings.of(root).keep or keep
    outdated = place.outdated(keep)
    kept = [each for each in place.all() if each not in outdated]
    used = disk_use(each.path for each in place.all())
    return Status(
        root=place.root,
        name=records[current].name if current in records else "",
        generations=tuple(found),
        compared=before.number if before else None,
        changes=changes,
        # Asked again, for a run that was at work at first may have ended in between.
        unfinished=bool(outcomes.pending and not place.busy() and place.outcomes().pending),
        way_back=None if way_back is None else way_back.number,
        disk_use=used,
        keep=keep,
        outdated=tuple(each.number for each in outdated),
        freed=used - disk_use(each.path for each in kept),
    )


def verify_live(root: str | os.PathLike[str], progress: Tell | None = None) -> None:
    """Read all images of the generation that is live. If one is damaged the generation failed, as
    far as this user may take that down. Raises what is wrong.
    """
    place = Generations.existing(root)
    current = place.current()
    damaged = None if current is None else damage(current, progress)
    if current is None or damaged is None:
        return
    with suppress(TargetError), Root.held(root) as held:
        held.failed(current, str(damaged))
    raise damaged


def _changes(
    records: Mapping[Generation, BuildRecord], current: Generation | None
) -> tuple[Generation | None, tuple[VolumeChange, ...]]:
    """What is compared with what is live, and how it differs; nothing if that is damaged."""
    if current is None or current not in records:
        return None, ()
    before = max((each for each in records if each < current), default=None)
    with suppress(BlockpackError):
        return before, () if before is None else tuple(differences(before, current))
    return None, ()
