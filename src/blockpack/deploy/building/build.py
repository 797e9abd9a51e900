"""`build`: the volumes of a deployment into a directory of images.

Rule 1: what is wrong with any volume is told before an image is written.
Rule 2: an image gets its name when it is whole; the record, ``manifest.json``, is written last. If
some volumes fail, the others are there, and the record tells what is.
Rule 3: a volume whose inputs did not change is left alone, and a run that finds all so reads no
file but its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from ...errors import (
    BlockpackError,
    TargetError,
    UsageError,
    raise_problems,
    require_path,
)
from ...planning.layout import LayoutWarning
from ...planning.volume import source_date_epoch
from ...workers.processors import Jobs, require_jobs
from ...writing.progress import Meter
from ..record import BuildRecord
from ..secrets import Secrets
from ..source.deployment import CommitSource, DeploymentSource, DirectorySource, deployment_source
from ..volume_errors import of_volume
from .depfile import rule, write
from .dist import Dist, held
from .executors import executor_named, outcomes, outcomes_on
from .limit import is_larger, limit_of, too_large
from .secret_images import serves
from .secret_volumes import secret_builds
from .seen import Seen
from .state import State, VolumeState, digest, environment
from .task import Task, plan
from .unchanged import unchanged

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ...planning.layout import Layout
    from ...writing.progress import Progress
    from ..manifest.parser import Manifest, VolumeSpec
    from ..secrets import Secrets
    from .secret_volumes import SecretBuilds, SecretPlan
    from .sharing import Earlier
    from .task import Built, Task


@frozen(kw_only=True)
class BuildReport:
    """What a build did.

    `record` has all images that are there now. Those of the volumes `built` are new, those of
    `shared` were taken over from an earlier build, those of `unchanged` are as they were; `removed`
    are files of volumes that the manifest does not have any more. `warnings` has the name of a
    volume with each.
    """

    record: BuildRecord
    built: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    warnings: tuple[tuple[str, LayoutWarning], ...] = ()
    seconds: float = 0.0


def build(
    source: str | os.PathLike[str] | DeploymentSource,
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    executor: Executor | str | None = None,
    jobs: Jobs = 1,
    depfile: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    earlier: Earlier | None = None,
    secrets: Secrets | None = None,
    max_size: int | str | None = None,
) -> BuildReport:
    """Build the deployment `source`, a directory or ``git:REPO@REV``, into the directory `out`.

    Volumes whose inputs did not change since the last build there are left alone; `only` names
    those that are looked at. By default up to `jobs` processes of this machine work. An `executor`
    (or the name of one, see `executor_named`) gets a task a volume, and must see the same paths.
    `depfile` is written for Make and Ninja. `progress` is called a few times a second. What
    `earlier` has is shared rather than built. `secrets` tells how secret volumes are opened, which
    this process builds by itself. Volumes whose images would have more than `max_size` bytes are
    refused, also those whose images are there already.

    Raises `Problems` with all that is wrong with the manifest or with any volume, before anything
    is written; then `SourceError`, `TargetError` and `Problems` for what goes wrong meanwhile.
    """
    begun = time.monotonic()
    directory = require_path(out)
    require_jobs(jobs)
    limit = limit_of(max_size)
    deployment = deployment_source(source).without(directory)
    deployment.manifest_text()  # nothing is made for what is no deployment
    with held(directory, in_ram=secrets is not None and secrets.runtime is not None) as place:
        dist = Dist(place)
        run = _Build(
            deployment, dist, tuple(only), executor, jobs, progress, earlier, secrets, limit
        )
        report = run.run(None if depfile is None else os.fspath(depfile))
    return evolve(report, seconds=time.monotonic() - begun)


@define
class _Build:
    """One run."""

    source: DeploymentSource
    dist: Dist
    only: tuple[str, ...]
    executor: Executor | str | None
    jobs: Jobs
    progress: Callable[[Progress], object] | None
    earlier: Earlier | None
    secrets: Secrets | None
    max_size: int | None
    warnings: list[tuple[str, LayoutWarning]] = field(factory=list, init=False)
    built: list[str] = field(factory=list, init=False)
    shared: list[str] = field(factory=list, init=False)

    def run(self, depfile: str | None) -> BuildReport:
        begun = time.time_ns()
        rule = None
        report = self._nothing_to_do()
        if report is None:
            seen = Seen.of(self.source, self.jobs)
            begun = seen.begun
            if depfile is not None:
                rule = self._rule(_parts(seen.manifest))
            report = self._build(seen)
        elif depfile is not None:
            rule = self._rule(self.dist.parts())
        if depfile is not None and rule is not None:
            self._write_depfile(depfile, rule, begun)
        return report

    def _nothing_to_do(self) -> BuildReport | None:
        """The report of a run that finds all as it was left; None if anything is not."""
        record = self.dist.record
        if self.only or record is None or not isinstance(self.source, DirectorySource):
            return None
        if self.secrets is not None and self.secrets.key_file is not None:
            return None  # the key is to be tried
        if unchanged(self.source.path, self.dist.directory, self.jobs) is None:
            return None
        if any(is_larger(image, self.dist.directory, self.max_size) for image in record.volumes):
            return None
        return BuildReport(record=record, unchanged=tuple(image.name for image in record.volumes))

    def _build(self, seen: Seen) -> BuildReport:
        epoch = source_date_epoch()
        volumes = seen.manifest.volumes
        self._check_names(seen.manifest)
        wanted = seen.wanted(epoch)
        chosen = [spec for name, spec in volumes.items() if name in (self.only or [name])]
        pending = [spec for spec in chosen if not self._is_there(spec, wanted[spec.name])]
        errors = list(self._too_large(spec for spec in chosen if spec not in pending))
        staging = self.dist.staging()
        try:
            pending = [spec for spec in pending if not self._share(spec, wanted, staging)]
            self._make(pending, wanted, staging, epoch, errors)
        except BaseException:
            with suppress(TargetError):  # the first error is the one to tell
                self._write(seen, complete=False)
            raise
        removed = () if self.only else tuple(self.dist.remove_others(volumes))
        complete = all(self.dist.has(name, state) for name, state in wanted.items())
        record = self._write(seen, complete=complete)
        return self._report(record, [spec.name for spec in chosen], removed)

    def _report(
        self, record: BuildRecord, chosen: Sequence[str], removed: tuple[str, ...]
    ) -> BuildReport:
        made = {*self.built, *self.shared}
        return BuildReport(
            record=record,
            built=tuple(name for name in chosen if name in self.built),
            shared=tuple(self.shared),
            unchanged=tuple(name for name in chosen if name not in made),
            removed=removed,
            warnings=tuple(self.warnings),
        )

    # What need not be made -----------------------------------------------------------------------

    def _check_names(self, manifest: Manifest) -> None:
        unknown = [name for name in self.only if name not in manifest.volumes]
        known = ", ".join(manifest.volumes) or "none"
        errors = [
            UsageError("", f"there is no volume {name!r}", f"known are {known}") for name in unknown
        ]
        raise_problems("nothing was built", errors)

    def _is_there(self, spec: VolumeSpec, wanted: VolumeState) -> bool:
        """Whether what is there need not be built."""
        if not self.dist.has(spec.name, wanted):
            return False
        if not spec.secret:
            return True
        image = self.dist.records[spec.name]
        return serves(image, self.dist.directory, spec, self.secrets or Secrets())

    def _too_large(self, specs: Iterable[VolumeSpec]) -> Iterator[BlockpackError]:
        """The errors for those volumes whose images are there, and larger than is allowed."""
        for spec in specs:
            image = self.dist.records[spec.name]
            if self.max_size is not None and is_larger(image, self.dist.directory, self.max_size):
                yield of_volume(spec.name, too_large(spec, image.size, self.max_size))

    def _share(self, spec: VolumeSpec, wanted: Mapping[str, VolumeState], staging: str) -> bool:
        """Take an image over from an earlier build, if there is one with this fingerprint."""
        state = wanted[spec.name]
        found = self.earlier.find(spec.name, state.fingerprint) if self.earlier else None
        if self.earlier is None or found is None:
            return False
        if self.max_size is not None and (found.size or 0) > self.max_size:
            return False  # planning refuses it
        meter = Meter("sharing", found.size or 0, self.progress)
        if not self.earlier.share(found, staging, meter):
            return False
        meter.finish()
        self.dist.put(found, state, staging)
        self.shared.append(spec.name)
        return True

    # Making --------------------------------------------------------------------------------------

    def _make(
        self,
        specs: Sequence[VolumeSpec],
        wanted: Mapping[str, VolumeState],
        staging: str,
        epoch: int,
        errors: list[BlockpackError],
    ) -> None:
        """Plan all images, then make them. Raises `Problems`, with the `errors` before that."""
        open_specs = [spec for spec in specs if not spec.secret]
        options = staging, epoch, self.jobs, self.max_size
        planned = _planned([Task(self.source, spec, *options) for spec in open_specs], errors)
        secret_specs = [spec for spec in specs if spec.secret]
        if secret_specs:
            # First, and before other processes begin: those would inherit what is decrypted.
            errors = self._make_secrets(secret_specs, wanted, epoch, errors)
        else:
            raise_problems("nothing was built", errors)
        for number, outcome in self._outcomes(planned) if planned else ():
            spec = open_specs[number]
            if isinstance(outcome, BlockpackError):
                errors.append(of_volume(spec.name, outcome))
                continue
            self._finish(outcome, wanted[spec.name], staging)
        raise_problems("some volumes were not built", errors)

    def _make_secrets(
        self,
        specs: Sequence[VolumeSpec],
        wanted: Mapping[str, VolumeState],
        epoch: int,
        errors: list[BlockpackError],
    ) -> list[BlockpackError]:
        """Plan secret volumes, then make them; the errors of those that could not be made.

        Raises `Problems`, with the `errors` of the other volumes, if any cannot be planned.
        """
        secrets = self.secrets or Secrets()
        secrets.require_key_elsewhere(self.dist.directory)
        staging = self.dist.staging(secret=True)
        tasks = [Task(self.source, spec, staging, epoch, 1, self.max_size) for spec in specs]
        with secret_builds(secrets) as builds:
            planned = _secrets_planned(builds, tasks, errors)
            raise_problems("nothing was built", errors)
            for plan in planned:
                state = wanted[plan.task.spec.name]
                if plan.plain:  # nothing of those is noted, not even a digest
                    state = VolumeState("", None, state.parts, state.times, {})
                try:
                    built = builds.make(plan)
                except BlockpackError as error:
                    errors.append(error)
                else:
                    self._finish(built, state, staging)
        return errors

    def _outcomes(
        self, planned: Sequence[tuple[Task, Layout]]
    ) -> Iterator[tuple[int, Built | BlockpackError]]:
        if self.executor is None:
            # All is written, and then read for the digests.
            meter = Meter("building", 2 * sum(layout.size for _, layout in planned), self.progress)
            yield from outcomes(planned, self.jobs, meter)
        else:
            meter = Meter("building", len(planned), self.progress, "volumes")
            who = self.executor
            with executor_named(who) if isinstance(who, str) else nullcontext(who) as executor:
                for outcome in outcomes_on(executor, [task for task, _ in planned]):
                    meter.advance()
                    yield outcome
        meter.finish()

    def _finish(self, built: Built, wanted: VolumeState, staging: str) -> None:
        image = built.record
        if isinstance(self.source, CommitSource) and not image.secret:
            # That of a directory means something on this machine alone.
            image = evolve(image, fingerprint=wanted.fingerprint or None)
        self.dist.put(image, wanted, staging)
        self.built.append(image.name)
        self.warnings += ((image.name, warning) for warning in built.warnings)

    # Afterwards ----------------------------------------------------------------------------------

    def _write(self, seen: Seen, *, complete: bool) -> BuildRecord:
        """Write what is there into the record and the state."""
        record = BuildRecord(
            name=seen.manifest.name,
            source=self.source.origin(),
            volumes=self.dist.images(seen.manifest.volumes),
        )
        state = State(
            source=self.source.root if isinstance(self.source, DirectorySource) else "",
            manifest=seen.digest,
            environment=environment(),
            record=digest(record.encoded()),
            complete=complete,
            volumes=self.dist.states,
        )
        return self.dist.write(record, state)

    def _rule(self, parts: Iterable[str]) -> bytes:
        """What the depfile says of an image made of these parts of the source."""
        return rule(self.dist.record_file, self.source, sorted(parts))

    def _write_depfile(self, depfile: str, rule: bytes, begun: int) -> None:
        write(depfile, rule)
        self.dist.date(begun)


def _parts(manifest: Manifest) -> set[str]:
    """The paths in the source that the volumes are made of."""
    return {part.path for spec in manifest.volumes.values() for part in spec.parts}


def _planned(tasks: Sequence[Task], errors: list[BlockpackError]) -> list[tuple[Task, Layout]]:
    """The tasks that can be planned, with their layouts; adds what is wrong with the others."""
    planned = []
    for task in tasks:
        try:
            planned.append((task, plan(task)))
        except BlockpackError as error:
            errors.append(of_volume(task.spec.name, error))
    return planned


def _secrets_planned(
    builds: SecretBuilds, tasks: Sequence[Task], errors: list[BlockpackError]
) -> list[SecretPlan]:
    """Those of the tasks that can be planned; adds what is wrong with the others."""
    planned = []
    for task in tasks:
        try:
            planned.append(builds.plan(task))
        except BlockpackError as error:  # it names the volume itself
            errors.append(error)
    return planned
