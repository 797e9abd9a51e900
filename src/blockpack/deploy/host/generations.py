"""Generations: builds side by side under one root, and a link to the one that is live.

    generations/0007-<commit>/   a build, complete and verified, and never changed afterwards
    current                      a link to one of them, which is switched by a rename
    activations.jsonl            every switch, and what came of it (`history`)
    host.toml                    how this host deploys (`settings`)
    .lock                        who works here

Here is what anybody can see there; `root` has how it is changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from attrs import frozen

from ...errors import BlockpackError, SourceError, TargetError, UsageError, require_path
from ...writing.lock import is_locked
from ...writing.place import Place
from ..file_names import GENERATION
from ..record import BuildRecord
from . import history
from .history import Outcomes, outcomes

CURRENT = "current"
"""The link to the live generation."""

DIRECTORY = "generations"
LOCK = ".lock"


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

    @property
    def commit(self) -> str | None:
        """The id of the commit that it was built from, if that can be told."""
        with suppress(BlockpackError):
            return self.record().commit
        return None

    @property
    def revision(self) -> str:
        """What git finds its commit by: the id, or how that begins if the record is damaged."""
        return self.commit or self.name.partition("-")[2]


class Generations:
    """All generations under the directory `root`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(require_path(root))

    @classmethod
    def existing(cls, root: str | os.PathLike[str]) -> Self:
        """Those under `root`. Raises `SourceError` if nothing was ever deployed there."""
        if not os.path.isdir(os.path.join(require_path(root), DIRECTORY)):
            raise SourceError(str(root), "has no generations", "give the directory of a deploy")
        return cls(root)

    # What is there -------------------------------------------------------------------------------

    def all(self) -> list[Generation]:
        """All generations, the oldest first. Raises `TargetError` if that cannot be told."""
        try:
            with self._place() as root, root.inside(DIRECTORY) as directory:
                names = [name for name in directory.names() if _is_directory(directory, name)]
                return sorted(filter(None, map(self._named, names)))
        except FileNotFoundError:
            return []

    def current(self) -> Generation | None:
        """The live generation. Raises `TargetError` if ``current`` is not a link of ours."""
        path = os.path.join(self.root, CURRENT)
        try:
            with self._place() as root:
                target = root.readlink(CURRENT)
        except FileNotFoundError:
            return None
        except TargetError:
            raise TargetError(path, "is not a link to a generation", "move it away") from None
        directory, _, name = target.rpartition("/")
        found = self._named(name) if directory == DIRECTORY else None
        if found is None or not found.path.is_dir():
            rule = f"leads to {target!r}, which is not a generation"
            raise TargetError(path, rule, "fix the link")
        return found

    def busy(self) -> bool:
        """Whether a run is at work there now."""
        with suppress(OSError, TargetError), self._place() as root:
            return is_locked(root, LOCK)
        return False

    def numbered(self, number: int) -> Generation:
        """The generation of that number. Raises `UsageError` if it does not exist."""
        generations = {generation.number: generation for generation in self.all()}
        if number in generations:
            return generations[number]
        known = ", ".join(map(str, generations)) or "none"
        raise UsageError(self.root, f"has no generation {number}", f"there are {known}")

    def _named(self, name: str) -> Generation | None:
        found = GENERATION.fullmatch(name)
        return None if found is None else Generation(int(found[1]), name, self.root)

    @contextmanager
    def _place(self) -> Iterator[Place]:
        """The root, while it is looked at. Raises `FileNotFoundError`, and `TargetError`."""
        try:
            with self._opened() as place:
                yield place
        except FileNotFoundError:
            raise
        except OSError as error:
            raise TargetError.of(self.root, "cannot be read", error) from None

    def _opened(self) -> AbstractContextManager[Place]:
        return Place.open(self.root)

    # What came of them ---------------------------------------------------------------------------

    def activations(self) -> list[dict[str, Any]]:
        """Every line of the history; none where nothing was ever switched."""
        try:
            with self._place() as root:
                return list(history.read(root))
        except FileNotFoundError:
            return []

    def outcomes(self) -> Outcomes:
        """Which generations passed or failed, what was rolled back from, what is unfinished."""
        return outcomes(self.activations(), frozenset(each.number for each in self.all()))

    def way_back(self) -> Generation | None:
        """What a rollback goes to: the newest older one that passed, and that no rollback passed
        over; or of all, if nothing is live.
        """
        outcomes, current = self.outcomes(), self.current()
        able = outcomes.passed - outcomes.passed_over
        older = [each for each in self.all() if current is None or each < current]
        return max((each for each in older if each.number in able), default=None)

    def outdated(self, keep: int) -> list[Generation]:
        """All but the newest `keep` that passed, the live one, and one way back: if the history, as
        when it was lost, tells of none, the newest older one that did not fail. Raises
        `UsageError`.
        """
        if keep < 1:
            raise UsageError("", f"at least 1 generation is kept, not {keep}", option="keep=1")
        outcomes, current, generations = self.outcomes(), self.current(), self.all()
        kept = [each for each in generations if each.number in outcomes.passed][-keep:]
        able = [each for each in generations if each.number not in outcomes.failed]
        older = [each for each in able if current is not None and each < current]
        kept += filter(None, (current, self.way_back() or max(older, default=None)))
        return [each for each in generations if each not in kept]


def _is_directory(directory: Place, name: str) -> bool:
    with suppress(FileNotFoundError):
        return stat.S_ISDIR(directory.lstat(name).st_mode)
    return False
