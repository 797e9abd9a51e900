"""`build`: the volumes of a deployment into a directory of images.

Rule 1: what is wrong with any volume is told before an image gets its name: here before one is
written. An executor plans each where it is made, so that it is planned once; its images wait until
all are planned, and are thrown away if one cannot be.
Rule 2: an image gets its name when it is whole; the record, ``manifest.json``, is written last. If
some volumes fail, the others are there, and the record tells what is.
Rule 3: a volume whose inputs did not change is left alone, and a run that finds all so reads no
file but its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from ...errors import BlockpackError, TargetError, UsageError, raise_problems, require_path
from ...layers.memory import guarded
from ...planning.layout import Layout, LayoutWarning
from ...planning.options import Size
from ...planning.volume import source_date_epoch
from ...workers.processors import Jobs, require_jobs
from ...writing.progress import Meter, Progress
from ...writing.write import write_bytes
from ..image_errors import final_names, noted, of_image
from ..manifest.specs import ImageSpec
from ..record import BuildRecord
from ..secrets import Secrets
from ..source.deployment import Deployment
from ..source.open_commit import OpenCommit
from ..source.open_deployment import open_deployment
from ..source.open_directory import OpenDirectory
from .build_state import State, key_of
from .depfile import require_replaceable, rule
from .dist import Dist, held
from .executors import executor_named, outcomes, outcomes_on
from .limit import is_larger, limit_of
from .secret_images import serves
from .secret_volumes import SecretBuilds, SecretPlan
from .sharing import Earlier, share
from .task import Built, Refused, Task, plan

if TYPE_CHECKING:
    from concurrent.futures import Executor

    Made = Iterable[tuple[Task, Built | BlockpackError]]


@frozen(kw_only=True)
class BuildReport:
    """What a build did.

    `record` has all images that are there now. Those of the volumes `built` are new, those of
    `shared` were taken over from an earlier build, those of `unchanged` are as they were; `removed`
    are files of volumes that the manifest does not have any more. `warnings` has the name of an
    image with each.
    """

    record: BuildRecord
    built: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    warnings: tuple[tuple[str, LayoutWarning], ...] = ()
    seconds: float = 0.0

    def told(self) -> Iterator[str]:
        """The warnings as texts, each with what it is about."""
        titles = {image.name: image.title for image in self.record.volumes}
        return (f"{titles[name]}: {warning}" for name, warning in self.warnings)


@final_names()
def build(
    source: str | os.PathLike[str] | Deployment,
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    executor: Executor | str | None = None,
    jobs: Jobs = 1,
    depfile: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    earlier: Earlier | None = None,
    secrets: Secrets | None = None,
    max_size: Size | None = None,
) -> BuildReport:
    """Build the deployment `source`, a directory or ``git:REPO@REV``, or one that is open, into
    the directory `out`.

    Volumes whose inputs did not change since the last build there are left alone; `only` names
    those that are looked at. By default up to `jobs` processes of this machine work. An `executor`
    (or the name of one, see `executor_named`) gets a task a volume, and must see the same paths.
    `depfile` is written for Make and Ninja; it replaces nothing but an earlier one. `progress` is
    called a few times a second. What `earlier` has is shared rather than built. `secrets` tells how
    secret volumes are opened, which this process builds by itself. Volumes whose images would have
    more than `max_size` bytes are refused, also those whose images are there already.

    Raises `Problems` with all that is wrong with the manifest or with any volume, before anything
    has its name; then `SourceError`, `TargetError` and `Problems` for what goes wrong meanwhile.
    """
    begun = time.monotonic()
    directory = require_path(out)
    require_jobs(jobs)
    limit = limit_of(max_size)
    secrets = secrets or Secrets()
    opened: AbstractContextManager[Deployment]
    if isinstance(source, Deployment):
        opened = nullcontext(source)
    else:
        opened = open_deployment(source, jobs=jobs)
    depfile = None if depfile is None else require_path(depfile)
    with opened as deployment:
        deployment.leave_out(directory)
        if depfile is not None:
            deployment.leave_out(depfile)
        with held(directory) as place:
            options = tuple(only), executor, jobs, progress, earlier, secrets, limit
            run = _Build(deployment, Dist(place), *options)
            report = run.run(depfile)
    return evolve(report, seconds=time.monotonic() - begun)


@define(slots=False)
class _Build:
    deployment: Deployment
    dist: Dist
    only: tuple[str, ...]
    executor: Executor | str | None
    jobs: Jobs
    progress: Callable[[Progress], object] | None
    earlier: Earlier | None
    secrets: Secrets
    max_size: int | None
    warnings: list[tuple[str, LayoutWarning]] = field(factory=list, init=False)
    built: list[str] = field(factory=list, init=False)
    shared: list[str] = field(factory=list, init=False)
    epoch: int = field(factory=source_date_epoch, init=False)

    def run(self, depfile: str | None) -> BuildReport:
        if depfile is None:
            return self._build()
        require_replaceable(depfile)
        text = rule(self.dist.record_file, self.deployment)
        report = self._build()
        require_replaceable(depfile)
        write_bytes(text, depfile)
        self.dist.date(self.deployment.inventory.begun)
        return report

    @cached_property
    def wanted(self) -> Mapping[str, str]:
        """The fingerprints that tell the images; empty for one whose inputs are unknown."""
        images = self.deployment.manifest.images.items()
        return {name: self.deployment.fingerprint(spec, self.epoch) for name, spec in images}

    def _build(self) -> BuildReport:
        images = self.deployment.manifest.images
        self._check_names()
        chosen = [spec for name, spec in images.items() if name in (self.only or [name])]
        pending = [spec for spec in chosen if not self._is_there(spec)]
        try:
            if pending:
                staging = self.dist.staging()
                self._make([spec for spec in pending if not self._share(spec, staging)], staging)
        except BaseException:
            with suppress(TargetError):  # the first error is the one to tell
                self._write(complete=False)
            raise
        removed = () if self.only else tuple(self.dist.remove_others(images))
        complete = all(self.dist.has(name, wanted) for name, wanted in self.wanted.items())
        record = self._write(complete=complete)
        names = [spec.name for spec in chosen]
        made = {*self.built, *self.shared}
        return BuildReport(
            record=record,
            built=tuple(name for name in names if name in self.built),
            shared=tuple(self.shared),
            unchanged=tuple(name for name in names if name not in made),
            removed=removed,
            warnings=tuple(self.warnings),
        )

    # What need not be made -----------------------------------------------------------------------

    def _check_names(self) -> None:
        manifest = self.deployment.manifest
        errors = []
        for name in self.only:
            rule = f"there is no volume {name!r}"
            if name in manifest.volumes:
                rule = f"volume {name!r} has no image of its own, for it is in a disk"
            if name not in manifest.images:
                errors.append(UsageError("", rule, f"choose from {', '.join(manifest.images)}"))
        raise_problems("nothing was built", errors)

    def _is_there(self, spec: ImageSpec) -> bool:
        """Whether the volume need not be built. Planning refuses one that is too large."""
        if not self.dist.has(spec.name, self.wanted[spec.name]):
            return False
        image, directory = self.dist.records[spec.name], self.dist.directory
        if is_larger(image, directory, self.max_size):
            return False
        return not spec.secret or serves(image, directory, spec, self.secrets)

    def _share(self, spec: ImageSpec, staging: str) -> bool:
        """Take an image over from an earlier build, if there is one with this fingerprint."""
        wanted = self.wanted[spec.name]
        found = (self.earlier or {}).get(wanted)
        if found is None:
            return False
        size = found[0].size or 0
        if self.max_size is not None and size > self.max_size:
            return False  # planning refuses it
        meter = Meter("sharing", size, self.progress)
        image = share(*found, spec.name, staging, meter)
        if image is None:
            return False
        meter.finish()
        self.dist.put(image, wanted, staging)
        self.shared.append(spec.name)
        return True

    # Making --------------------------------------------------------------------------------------

    def _make(self, specs: Sequence[ImageSpec], staging: str) -> None:
        """Plan all images, then make them. Raises `Problems`."""
        errors: list[BlockpackError] = []
        open_specs = [spec for spec in specs if not spec.secret]
        tasks = [self._task(spec, staging) for spec in open_specs]
        made: Made
        if self.executor is None:
            made = self._made_here(self._planned(tasks, errors))
        else:
            made = self._made_elsewhere(tasks, errors)
        secret_specs = [spec for spec in specs if spec.secret]
        if secret_specs:
            # First, and before other processes begin: those would inherit what is decrypted.
            self._make_secrets(secret_specs, errors)
        else:
            raise_problems("nothing was built", errors)
        self.deployment.inventory.clear()
        for task, outcome in made:
            if isinstance(outcome, BlockpackError):
                errors.append(of_image(task.spec.title, outcome))
            else:
                self._finish(outcome, self.wanted[task.spec.name], staging)
        raise_problems("some volumes were not built", errors)

    def _task(self, spec: ImageSpec, staging: str) -> Task:
        return Task(self.deployment.reopened(), spec, staging, self.epoch, self.jobs, self.max_size)

    def _planned(
        self, tasks: Sequence[Task], errors: list[BlockpackError]
    ) -> list[tuple[Task, Layout]]:
        """The tasks that can be planned, with their layouts; adds what is wrong with the others."""
        planned = []
        meter = Meter("planning", len(tasks), self.progress if tasks else None, "volumes")
        for task in tasks:
            with noted(errors, task.spec.title):
                planned.append((task, plan(task, self.deployment)))
            meter.advance()
        meter.finish()
        return planned

    def _made_here(self, planned: Sequence[tuple[Task, Layout]]) -> Made:
        if planned:
            # All is written, and then read for the digests.
            meter = Meter("building", 2 * sum(layout.size for _, layout in planned), self.progress)
            for number, outcome in outcomes(planned, self.jobs, meter):
                yield planned[number][0], outcome
            meter.finish()

    def _made_elsewhere(self, tasks: Sequence[Task], errors: list[BlockpackError]) -> Made:
        """What came of tasks on the executor; adds what is wrong with those that were refused."""
        if not tasks:
            return []
        meter = Meter("building", len(tasks), self.progress, "volumes")
        who = self.executor
        made = []
        with executor_named(who) if isinstance(who, str) else nullcontext(who) as executor:
            assert executor is not None
            for number, outcome in outcomes_on(executor, tasks):
                meter.advance()
                if isinstance(outcome, Refused):
                    errors.append(of_image(tasks[number].spec.title, outcome.error))
                else:
                    made.append((tasks[number], outcome))
        meter.finish()
        return made

    def _make_secrets(self, specs: Sequence[ImageSpec], errors: list[BlockpackError]) -> None:
        """Plan secret volumes, then make them; adds what is wrong. Raises `Problems` if any volume,
        also one of the others, cannot be planned.
        """
        self.secrets.require_key_elsewhere(self.dist.directory)
        staging = self.dist.staging(secret=True)
        with guarded(), closing(SecretBuilds(self.secrets)) as builds:
            planned: list[SecretPlan] = []
            for spec in specs:
                with noted(errors):  # which names the volume itself
                    planned.append(builds.plan(self._task(spec, staging), self.deployment))
            raise_problems("nothing was built", errors)
            # By volumes, for bytes would tell how large they are.
            meter = Meter("building secrets", len(planned), self.progress, "volumes")
            for plan in planned:
                # Nothing is noted of files that were not encrypted, not even a digest.
                wanted = "" if plan.plain else self.wanted[plan.task.spec.name]
                built = None
                with noted(errors):
                    built = builds.make(plan)
                if built is not None:
                    self._finish(built, wanted, staging)
                meter.advance()
            meter.finish()

    def _finish(self, built: Built, wanted: str, staging: str) -> None:
        image = built.record
        if isinstance(self.deployment, OpenCommit) and not image.secret:
            # That of a directory means something on this machine alone.
            image = evolve(image, fingerprint=wanted or None)
        self.dist.put(image, wanted, staging)
        self.built.append(image.name)
        self.warnings += ((image.name, warning) for warning in built.warnings)

    # Afterwards ----------------------------------------------------------------------------------

    def _write(self, *, complete: bool) -> BuildRecord:
        opened = self.deployment
        record = BuildRecord(
            name=opened.manifest.name,
            source=opened.origin,
            volumes=self.dist.images(opened.manifest.images),
        )
        key, names = "", opened.manifest.images
        if complete:
            root = opened.root if isinstance(opened, OpenDirectory) else ""
            inputs = (opened.inputs[name] for name in names)
            key = key_of(root, opened.text, record.encoded(), inputs)
        subtrees = tuple(opened.subtrees.get(name, ()) for name in names)
        state = State(key, subtrees, self.dist.states)
        return self.dist.write(record, state)
