"""Generations: builds side by side under one root, and a link to the one that is live.

    generations/0007-<commit>/   a build, complete and verified, and never changed afterwards
    current                      a link to one of them, which is switched by a rename
    activations.jsonl            a line a switch
    .lock, .activating           who works here, and what was switched to when it broke off

Rule 1: whatever is interrupted, at whatever instant, ``current`` leads to a whole generation, or is
absent before the first.
Rule 2: so what a generation is made of is on the disk before it gets its name, and its name is
before ``current`` leads there.
Rule 3: who comes next removes what was left unfinished.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from ...errors import BlockpackError, SourceError, TargetError, UsageError, require_path
from ...writing.lock import locked
from ...writing.place import Place
from ..building.secret_images import retire
from ..file_names import GENERATION
from ..record import BuildRecord, FromCommit

CURRENT = "current"
"""The link to the generation that is live."""

DIRECTORY = "generations"
ACTIVATIONS = "activations.jsonl"
LOCK = ".lock"
ACTIVATING = ".activating"

NEW = ".new-"
"""What the directories begin with that are no generations yet, or not any more."""

_MODE = 0o755
"""Directories are their owner's to write, whatever the umask: what is live is decided in them."""

_MOST = 999_999_999
"""The last number that a generation can have."""

_LINK = ".current-"


@frozen(order=True)
class Generation:
    """A generation by its number; `name` is that of its directory, `root` where all are."""

    number: int
    name: str
    root: str

    @property
    def path(self) -> Path:
        """Its directory."""
        return Path(self.root, DIRECTORY, self.name)

    def record(self) -> BuildRecord:
        """The record of its build. Raises `SourceError`, `ImageError` and `Problems`."""
        return BuildRecord.read(self.path)

    def commit(self) -> str:
        """The id of the commit that it was built from. Raises as `record` does."""
        source = self.record().source
        return source.commit if isinstance(source, FromCommit) else ""

    @property
    def revision(self) -> str:
        """What git finds its commit by: the id, or how that begins if the record is damaged."""
        return _commit_of(self) or self.name.partition("-")[2]


