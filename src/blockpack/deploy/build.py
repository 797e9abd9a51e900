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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import define, evolve, field, frozen

from ..errors import (
    BlockpackError,
    ImageError,
    Problems,
    SourceError,
    TargetError,
    UsageError,
    raise_problems,
    reason,
)
from ..processes import signals_held
from .fingerprint import commit_inputs, fingerprint
from .leftovers import SECRET_STAGING, STAGING, remove_leftovers
from .lock import locked
from .look import TICK, settled
from .places import places
from .record import RECORD, BuildRecord, ImageRecord
from .source import CommitSource, DeploymentSource, DirectorySource, deployment_source
from .state import State, VolumeState, digest, environment, signature
from .unchanged import looked_at, unchanged

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..layout import Layout
    from ..writer import Progress
    from .image import Built, Task
    from .manifest import Manifest, VolumeSpec
    from .secrets import SecretPlan, Secrets

Share = Callable[[ImageRecord, str], bool]
"""Puts the files of an earlier image into a directory; False if that is not possible."""


@frozen
class Earlier:
    """Images of earlier builds, by their fingerprints, and a way to share them."""

    images: Mapping[str, ImageRecord]
    share: Share


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
    warnings: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


def build(
    source: str | os.PathLike[str] | DeploymentSource,
    out: str | os.PathLike[str],
    *,
    only: Sequence[str] = (),
    executor: Executor | str | None = None,
    jobs: int | None = None,
    depfile: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    earlier: Earlier | None = None,
    secrets: Secrets | None = None,
) -> BuildReport:
    """Build the deployment `source`, a directory or ``git:REPO@REV``, into the directory `out`.

    Volumes whose inputs did not change since the last build there are left alone; `only` names
    those that are looked at. By default up to `jobs` processes of this machine work. An `executor`
    (or the name of one, see `executor_named`) gets a task a volume, and must see the same paths.
    `depfile` is written for Make and Ninja. `progress` is called a few times a second. What
    `earlier` has is shared rather than built. `secrets` tells how secret volumes are opened, which
    this process builds by itself.

    Raises `Problems` with all that is wrong with the manifest or with any volume, before anything
    is written; then `SourceError`, `TargetError` and `Problems` for what goes wrong meanwhile.
    """
    begun = time.monotonic()
    directory = os.fspath(out)
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs are 1 or more, not {jobs}")
    deployment = deployment_source(source).without(directory)
    deployment.manifest_text()  # nothing is made for what is no deployment
    with _held(directory):
        run = _Build(deployment, directory, tuple(only), executor, jobs, progress, earlier, secrets)
        report = run.run(None if depfile is None else os.fspath(depfile))
    return evolve(report, seconds=time.monotonic() - begun)


@contextmanager
def _held(directory: str) -> Iterator[None]:
    """Keep other runs out of the directory, which is made if there is none."""
    made = not os.path.lexists(directory)
    try:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TargetError(f"{directory}: {reason(error)}; give a directory to build into") from None
    busy = TargetError(
        f"{directory}: another run is building there; wait for it, or build elsewhere"
    )
    try:
        with locked(descriptor, busy):
            remove_leftovers(directory)
            try:
                yield
            finally:
                remove_leftovers(directory)
    finally:
        if made:
            with suppress(OSError):  # it is not empty: all is well
                os.rmdir(directory)


@frozen
class _Seen:
    """What a look at the source told: the manifest's digest, and each volume's inputs.

    `begun` is when the look began, `latest` the latest change that it saw; both in nanoseconds
    since 1970.
    """

    begun: int
    manifest: Manifest
    digest: str
    inputs: Mapping[str, str | None]
    latest: int


