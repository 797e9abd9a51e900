"""DIST, the directory that a build leaves its images in: which are there, and how that changes.

Rule 1: the record always matches the files. An image that is replaced leaves it first, and is back
in it once all of its files have their names.
Rule 2: nothing is removed but what a build left there, and that only if it is as it was left.
Rule 3: what is secret is wiped when something takes its place, and when it is removed.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from attrs import define, field

from ...errors import ImageError, Problems, SourceError, TargetError, reason
from ...workers.pool import signals_held
from ..file_names import RECORD, SECRET_STAGING, STAGING
from ..record import BuildRecord, ImageRecord
from ..secrets.wipe import Replaced, wipe
from ..source.look import TICK
from .leftovers import remove_leftovers
from .lock import locked
from .state import Signature, State, VolumeState, signature


@contextmanager
def held(directory: str, *, in_ram: bool = False) -> Iterator[None]:
    """Keep other runs out of the directory, which is made if there is none.

    What a run that was killed left there is removed, with secret images that are `in_ram` if it is
    a directory of which nobody else has made anything. Raises `TargetError`.
    """
    made = not os.path.lexists(directory)
    try:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TargetError(directory, reason(error), "give a directory to build into") from None
    busy = TargetError(
        directory, "another run is building there", "wait for it, or build elsewhere"
    )
    try:
        with locked(descriptor, busy):
            _tidy(directory, in_ram=in_ram)
            try:
                yield
            finally:
                _tidy(directory, in_ram=in_ram)
    finally:
        if made:
            with suppress(OSError):  # it is not empty: all is well
                os.rmdir(directory)


def _tidy(directory: str, *, in_ram: bool) -> None:
    try:
        remove_leftovers(directory, in_ram=in_ram)
    except OSError as error:
        rule = "what a killed run left there cannot be looked for"
        raise TargetError.of(directory, rule, error) from None


@define
class Dist:
    """The directory, by one who holds it.

    `record` and `state` are what the last build left, whatever became of it. `records` and `states`
    tell of the images that are there now; they have `changed` once this build gave one its name.
    """

    directory: str
    record: BuildRecord | None = field(init=False)
    state: State = field(init=False)
    records: dict[str, ImageRecord] = field(factory=dict, init=False)
    states: dict[str, VolumeState] = field(factory=dict, init=False)
    changed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.record = _record(self.directory)
        self.state = State.read(self.directory)
        for image in self.record.volumes if self.record else ():
            known = self.state.volumes.get(image.name)
            if known is not None and known.is_whole(self.directory):
                self.records[image.name] = image
                self.states[image.name] = known

    @property
    def record_file(self) -> str:
        """Where the record is."""
        return os.path.join(self.directory, RECORD)

    # What is there -------------------------------------------------------------------------------

    def has(self, name: str, wanted: VolumeState) -> bool:
        """Whether the image of that name is the one that is wanted."""
        known = self.states.get(name)
        told = wanted.fingerprint
        return known is not None and bool(told) and known.fingerprint == told

    def images(self, order: Iterable[str]) -> tuple[ImageRecord, ...]:
        """All images, by their names in that order; those that are not in it come last."""
        places = {name: number for number, name in enumerate(order)}
        last = len(places)
        return tuple(sorted(self.records.values(), key=lambda image: places.get(image.name, last)))

    def parts(self) -> set[str]:
        """The paths in their sources that the images are made of."""
        return {path for known in self.states.values() for path in known.parts}

    def _recorded(self, name: str) -> ImageRecord | None:
        """The image that the last build told of, whatever became of it."""
        images = self.record.volumes if self.record else ()
        return next((image for image in images if image.name == name), None)

    # Giving names --------------------------------------------------------------------------------

    def staging(self, *, secret: bool = False) -> str:
        """A new directory for what is not yet whole; what is left there is removed at the end.

        Raises `TargetError`.
        """
        begin, mode = (SECRET_STAGING, 0o700) if secret else (STAGING, 0o777)
        path = os.path.join(self.directory, f"{begin}{os.urandom(6).hex()}")
        try:
            os.mkdir(path, mode)
        except OSError as error:
            rule = f"nothing can be put there: {reason(error)}"
            raise TargetError(self.directory, rule, "give a directory to build into") from None
        return path

    def put(self, image: ImageRecord, state: VolumeState, staging: str) -> None:
        """Give the files of an image, which are in `staging`, their names.

        Raises `TargetError`.
        """
        with signals_held():
            self.changed = True
            self._forget(image.name)
            before = self._recorded(image.name)
            wiping = image.secret or (before is not None and before.secret)
            files = self._put_files(image.files, staging, wiping=wiping)
            known = self.state.volumes.get(image.name)
            left = {} if known is None else known.files
            for old in (before.key, before.placements) if before is not None else ():
                if old in left and old not in files and self._is_there(old, left[old]):
                    self._remove(old, wiping=wiping)
            self.records[image.name] = image
            self.states[image.name] = state.with_files(files)

    def _forget(self, name: str) -> None:
        self.records.pop(name, None)
        self.states.pop(name, None)

    def _put_files(
        self, names: Iterable[str], staging: str, *, wiping: bool
    ) -> Mapping[str, Signature]:
        """Give files their names; the signature of each."""
        files = {}
        for name in names:
            target = os.path.join(self.directory, name)
            try:
                _put(os.path.join(staging, name), target, wiping=wiping)
            except OSError as error:
                raise TargetError.of(target, "cannot be put there", error) from None
            files[name] = signature(target) or ()
        return files

    # Removing ------------------------------------------------------------------------------------

    def remove_others(self, volumes: Container[str]) -> list[str]:
        """Remove the files of all but these volumes, if they are as they were left; their names."""
        removed = []
        for name in [name for name in self.state.volumes if name not in volumes]:
            image = self._recorded(name)
            secret = image is not None and image.secret
            for file, left in self.state.volumes[name].files.items():
                if self._is_there(file, left) and self._remove(file, wiping=secret):
                    removed.append(file)
            self._forget(name)
        return removed

    def _is_there(self, file: str, left: Signature) -> bool:
        """Whether that is a file in the directory, as it was left; a state may say anything."""
        path = os.path.join(self.directory, file)
        return os.path.basename(file) == file and signature(path) == left

    def _remove(self, file: str, *, wiping: bool) -> bool:
        """Remove a file, and wipe it where that is asked for; False if that cannot be done.

        What has another name is in use there, and loses this one alone.
        """
        path = os.path.join(self.directory, file)
        try:
            if wiping and os.lstat(path).st_nlink == 1:
                wipe(path)
            else:
                os.unlink(path)
        except OSError:
            return False
        return True

    # Telling -------------------------------------------------------------------------------------

    def write(self, record: BuildRecord, state: State, staging: str) -> BuildRecord:
        """Write the record and the state, as far as they tell anything new; the one that is there.

        Raises `TargetError`.
        """
        old = self.record
        if not state.complete and not self.changed:
            return old or record
        try:
            if old is None or record.encoded() != old.encoded():
                record.write(staging)
                # By its name alone: in a directory that somebody made, it may be a link elsewhere.
                os.replace(os.path.join(staging, RECORD), self.record_file)
            state.write(self.directory, staging)
        except OSError as error:
            where = self.record_file
            raise TargetError.of(where, "cannot be written", error) from None
        return record

    def date(self, begun: int) -> None:
        """Date the record to what was looked at from `begun` (nanoseconds since 1970) on.

        Make compares times. Raises `TargetError`.
        """
        before = begun - TICK // 2
        try:
            os.utime(self.record_file, ns=(before, before))
        except OSError as error:
            where = self.record_file
            raise TargetError.of(where, "its time cannot be set", error) from None


def _record(directory: str) -> BuildRecord | None:
    """The record of the last build; None if there is none that can be read."""
    with suppress(SourceError, ImageError, Problems):
        return BuildRecord.read(directory)
    return None


def _put(new: str, target: str, *, wiping: bool) -> None:
    """Give a file its name; what had it before is wiped where that is asked for.

    Raises `OSError`.
    """
    if not wiping:
        os.replace(new, target)
        return
    with Replaced(target):
        os.replace(new, target)