class Generations:
    """All generations under the directory `root`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(require_path(root))

    @classmethod
    def existing(cls, root: str | os.PathLike[str]) -> Self:
        """Those under `root`. Raises `SourceError` if nothing was ever deployed there."""
        if not os.path.isdir(os.path.join(require_path(root), DIRECTORY)):
            raise SourceError(str(root), "has no generations", "give what was deployed to")
        return cls(root)

    # What is there -------------------------------------------------------------------------------

    def all(self) -> list[Generation]:
        """Every generation, the oldest first."""
        try:
            with os.scandir(self._path(DIRECTORY)) as items:
                names = [item.name for item in items if item.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(filter(None, map(self._named, names)))

    def newest(self) -> Generation | None:
        """The generation that was made last, if any is there."""
        return max(self.all(), default=None)

    def current(self) -> Generation | None:
        """The generation that is live. Raises `TargetError` if ``current`` is no link of ours."""
        path = self._path(CURRENT)
        try:
            target = os.readlink(path)
        except FileNotFoundError:
            return None
        except OSError:
            raise TargetError(path, "is no link to a generation", "move it away") from None
        directory, _, name = target.rpartition("/")
        found = self._named(name) if directory == DIRECTORY else None
        if found is None or not found.path.is_dir():
            raise TargetError(path, f"leads to {target!r}, which is no generation", "mend the link")
        return found

    def live_since(self) -> float | None:
        """When ``current`` was switched, in seconds since 1970."""
        with suppress(OSError):
            return os.lstat(self._path(CURRENT)).st_mtime
        return None

    def numbered(self, number: int) -> Generation:
        """The generation of that number. Raises `UsageError` if there is none."""
        for generation in self.all():
            if generation.number == number:
                return generation
        known = ", ".join(str(generation.number) for generation in self.all()) or "none"
        raise UsageError(self.root, f"has no generation {number}", f"there are {known}")

    def activations(self) -> Iterator[dict[str, Any]]:
        """Every switch there was, as in its file; lines that a crash has torn are passed over."""
        with suppress(FileNotFoundError), open(self._path(ACTIVATIONS), "rb") as file:
            for line in file:
                with suppress(ValueError, RecursionError):
                    values = json.loads(line)
                    if isinstance(values, dict) and not any(map(_is_composed, values.values())):
                        yield values

    def _named(self, name: str) -> Generation | None:
        found = GENERATION.fullmatch(name)
        return None if found is None else Generation(int(found[1]), name, self.root)

    def _path(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    # Working on it -------------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out, and remove what one that was killed left unfinished.

        Raises `TargetError` if there is another one.
        """
        with _target_errors(self.root):
            for path in (self.root, self._path(DIRECTORY)):
                try:
                    os.makedirs(path, _MODE, exist_ok=True)
                except FileExistsError:
                    told = "is no directory, and leads to none"
                    raise TargetError(path, told, "move it away") from None
            place = Place.own(self.root)
        busy = TargetError(self.root, "another run is at work there", "wait for it")
        with place, locked(place, busy, LOCK):
            with _target_errors(self.root):
                self._tidy()
            yield

    def _tidy(self) -> None:
        for name in os.listdir(self._path(DIRECTORY)):
            if name.startswith(NEW):
                with suppress(OSError):  # whoever removes it is told why; others go on
                    _remove(self._path(DIRECTORY, name))
        for name in os.listdir(self.root):
            if name.startswith((_LINK, f"{ACTIVATING}-")):
                os.unlink(self._path(name))

    @contextmanager
    def making(self) -> Iterator[str]:
        """A new directory for what is to become a generation; removed unless it became one."""
        path = self._path(DIRECTORY, f"{NEW}{os.urandom(6).hex()}")
        with _target_errors(path):
            os.mkdir(path, _MODE)
        try:
            yield path
        finally:
            with suppress(OSError):
                _remove(path)

    def next(self, commit: str) -> Generation:
        """What the next generation will be."""
        numbers = [generation.number for generation in self.all()]
        told = (activation.get("generation") for activation in self.activations())
        numbers += (number for number in told if type(number) is int and number < _MOST)
        number = max(numbers, default=0) + 1
        return Generation(number, f"{number:04}-{commit[:12]}", self.root)

    def adopt(self, made: str, commit: str) -> Generation:
        """Make the directory `made` a generation, after it is all on the disk.

        Raises `TargetError`.
        """
        generation = self.next(commit)
        volumes = BuildRecord.read(made).volumes
        secret = {name for image in volumes if image.secret for name in image.files}
        with _target_errors(made):
            for name in os.listdir(made):
                path = os.path.join(made, name)
                if os.path.islink(path):  # to a secret image in RAM
                    continue
                os.chmod(path, 0o400 if name in secret else 0o444)
                _flush(path)
            _flush(made)
            os.rename(made, generation.path)
            _flush(self._path(DIRECTORY))
        return generation

    def switch(
        self, generation: Generation | None, why: str, before: Generation | None = None
    ) -> None:
        """Have ``current`` lead to `generation`, or nowhere, and take it down in the history:
        `why`, and what was live `before`.

        The history comes first: of a rollback that is killed in between, what is rolled back from
        is known. Raises `TargetError`; then nothing was switched, or it may not be on the disk.
        """
        path = self._path(CURRENT)
        with _target_errors(path):
            self._note(generation, why, before)
            try:
                self._lead_to(generation, path)
            except OSError:
                with suppress(OSError):
                    self._note(before, "undone", generation)
                raise
            _flush(self.root)

    def _lead_to(self, generation: Generation | None, path: str) -> None:
        if generation is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        new = self._path(f"{_LINK}{os.urandom(6).hex()}")
        os.symlink(f"{DIRECTORY}/{generation.name}", new)
        os.replace(new, path)

    def _note(self, generation: Generation | None, why: str, before: Generation | None) -> None:
        values = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "generation": None if generation is None else generation.number,
            "commit": _commit_of(generation),
            "why": why,
            "before": None if before is None else before.number,
            "commit_before": _commit_of(before),
        }
        line = json.dumps(values).encode("ascii") + b"\n"
        path = self._path(ACTIVATIONS)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":  # a crash tore the last line
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def activating(self, before: Generation | None) -> Iterator[None]:
        """Note that the host is being told of a switch, and what was live `before`, until it has
        been told: the note stays if that is interrupted.
        """
        path = self._path(ACTIVATING)
        with _target_errors(path):
            new = f"{path}-{os.urandom(6).hex()}"  # there may be a note, of which this is made
            with open(new, "w", encoding="ascii") as file:
                file.write(before.name if before else "")
            _flush(new)
            os.rename(new, path)
            _flush(self.root)
        yield
        with suppress(OSError):  # it has been told; at worst it is told again
            os.unlink(path)

    def broke_off(self) -> bool:
        """Whether the last run was ended before the host had been told."""
        return os.path.lexists(self._path(ACTIVATING))

    def busy(self) -> bool:
        """Whether a run is at work there now."""
        from fcntl import LOCK_NB, LOCK_SH, flock

        try:
            with open(self._path(LOCK), "rb") as file:
                flock(file, LOCK_SH | LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is no lock, or there are none
            return False
        return False

    def live_before(self) -> Generation | None:
        """What was live before the switch that broke off, if it is still there."""
        with suppress(OSError), open(self._path(ACTIVATING), encoding="ascii") as file:
            found = self._named(file.read(100))
            return found if found is not None and found.path.is_dir() else None
        return None

    def rolled_back(self) -> frozenset[object]:
        """The commits that somebody rolled back from, until another one was deployed."""
        found: frozenset[object] = frozenset()
        before = found
        for activation in self.activations():
            why = activation.get("why")
            if why == "undone":
                found = before
                continue
            before = found
            if why == "rollback":
                found = found - {activation.get("commit")} | {activation.get("commit_before")}
            else:
                found = frozenset()
        return found

    def remove(self, generations: Iterable[Generation]) -> None:
        """Remove generations; one that is only half gone has no name any more.

        Raises `TargetError`.
        """
        for generation in generations:
            gone = self._path(DIRECTORY, f"{NEW}{os.urandom(6).hex()}")
            with _target_errors(str(generation.path)):
                os.rename(generation.path, gone)
                _remove(gone)

    def outdated(self, keep: int) -> list[Generation]:
        """All generations but the newest `keep` and the live one. Raises `UsageError`."""
        if keep < 1:
            raise UsageError("", f"at least 1 generation is kept, not {keep}", option="keep=1")
        current = self.current()
        return [generation for generation in self.all()[:-keep] if generation != current]


def _is_composed(value: object) -> bool:
    return isinstance(value, dict | list)


def _commit_of(generation: Generation | None) -> str | None:
    """The commit of a generation, if that can be told."""
    if generation is not None:
        with suppress(BlockpackError):
            return generation.commit()
    return None


def _remove(directory: str) -> None:
    """Remove a directory of images, of which secret ones are wiped. Raises `OSError`."""
    if os.path.islink(directory):  # none of ours, and wherever it leads, nothing is to be removed
        os.unlink(directory)
        return
    with Place.own(directory) as place:
        retire(place, in_ram=True)
    if os.path.lexists(directory):
        shutil.rmtree(directory)


def _flush(path: str) -> None:
    """Wait until a file, or a directory's names, are on the disk. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _target_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = error.filename
        where = name if isinstance(name, str) and os.path.isabs(name) else path
        raise TargetError.of(where, "cannot be used", error) from None