@define
class _Build:
    """One run. `records` and `states` tell what there is in the directory, at all times."""

    source: DeploymentSource
    directory: str
    only: tuple[str, ...]
    executor: Executor | str | None
    jobs: int | None
    progress: Callable[[Progress], object] | None
    earlier: Earlier | None
    secrets: Secrets | None
    state: State = field(init=False)
    record: BuildRecord | None = field(init=False)
    records: dict[str, ImageRecord] = field(factory=dict, init=False)
    states: dict[str, VolumeState] = field(factory=dict, init=False)
    warnings: list[tuple[str, str]] = field(factory=list, init=False)
    built: list[str] = field(factory=list, init=False)
    shared: list[str] = field(factory=list, init=False)
    changed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.state = State.read(self.directory)
        self.record = _record(self.directory)
        for image in self.record.volumes if self.record else ():
            known = self.state.volumes.get(image.name)
            if known is not None and known.is_whole(self.directory):
                self.records[image.name] = image
                self.states[image.name] = known

    def run(self, depfile: str | None) -> BuildReport:
        begun = time.time_ns()
        report = self._nothing_to_do()
        if report is None:
            seen = self._seen()
            begun = seen.begun
            rule = None if depfile is None else self._rule(seen.manifest)
            report = self._build(seen)
        else:
            rule = None if depfile is None else self._rule(None)
        if rule is not None and depfile is not None:
            self._write_depfile(depfile, rule, begun)
        return report

    # Looking -------------------------------------------------------------------------------------

    def _nothing_to_do(self) -> BuildReport | None:
        """The report of a run that finds all as it was left; None if anything is not."""
        if self.only or self.record is None or not isinstance(self.source, DirectorySource):
            return None
        if self.secrets is not None and self.secrets.key_file is not None:
            return None  # the key is to be tried
        if unchanged(self.source.path, self.directory, self.jobs) is None:
            return None
        names = tuple(image.name for image in self.record.volumes)
        return BuildReport(record=self.record, unchanged=names)

    def _seen(self) -> _Seen:
        """The manifest and the inputs of the volumes, once they have settled."""
        seen = self._look()
        if isinstance(self.source, CommitSource):
            return seen
        told = settled(seen.latest)
        if told is None:  # the clock went back: what changes cannot be told from what did
            return evolve(seen, inputs=dict.fromkeys(seen.inputs))
        return seen if told else self._look()

    def _look(self) -> _Seen:
        from .manifest import Manifest

        begun = time.time_ns()
        text = self.source.manifest_text()
        manifest = Manifest.parse(text, self.source.manifest_file)
        specs = manifest.volumes.values()
        if isinstance(self.source, CommitSource):
            inputs = commit_inputs(self.source, specs)
            return _Seen(begun, manifest, digest(text), inputs, 0)
        wanted = {}
        for spec in specs:
            with suppress(SourceError):  # planning tells what is wrong
                parts = [part.path for part in spec.parts]
                root, left_out = self.source.root, self.source.left_out
                wanted[spec.name] = places(root, parts, left_out, times=_times(spec))
        inputs, latest = looked_at(wanted, self.jobs)
        return _Seen(begun, manifest, digest(text), inputs, latest)

    # Building ------------------------------------------------------------------------------------

    def _build(self, seen: _Seen) -> BuildReport:
        from ..volume import source_date_epoch

        epoch = source_date_epoch()
        manifest = seen.manifest
        self._check_names(manifest)
        wanted = {name: _state_of(spec, seen, epoch) for name, spec in manifest.volumes.items()}
        chosen = [spec for name, spec in manifest.volumes.items() if name in (self.only or [name])]
        pending = [spec for spec in chosen if not self._is_wanted(spec, wanted)]
        staging = os.path.join(self.directory, f"{STAGING}{os.urandom(6).hex()}")
        os.mkdir(staging)
        try:
            pending = [
                spec for spec in pending if not self._share(wanted[spec.name], spec.name, staging)
            ]
            self._make(pending, wanted, staging, epoch)
        except BaseException:
            with suppress(TargetError):  # the first error is the one to tell
                self._write(seen, manifest, staging, complete=False)
            raise
        removed = () if self.only else tuple(self._remove_others(manifest))
        complete = all(self._is_fresh(name, wanted) for name in wanted)
        record = self._write(seen, manifest, staging, complete=complete)
        made = {*self.built, *self.shared}
        return BuildReport(
            record=record,
            built=tuple(spec.name for spec in chosen if spec.name in self.built),
            shared=tuple(self.shared),
            unchanged=tuple(spec.name for spec in chosen if spec.name not in made),
            removed=removed,
            warnings=tuple(self.warnings),
        )

    def _check_names(self, manifest: Manifest) -> None:
        unknown = [name for name in self.only if name not in manifest.volumes]
        known = ", ".join(manifest.volumes) or "none"
        errors = [UsageError(f"there is no volume {name!r}; known are {known}") for name in unknown]
        raise_problems("nothing was built", errors)

    def _is_fresh(self, name: str, wanted: Mapping[str, VolumeState]) -> bool:
        """Whether the image that is there is the one that is wanted."""
        known = self.states.get(name)
        told = wanted[name].fingerprint
        return known is not None and bool(told) and known.fingerprint == told

    def _is_wanted(self, spec: VolumeSpec, wanted: Mapping[str, VolumeState]) -> bool:
        """Whether what is there need not be built."""
        if not self._is_fresh(spec.name, wanted):
            return False
        if not spec.secret:
            return True
        from .secrets import Secrets, serves

        image = self.records[spec.name]
        return serves(image, self.directory, spec, self.secrets or Secrets())

    def _share(self, wanted: VolumeState, name: str, staging: str) -> bool:
        """Take an image over from an earlier build, if there is one with this fingerprint."""
        earlier = self.earlier
        found = earlier.images.get(wanted.fingerprint) if earlier else None
        if earlier is None or found is None or found.name != name:
            return False
        if not earlier.share(found, staging):
            return False
        self._commit(found, wanted, staging)
        self.shared.append(name)
        return True

    def _make(
        self,
        specs: Sequence[VolumeSpec],
        wanted: Mapping[str, VolumeState],
        staging: str,
        epoch: int,
    ) -> None:
        """Plan all images, then make them. Raises `Problems`."""
        from .image import Task

        errors: list[BlockpackError] = []
        open_specs = [spec for spec in specs if not spec.secret]
        planned = _planned(
            [Task(self.source, spec, staging, epoch, self.jobs) for spec in open_specs], errors
        )
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
        from .image import Task
        from .secrets import Secrets, require_key_elsewhere, secret_builds

        require_key_elsewhere(self.secrets or Secrets(), self.directory)
        staging = os.path.join(self.directory, f"{SECRET_STAGING}{os.urandom(6).hex()}")
        os.mkdir(staging, 0o700)
        with secret_builds(self.secrets or Secrets()) as builds:
            planned: list[SecretPlan] = []
            for spec in specs:
                try:
                    planned.append(builds.plan(Task(self.source, spec, staging, epoch, 1)))
                except BlockpackError as error:
                    errors.append(error)
            raise_problems("nothing was built", errors)
            for plan in planned:
                spec = plan.task.spec
                try:
                    built = builds.make(plan)
                except BlockpackError as error:
                    errors.append(error)
                    continue
                state = wanted[spec.name]
                if plan.plain:  # nothing of those is noted, not even a digest
                    state = VolumeState("", None, state.parts, state.times, {})
                self._finish(built, state, staging)
        return errors

    def _outcomes(
        self, planned: Sequence[tuple[Task, Layout]]
    ) -> Iterator[tuple[int, Built | BlockpackError]]:
        from .executors import executor_named, outcomes, outcomes_on

        if self.executor is None:
            meter = _Meter([layout.size for _, layout in planned], self.progress)
            yield from outcomes(planned, self.jobs, meter.advance)
            return
        tasks = [task for task, _ in planned]
        if not isinstance(self.executor, str):
            yield from outcomes_on(self.executor, tasks)
            return
        with executor_named(self.executor) as executor:
            yield from outcomes_on(executor, tasks)

    def _finish(self, built: Built, wanted: VolumeState, staging: str) -> None:
        image = built.record
        if isinstance(self.source, CommitSource) and not image.secret:
            # That of a directory means something on this machine alone.
            image = evolve(image, fingerprint=wanted.fingerprint or None)
        self._commit(image, wanted, staging)
        self.built.append(image.name)
        self.warnings += ((image.name, warning) for warning in built.warnings)

    def _commit(self, image: ImageRecord, wanted: VolumeState, staging: str) -> None:
        """Give the files of an image their names; from here on the record tells of it."""
        with signals_held():
            self._put_in_place(image, wanted, staging)

    def _put_in_place(self, image: ImageRecord, wanted: VolumeState, staging: str) -> None:
        self.changed = True
        self.records.pop(image.name, None)
        self.states.pop(image.name, None)
        before = self._recorded(image.name)
        secret = image.secret or (before is not None and before.secret)
        names = [name for name in (image.key, image.file, image.placements) if name is not None]
        files = {}
        for name in names:
            target = os.path.join(self.directory, name)
            try:
                _put(os.path.join(staging, name), target, wiping=secret)
            except OSError as error:
                raise TargetError(f"{target}: cannot be put there: {reason(error)}") from None
            files[name] = signature(target) or ()
        for old in (before.key, before.placements) if before is not None else ():
            if old is not None and old not in names:
                with suppress(OSError):
                    _remove(os.path.join(self.directory, old), wiping=secret)
        self.records[image.name] = image
        self.states[image.name] = wanted.with_files(files)

    def _recorded(self, name: str) -> ImageRecord | None:
        """The image that the last build told of, whatever became of it."""
        images = self.record.volumes if self.record else ()
        return next((image for image in images if image.name == name), None)

    # Afterwards ----------------------------------------------------------------------------------

    def _remove_others(self, manifest: Manifest) -> Iterator[str]:
        """Remove files of volumes that the manifest does not have, if they are as we left them."""
        for name in [name for name in self.state.volumes if name not in manifest.volumes]:
            for file, left in self.state.volumes[name].files.items():
                path = os.path.join(self.directory, file)
                if os.path.basename(file) == file and signature(path) == left:
                    image = self._recorded(name)
                    with suppress(OSError):
                        _remove(path, wiping=image is not None and image.secret)
                        yield file
            self.records.pop(name, None)
            self.states.pop(name, None)

    def _write(
        self, seen: _Seen, manifest: Manifest, staging: str, *, complete: bool
    ) -> BuildRecord:
        """Write what is there into the record and the state, if that is not what they say."""
        order = {name: number for number, name in enumerate(manifest.volumes)}
        images = sorted(self.records.values(), key=lambda each: order.get(each.name, len(order)))
        record = BuildRecord(name=manifest.name, source=self.source.origin(), volumes=tuple(images))
        old = self.record
        if not complete and not self.changed:
            return old or record
        try:
            if old is None or record.encoded() != old.encoded():
                record.write(self.directory)
            State(
                source=self.source.root if isinstance(self.source, DirectorySource) else "",
                manifest=seen.digest,
                environment=environment(),
                record=digest(record.encoded()),
                complete=complete,
                volumes=self.states,
            ).write(self.directory, staging)
        except OSError as error:
            where = os.path.join(self.directory, RECORD)
            raise TargetError(f"{where}: cannot be written: {reason(error)}") from None
        return record

    def _rule(self, manifest: Manifest | None) -> bytes:
        """What the depfile says; by the manifest, or by what the last build was made of."""
        from .depfile import rule

        if manifest is not None:
            parts = {part.path for spec in manifest.volumes.values() for part in spec.parts}
        else:
            parts = {path for known in self.states.values() for path in known.parts}
        return rule(os.path.join(self.directory, RECORD), self.source, sorted(parts))

    def _write_depfile(self, depfile: str, rule: bytes, begun: int) -> None:
        """Write the depfile, and date the record to what was looked at: Make compares times."""
        from .depfile import write

        write(depfile, rule)
        before = begun - TICK // 2
        record = os.path.join(self.directory, RECORD)
        try:
            os.utime(record, ns=(before, before))
        except OSError as error:
            raise TargetError(f"{record}: its time cannot be set: {reason(error)}") from None


