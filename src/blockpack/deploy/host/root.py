"""A root by one who works there: making generations, switching between them, removing them.

Rule 1: whatever is interrupted, at whatever instant, ``current`` leads to a whole generation, or is
absent before the first.
Rule 2: so what a generation is made of is on the disk before it gets its name, and its name is
before ``current`` leads there.
Rule 3: who comes next removes what was left unfinished.
Rule 4: the root is held by its descriptor, and nobody else may write there. What is empty in the
end is removed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from typing import Any, Self

from ...errors import TargetError, printable
from ...writing.lock import locked
from ...writing.place import Place, settle
from ...writing.temporary_names import temporary_name
from ..building.secret_images import retire
from ..record import BuildRecord
from . import history
from .generations import CURRENT, DIRECTORY, LOCK, Generation, Generations
from .history import Why

NEW = ".new-"
"""What the directories begin with that are no generations yet, or not any more."""

_MODE = 0o755
"""Only the owner may write to the directories, under any umask: they decide what is live."""

_MOST = 999_999_999
"""The last number that a generation can have."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


class Root(Generations):
    """A root while it is `held`."""

    def __init__(self, path: str | os.PathLike[str], place: Place) -> None:
        super().__init__(path)
        self.place = place

    @classmethod
    @contextmanager
    def held(cls, path: str | os.PathLike[str]) -> Iterator[Self]:
        """Keep other runs out of the root, make it if need be, and remove what a killed run left.
        Raises `TargetError` if there is another run, or if somebody else may write there.
        """
        name = Generations(path).root
        busy = TargetError(name, "another run is at work there", "wait for it")
        with ExitStack() as stack:
            with target_errors(name, name):
                place = stack.enter_context(_own(name))
                place.inside(DIRECTORY, make=_MODE).require_own().close()
                stack.enter_context(locked(place, busy, LOCK))
                root = cls(name, place)
                stack.callback(root._remove_if_empty)
                root._tidy()
            yield root

    @contextmanager
    def errors(self, path: str = "") -> Iterator[None]:
        """Turn an operating system's error into a `TargetError` about `path`, or the root."""
        with target_errors(path or self.root, self.root):
            yield

    def _opened(self) -> AbstractContextManager[Place]:
        return nullcontext(self.place)

    def _directory(self) -> Place:
        return self.place.inside(DIRECTORY)

    def _remove_if_empty(self) -> None:
        with suppress(OSError):
            self.place.rmdir(DIRECTORY)
            self.place.unlink(LOCK)
            self.place.forsake()

    def _tidy(self) -> None:
        with self._directory() as directory:
            for name in directory.names():
                if name.startswith(NEW):
                    with suppress(OSError, TargetError):  # whoever removes it is told; others go on
                        self._remove(directory, name)
        self.place.tidy()

    # Making --------------------------------------------------------------------------------------

    @contextmanager
    def making(self) -> Iterator[str]:
        """A new directory for what is to become a generation, which nobody else can enter until
        then; removed unless it became one.
        """
        name = f"{NEW}{os.urandom(6).hex()}"
        with self.errors(), self._directory() as directory:
            directory.make(name).close()
        try:
            yield os.path.join(self.root, DIRECTORY, name)
        finally:
            with suppress(OSError, TargetError), self._directory() as directory:
                self._remove(directory, name)

    def next(self, commit: str) -> Generation:
        """What the next generation will be."""
        numbers = [generation.number for generation in self.all()]
        told = (activation.get("generation") for activation in self.activations())
        numbers += (number for number in told if type(number) is int and number < _MOST)
        number = max(numbers, default=0) + 1
        return Generation(number, f"{number:04}-{commit[:12]}", self.root)

    def adopt(self, made: str, generation: Generation) -> None:
        """Make `made` a generation, after it is all on the disk. Raises `TargetError`."""
        volumes = BuildRecord.read(made).volumes
        secret = {name for image in volumes if image.secret for name in image.files}
        old = os.path.basename(made)
        with self.errors(made), self._directory() as directory:
            with directory.inside(old) as place:
                for name in place.names():
                    # Not a link to a secret image in RAM, nor what is shared: that is settled, and
                    # may have been given to the user of a machine that has it attached.
                    status = place.lstat(name)
                    if not stat.S_ISLNK(status.st_mode) and status.st_nlink == 1:
                        place.settle(name, 0o400 if name in secret else 0o444, flush=True)
                settle(place.descriptor, _MODE)
                place.flush()
            directory.rename(old, generation.name)
            directory.flush()

    # Switching -----------------------------------------------------------------------------------

    def switch(
        self,
        generation: Generation | None,
        why: Why,
        before: Generation | None = None,
        *,
        command: bool = False,
        reason: str | None = None,
    ) -> None:
        """Have ``current`` lead to `generation`, or nowhere, and take it down in the history:
        `why`, what was live `before`, whether the host's `command` is to be told, and for what
        `reason` that which was live failed.

        The history comes first: of a rollback that is killed in between, what is rolled back from
        is known. Raises `TargetError`; then what was live still is, and if a switch was to be
        undone, it is, but may not be on the disk.
        """
        is_noted = False
        with self.errors():
            try:
                history.append(self.place, _line(generation, why, before, command, reason))
                is_noted = True
                self._lead_to(generation)
                self.place.flush()
            except (OSError, TargetError):
                is_undone = why == "undone"
                if is_undone or is_noted:
                    with suppress(OSError):
                        self._lead_to(generation if is_undone else before)
                        self.place.flush()
                if is_noted and not is_undone:
                    with suppress(OSError, TargetError):
                        line = _line(before, "undone", generation, False, None)
                        history.append(self.place, line)
                raise

    def _lead_to(self, generation: Generation | None) -> None:
        if generation is None:
            with suppress(FileNotFoundError):
                self.place.unlink(CURRENT)
            return
        new = temporary_name()
        try:
            self.place.symlink(new, f"{DIRECTORY}/{generation.name}", time.time_ns())
            self.place.rename(new, CURRENT)
        except OSError:
            with suppress(OSError):
                self.place.unlink(new)
            raise

    def passed(self, generation: Generation) -> None:
        """Take down that the host's command was run for a generation, and did not fail. If that
        cannot be written, the host is told again, as after a run that broke off.
        """
        with suppress(OSError, TargetError):
            history.append(self.place, {"generation": generation.number, "outcome": "passed"})

    def failed(self, generation: Generation, reason: str) -> None:
        """Take down that a generation failed, and why. Raises `TargetError`."""
        values = {"generation": generation.number, "outcome": "failed", "reason": reason}
        with self.errors():
            history.append(self.place, values)

    # Removing ------------------------------------------------------------------------------------

    def remove(self, generations: Iterable[Generation]) -> None:
        """Remove generations; one only half gone has no name any more. Raises `TargetError`."""
        for generation in generations:
            gone = f"{NEW}{os.urandom(6).hex()}"
            with self.errors(str(generation.path)), self._directory() as directory:
                try:
                    directory.rename(generation.name, gone)
                except OSError as error:
                    if error.errno not in _FULL:
                        raise
                    gone = generation.name  # there is no room for another name
                self._remove(directory, gone, str(generation.path))

    def _remove(self, directory: Place, name: str, shown: str = "") -> None:
        """Remove a directory of images, wipe secret ones. Raises `OSError` and `TargetError`."""
        path = os.path.join(self.root, DIRECTORY, name)
        try:
            is_directory = stat.S_ISDIR(directory.lstat(name).st_mode)
        except FileNotFoundError:
            return
        if is_directory:
            with directory.inside(name) as place:
                retire(place)
        directory.remove([name])
        with suppress(FileNotFoundError):
            directory.lstat(name)
            raise TargetError(shown or path, "cannot be removed", "check its permissions")


def _line(
    generation: Generation | None,
    why: Why,
    before: Generation | None,
    command: bool,
    reason: str | None,
) -> dict[str, Any]:
    values = {
        "generation": None if generation is None else generation.number,
        "commit": None if generation is None else generation.commit,
        "why": why,
        "before": None if before is None else before.number,
        "commit_before": None if before is None else before.commit,
        "command": command,
    }
    return values if reason is None else {**values, "reason": reason}


def _own(root: str) -> Place:
    """The root, of which nobody but this user, and root, may change anything."""
    try:
        return Place.own(root, make=_MODE)
    except OSError:
        if os.path.lexists(root) and not os.path.isdir(root):
            told = "is neither a directory nor a link to one"
            raise TargetError(root, told, "move it away") from None
        raise


@contextmanager
def target_errors(path: str, root: str) -> Iterator[None]:
    """Turn an operating system's error into a `TargetError`, which tells how to make room."""
    try:
        yield
    except OSError as error:
        name = error.filename
        where = name if isinstance(name, str) and os.path.isabs(name) else path
        full = f"free some space: run 'blockpack gc {printable(root)}'"
        remedy = full if error.errno in _FULL else ""
        raise TargetError.of(where, "cannot be used", error, remedy) from None
