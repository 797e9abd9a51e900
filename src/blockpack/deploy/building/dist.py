"""DIST, the directory that a build leaves its images in: which are there, and how that changes.

Rule 1: the record always matches the files. An image that is replaced leaves it first, and is back
in it once all of its files have their names.
Rule 2: nothing is removed but what a build left there, and that only if it is as it was left.
Rule 3: what is secret is wiped when something takes its place, and when it is removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from attrs import define, field

from ...errors import ImageError, Problems, SourceError, TargetError, reason
from ...workers.pool import signals_held
from ...writing.lock import locked
from ...writing.place import Place
from ...writing.progress import SILENT
from ...writing.replacement import replace, replaceable, wiped
from ...writing.targets import target_errors
from ...writing.temporary_names import temporary_name
from ..file_names import RECORD
from ..record import BuildRecord, ImageRecord
from ..source.inventory import TICK
from .build_state import CONTENTS, STATE, Signature, State, VolumeState, signature
from .secret_images import retire_staged
from .sharing import digest_of


@contextmanager
def held(directory: str) -> Iterator[Place]:
    """Keep other runs out of the directory, which is ours, made if there is none, and rid of what a
    killed run left. Raises `TargetError`.
    """
    try:
        place = Place.own(directory, make=0o755)
    except OSError as error:
        raise TargetError(directory, reason(error), "give a directory to build into") from None
    rule = "another run is building there"
    busy = TargetError(directory, rule, "wait for it, or build elsewhere")
    with ExitStack() as stack:
        stack.enter_context(place)
        stack.callback(place.forsake)
        stack.enter_context(locked(place, busy))
        _tidy(place)
        stack.callback(_tidy, place)
        yield place


def _tidy(place: Place) -> None:
    try:
        retire_staged(place)
    except OSError as error:
        rule = "leftovers of a killed run cannot be removed"
        raise TargetError.of(os.fsdecode(place.path), rule, error) from None


@define
class Dist:
    """The directory, by one who holds it.

    `record` and `state` are what the last build left, whatever became of it. `records` and `states`
    tell of the images that are there now; they have `changed` once this build gave one its name.
    """

    place: Place
    record: BuildRecord | None = field(default=None, init=False)
    state: State = field(init=False)
    records: dict[str, ImageRecord] = field(factory=dict, init=False)
    states: dict[str, VolumeState] = field(factory=dict, init=False)
    changed: bool = field(default=False, init=False)
    _before: dict[str, ImageRecord] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        with suppress(SourceError, ImageError, Problems):
            self.record = BuildRecord.read(self.directory)
            self._before = {image.name: image for image in self.record.volumes}
        self.state = State.read(self.directory)
        for name, image in self._before.items():
            known = self._kept(image)
            if known is not None:
                self.records[name], self.states[name] = image, known

    def _kept(self, image: ImageRecord) -> VolumeState | None:
        """The state of an image that is as it was built. Machines give their images another owner
        (libvirt does), which shows as writing would: then its digest tells.
        """
        known = self.state.volumes.get(image.name)
        if known is None or known.is_whole(self.directory):
            return known
        path = os.path.join(self.directory, image.file)
        found, left = signature(path), known.files.get(image.file, ())
        if image.sha256 is None or found is None or found[:CONTENTS] != left[:CONTENTS]:
            return None
        renewed = known._replace(files={**known.files, image.file: found})
        if not renewed.is_whole(self.directory):
            return None
        with suppress(SourceError):
            return renewed if digest_of(path, SILENT) == image.sha256 else None
        return None

    @property
    def directory(self) -> str:
        """Where it is."""
        return os.fsdecode(self.place.path)

    @property
    def record_file(self) -> str:
        """Where the record is."""
        return os.path.join(self.directory, RECORD)

    # What is there -------------------------------------------------------------------------------

    def has(self, name: str, wanted: str) -> bool:
        """Whether the image of that name is the one that has the wanted fingerprint."""
        return wanted != "" and name in self.states and self.states[name].fingerprint == wanted

    def images(self, order: Iterable[str]) -> tuple[ImageRecord, ...]:
        """All images, by their names in that order; those that are not in it come last."""
        places = {name: number for number, name in enumerate(order)}
        last = len(places)
        return tuple(sorted(self.records.values(), key=lambda image: places.get(image.name, last)))

    # Giving names --------------------------------------------------------------------------------

    def staging(self, *, secret: bool = False) -> str:
        """A new directory that nobody else can enter, for what is not yet whole; removed at the
        end. Raises `TargetError`.
        """
        try:
            with self.place.make(temporary_name(secret=secret)) as made:
                return os.fsdecode(made.path)
        except OSError as error:
            rule = f"nothing can be written there: {reason(error)}"
            raise TargetError(self.directory, rule, "give a directory to build into") from None

    def put(self, image: ImageRecord, fingerprint: str, staging: str) -> None:
        """Give the files of an image, which are in `staging`, their names. Raises `TargetError`."""
        with signals_held():
            self.changed = True
            self._forget(image.name)
            before = self._before.get(image.name)
            wiping = image.secret or (before is not None and before.secret)
            files = {}
            with (
                target_errors(self.directory),
                self.place.inside(os.path.basename(staging)) as made,
            ):
                for file in image.files:
                    files[file] = self._put(file, made, image.secret, wiping)
            known = self.state.volumes.get(image.name)
            left = {} if known is None else known.files
            for old in (before.key, before.placements) if before is not None else ():
                if old and old in left and old not in files and self._is_there(old, left[old]):
                    self._remove(old, wiping=wiping)
            self.records[image.name] = image
            self.states[image.name] = VolumeState(fingerprint, files)

    def _forget(self, name: str) -> None:
        self.records.pop(name, None)
        self.states.pop(name, None)

    def _put(self, name: str, staging: Place, secret: bool, wiping: bool) -> Signature:
        """Give a file its name, and if it is not secret, let others read it; its signature. What
        had the name is wiped where that is asked for.
        """
        path = os.path.join(self.directory, name)
        with target_errors(path):
            status = staging.lstat(name)
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and not secret:
                staging.settle(name, self.place.mode(0o644))
            replaceable(self.place, name)
            with wiped(self.place, name, wipe=wiping):
                staging.rename(name, name, self.place)
        return signature(path) or ()

    # Removing ------------------------------------------------------------------------------------

    def remove_others(self, volumes: Container[str]) -> list[str]:
        """Remove the files of all but these volumes, if they are as they were left; their names."""
        removed = []
        for name in [name for name in self.state.volumes if name not in volumes]:
            secret = name in self._before and self._before[name].secret
            for file, left in self.state.volumes[name].files.items():
                if self._is_there(file, left) and self._remove(file, wiping=secret):
                    removed.append(file)
            self._forget(name)
        return removed

    def _is_there(self, file: str, left: Signature) -> bool:
        """Whether a file that a state tells of, which may say anything, is there as it was left."""
        found = signature(os.path.join(self.directory, file)) or ()
        return os.path.basename(file) == file and found[:CONTENTS] == left[:CONTENTS] != ()

    def _remove(self, file: str, *, wiping: bool) -> bool:
        """Remove a file, or wipe it unless it has another name; False if that cannot be done."""
        with suppress(OSError):
            (self.place.wipe if wiping else self.place.unlink)(file)
            return True
        return False

    # Telling -------------------------------------------------------------------------------------

    def write(self, record: BuildRecord, state: State) -> BuildRecord:
        """Write the record and the state if they tell anything new; the former. Raises
        `TargetError`.
        """
        old = self.record
        if not state.key and not self.changed:
            return old or record
        if old is None or record.encoded() != old.encoded():
            self._replace(RECORD, record.encoded())
        if state != self.state:
            self._replace(STATE, state.encoded())
        return record

    def _replace(self, name: str, data: bytes) -> None:
        with target_errors(os.path.join(self.directory, name)):
            replace(self.place, name, data, flush=False, mode=0o644)

    def date(self, begun: int) -> None:
        """Date the record to what was looked at from `begun` (nanoseconds since 1970) on, for Make
        compares times. Raises `TargetError`.
        """
        before = begun - TICK // 2
        try:
            self.place.settle(RECORD, mtime_ns=before)
        except OSError as error:
            where = self.record_file
            raise TargetError.of(where, "its time cannot be set", error) from None