def _record(directory: str) -> BuildRecord | None:
    """The record of the last build; None if there is none that can be read."""
    with suppress(SourceError, ImageError, Problems):
        return BuildRecord.read(directory)
    return None


def _times(spec: VolumeSpec) -> bool:
    """Whether an image shows the times of directories."""
    return spec.options.get("mtime", "fixed") != "fixed"


def _state_of(spec: VolumeSpec, seen: _Seen, epoch: int) -> VolumeState:
    """How the volume will be noted once it is built."""
    inputs = seen.inputs.get(spec.name)
    told = fingerprint(spec, epoch, inputs) if inputs is not None else ""
    parts = tuple(part.path for part in spec.parts)
    return VolumeState(told, inputs, parts, _times(spec), {})


def _planned(tasks: Sequence[Task], errors: list[BlockpackError]) -> list[tuple[Task, Layout]]:
    """The tasks that can be planned, with their layouts; adds what is wrong with the others."""
    from .image import plan

    planned = []
    for task in tasks:
        try:
            planned.append((task, plan(task)))
        except BlockpackError as error:
            errors.append(of_volume(task.spec.name, error))
    return planned


def _put(new: str, target: str, *, wiping: bool) -> None:
    """Give a file its name; what had it before is wiped where that is asked for.

    Raises `OSError`.
    """
    if not wiping:
        os.replace(new, target)
        return
    from .wipe import Replaced

    with Replaced(target):
        os.replace(new, target)


def _remove(path: str, *, wiping: bool) -> None:
    """Remove a file that was built; a secret one is wiped. Raises `OSError`."""
    if not wiping:
        os.unlink(path)
        return
    from .wipe import wipe

    wipe(path)


def of_volume(name: str, error: BlockpackError) -> Problems:
    """An error with the name of the volume that it is about."""
    if isinstance(error, Problems):
        members = [each for each in error.exceptions if isinstance(each, BlockpackError)]
        return Problems(f"volume {name}: {error.message}", members)
    return Problems(f"volume {name}:", [error])


class _Meter:
    """Adds up how far the images are."""

    def __init__(self, sizes: Sequence[int], progress: Callable[[Progress], object] | None) -> None:
        self._done = [0] * len(sizes)
        self._total = sum(sizes)
        self._progress = progress

    def advance(self, number: int, count: int) -> None:
        from ..writer import Progress

        self._done[number] = count
        if self._progress is not None:
            self._progress(Progress(sum(self._done), self._total))
