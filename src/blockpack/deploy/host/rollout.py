"""`deploy` and `rollback`: a commit becomes the live generation of images, or an older one does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from ...errors import BlockpackError, TargetError, UsageError, require_path
from ...planning.options import Size
from ...planning.volume import source_date_epoch
from ...workers.processors import Jobs, require_jobs
from ...writing.progress import Meter, Tell
from ..building.build import BuildReport, build
from ..building.build_state import STATE
from ..building.limit import is_larger, limit_of
from ..building.secret_images import serves, verify
from ..building.sharing import earlier_images
from ..image_errors import final_names
from ..manifest.parser import Manifest
from ..secrets import Secrets
from ..source.open_commit import OpenCommit
from .activation import Command, activate
from .generations import Generation, Generations
from .history import Why
from .root import Root
from .soundness import damage, require_sound, require_whole

if TYPE_CHECKING:
    from concurrent.futures import Executor


Outcome = Literal["deployed", "activated", "unchanged", "held"]
"""What a run came to: a new generation is live; the newest one, which was there, is; it was so
already; or an older one stays live, for somebody rolled back to it."""


@frozen(kw_only=True)
class DeployReport:
    """What a run did: the generation that is live now, and how it came about.

    `build` tells of its images, if it is new. `removed` are older generations that are gone;
    `left` tells why others could not be removed. `damaged` tells what was found to be so, and was
    built anew.
    """

    outcome: Outcome
    generation: Generation
    commit: str
    build: BuildReport | None = None
    removed: tuple[int, ...] = ()
    left: str | None = None
    damaged: str | None = None
    seconds: float = 0.0


@final_names()
def deploy(
    repository: str | os.PathLike[str],
    revision: str,
    root: str | os.PathLike[str],
    *,
    keep: int | None = None,
    on_activate: Command | None = None,
    executor: Executor | str | None = None,
    jobs: Jobs = 1,
    progress: Tell | None = None,
    secrets: Secrets | None = None,
    max_size: Size | None = None,
) -> DeployReport:
    """Make the commit `revision` of a repository the live generation under the directory `root`.

    Volumes that an earlier generation has are shared with it, the others built (`jobs`, `executor`,
    `progress` and `max_size` are as in `build`, `secrets` as well; its `runtime` is for all
    deployments, by default `RUNTIME`), verified and flushed to the disk; then ``current`` is
    switched. The host's shell runs `on_activate` (see `activate`). `keep` removes generations as
    `collect` does. If all is as it is wanted, nothing is done. What was built before and is to be
    live again is read first, and built anew if it is damaged. If somebody rolled back from this
    very commit, it is not deployed until there was another one: what was rolled back to stays live.

    Raises what `build` raises, `ImageError` if a new image is damaged, `ActivationError` if the
    command failed, for which the switch is undone; and `TargetError`, also while another run is at
    work there.
    """
    begun = time.monotonic()
    if keep is not None and keep < 1:
        raise UsageError("", f"at least 1 generation is kept, not {keep}", option="keep=1")
    limit = limit_of(max_size)
    require_jobs(jobs)
    require_path(root)
    secrets = secrets or Secrets()
    make = partial(build, executor=executor, jobs=jobs, progress=progress, max_size=limit)
    deployment = OpenCommit.of(os.fspath(repository), revision, jobs)
    with ExitStack() as opened, deployment, Root.held(root) as place:
        before, build_report, damaged = place.current(), None, None
        outcome, why, wanted = _wanted(place, deployment, secrets, limit, opened)
        if isinstance(wanted, Generation) and _is_to_be_activated(place, wanted, on_activate):
            outcome = "activated"
            damaged = damage(wanted, progress)
            if damaged is not None:
                place.failed(wanted, str(damaged))
                wanted = _opened(wanted, deployment, opened)
        if isinstance(wanted, OpenCommit):
            outcome = "deployed"
            wanted, build_report = _made(place, wanted, secrets, make, progress)
        commit = wanted.record().commit
        if outcome in ("deployed", "activated"):
            activate(place, wanted, before, why, on_activate)
        removed, left = ((), None) if keep is None else _thinned(place, keep)
    return DeployReport(
        outcome=outcome,
        generation=wanted,
        commit=commit,
        build=build_report,
        removed=removed,
        left=left,
        damaged=None if damaged is None else str(damaged),
        seconds=time.monotonic() - begun,
    )


def rollback(
    root: str | os.PathLike[str],
    to: int | None = None,
    *,
    on_activate: Command | None = None,
    progress: Tell | None = None,
) -> Generation:
    """Make an older generation live: the newest older one that passed, or that of the number `to`.

    What a rollback passed over is not gone back to. All its images are read before; one that is
    damaged makes it a generation that failed. Raises `UsageError` if there is none, `ImageError` if
    it is not whole, and as `deploy` does.
    """
    Generations.existing(root)
    with Root.held(root) as place:
        current = place.current()
        wanted = place.numbered(to) if to is not None else place.way_back()
        if wanted is None:
            others = [str(each.number) for each in place.all() if each != current]
            remedy = f"name one of {', '.join(others)} with --to" if others else "deploy one"
            raise UsageError(place.root, "has no older generation that passed", remedy)
        if _is_to_be_activated(place, wanted, on_activate):
            damaged = damage(wanted, progress)
            if damaged is not None:
                place.failed(wanted, str(damaged))
                raise damaged
            activate(place, wanted, current, "rollback", on_activate)
    return wanted


def collect(root: str | os.PathLike[str], keep: int) -> tuple[int, ...]:
    """Remove all generations but the newest `keep` that passed, the live one, and one to go back
    to; the numbers of what is gone. Raises `UsageError`, `SourceError` and `TargetError`.
    """
    Generations.existing(root)
    with Root.held(root) as place:
        outdated = place.outdated(keep)
        place.remove(outdated)
    return tuple(generation.number for generation in outdated)


def _is_to_be_activated(place: Root, wanted: Generation, command: str | None) -> bool:
    """Whether a generation is not live, or the host has yet to be told, or it failed."""
    found = place.outcomes()
    untold = found.pending is not None and command is not None
    return wanted != place.current() or untold or wanted.number in found.failed


def _wanted(
    place: Root, deployment: OpenCommit, secrets: Secrets, limit: int | None, opened: ExitStack
) -> tuple[Outcome, Why, Generation | OpenCommit]:
    """The outcome if nothing has to be built or activated; why; and the generation that is to be
    live, or the commit that it is to be made of.
    """
    live = place.current()
    if live is not None and deployment.commit in place.outcomes().held:
        return "held", "rollback", _held(live, deployment, secrets, opened)
    newest = max(place.all(), default=None)
    if newest is not None and _is_wanted(newest, deployment, secrets, limit):
        return "unchanged", "deploy", newest
    return "unchanged", "deploy", deployment


def _thinned(place: Root, keep: int) -> tuple[tuple[int, ...], str | None]:
    """Remove generations as `collect` does: the numbers of what is gone, and why others are not."""
    left, outdated = None, []
    try:
        outdated = place.outdated(keep)
        place.remove(outdated)
    except TargetError as error:  # what is live is what was asked for
        left = str(error)
    return tuple(each.number for each in outdated if not each.path.exists()), left


def _held(
    live: Generation, deployment: OpenCommit, secrets: Secrets, opened: ExitStack
) -> Generation | OpenCommit:
    """What somebody rolled back to, or what it is to be made of if it is not whole. Its commit,
    which may be gone, is asked only for what is secret.
    """
    if _is_whole(live, None, secrets):
        return live
    older = _opened(live, deployment, opened)
    return live if _is_whole(live, older.manifest, secrets) else older


def _opened(generation: Generation, deployment: OpenCommit, opened: ExitStack) -> OpenCommit:
    """What a generation was made of."""
    if generation.revision == deployment.commit:
        return deployment
    return opened.enter_context(OpenCommit.of(deployment.path, generation.revision))


# Making ------------------------------------------------------------------------------------------


def _is_wanted(
    generation: Generation, deployment: OpenCommit, secrets: Secrets, max_size: int | None
) -> bool:
    """Whether a generation is what building it now would make."""
    try:
        record = generation.record()
    except BlockpackError:  # damaged: make another
        return False
    if record.source != deployment.origin:
        return False
    if any(is_larger(image, generation.path, max_size) for image in record.volumes):
        return False  # the build refuses it
    manifest, epoch = deployment.manifest, source_date_epoch()
    images = manifest.images.values()
    told = [deployment.fingerprint(spec, epoch) for spec in images]
    wanted = [(s.name, None if s.secret else each) for s, each in zip(images, told, strict=True)]
    there = [(image.name, image.fingerprint) for image in record.volumes]
    same = record.name == manifest.name and there == wanted and all(told)
    return same and _is_whole(generation, manifest, secrets)


def _is_whole(generation: Generation, manifest: Manifest | None, secrets: Secrets) -> bool:
    """Whether all images of a generation are there; secret ones go with the machine's RAM, and
    without the manifest, which tells what those are to be, none counts.
    """
    try:
        record = require_whole(generation)
    except BlockpackError:
        return False
    if manifest is None:
        return not any(image.secret for image in record.volumes)
    return all(
        serves(image, generation.path, manifest.images[image.name], secrets)
        for image in record.volumes
        if image.secret or manifest.images[image.name].secret
    )


def _made(
    place: Root,
    deployment: OpenCommit,
    secrets: Secrets,
    make: Callable[..., BuildReport],
    progress: Tell | None,
) -> tuple[Generation, BuildReport]:
    """A new generation, whole, verified and on the disk; `make` is `build`, with its options."""
    generation = place.next(deployment.commit)
    own = secrets.for_generation(deployment.manifest.name, place.root, generation.name)
    with place.making() as made:
        earlier = earlier_images(each.path for each in place.all())
        report = make(deployment, made, earlier=earlier, secrets=own)
        built = [image for image in report.record.volumes if image.name in report.built]
        meter = Meter("verifying", 2 * sum(image.size or 0 for image in built), progress)
        for image in report.record.volumes:
            if image.secret:
                verify(image, made, own)
            elif image in built:
                require_sound(image, made, meter)
        meter.flush()
        os.unlink(os.path.join(made, STATE))  # it tells of this moment only
        place.adopt(made, generation)
        meter.finish()
        return generation, report
