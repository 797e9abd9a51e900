"""The inventory of a directory's parts: what is there, and what tells whether any of it changed.

One walk finds both, and reads no file. It goes by what the kernel notes of each, as git's own index
does: size, mode, inode, and the times of its last modification and change. To walk is all that a
build costs that has nothing to do, so no module is imported here that takes long.

A file that is modified within the tick of the clock in which it was looked at has the same times
before and after. So what changed within the last tick is not read at once (`settled`); what is
modified after it was read then has a later time.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ...errors import BlockpackError, SourceError
from ...model.path_bytes import encode
from ...sources.directory_walk import DirectoryWalk, Row
from ...sources.exclude import excluding
from ...sources.shared_walk import shared_walk
from ...workers.processors import Jobs

if TYPE_CHECKING:
    from ...sources.options import Symlinks

TICK = 20_000_000
"""Nanoseconds that the time of a file may lag behind the clock: two ticks of the slowest kernel."""

COARSE_TICK = 2_000_000_000
"""The same on file systems that note whole seconds, or every second one."""

_MARSHAL = 2  # the version that writes equal values alike
_WHAT, _CHANGED = itemgetter(1), itemgetter(7)  # of rows


class Subtree(NamedTuple):
    """What a part is made of: the file at `location`, or what is in the directory there.

    That is absolute, and a directory's ends in a slash. `dated` tells whether times of directories
    matter, `left_out` has paths in there to pass over, `exclude` and `symlinks` are as in a scan.
    """

    location: str
    dated: bool = False
    left_out: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    symlinks: Symlinks = "keep"

    @classmethod
    def of(cls, values: Sequence[Any]) -> Self:
        """The one that `values` are, or were before they were JSON."""
        return cls._make(tuple(value) if isinstance(value, list) else value for value in values)


class Stock(NamedTuple):
    """What was found of a subtree: the digest of all of it, in hex, and None if something cannot
    be read or packed; and the time of the latest change, in nanoseconds since 1970.
    """

    digest: str | None
    latest: int
    packed: tuple[bytes, ...] = ()

    def listings(self) -> Iterator[list[Row]]:
        """The rows of each of its directories."""
        return (marshal.loads(rows) for rows in self.packed)


class Inventory:
    """What is in subtrees, each of which is looked at once, by up to `jobs` processes."""

    def __init__(self, jobs: Jobs = 1) -> None:
        self.jobs = jobs
        self.begun = time.time_ns()
        """When the first look began, in nanoseconds since 1970."""
        self._stocks: dict[Subtree, Stock] = {}

    def of(self, subtree: Subtree) -> Stock:
        """What is there."""
        if subtree not in self._stocks:
            self._stocks[subtree] = _taken(subtree, self.jobs)
        return self._stocks[subtree]

    def clear(self) -> None:
        """Forget what there is, once all is planned: of a million files it is 80 MB."""
        self._stocks.clear()

    def digest(self, subtrees: Iterable[Subtree]) -> str | None:
        """What tells all that is in these from anything else; None if that is unknown."""
        digests = [self.of(subtree).digest for subtree in subtrees]
        return None if None in digests else digest_of(digests)

    def locations(self, subtree: Subtree) -> Iterator[bytes]:
        """Where all is that is in a subtree, but for links that lead nowhere; that of a directory
        ends in a slash. Raises `SourceError`.
        """
        stock = self.of(subtree)
        if stock.digest is None:
            remedy = "'blockpack check' says what is wrong"
            raise SourceError(subtree.location, "cannot be read", remedy)
        top = os.fsencode(subtree.location)
        yield top
        for rows in stock.listings():
            for path, what, *_ in rows:
                location = top + encode(path)
                if not isinstance(what, str) or os.path.exists(location):
                    yield location + b"/" if what is None else location

    def settle(self) -> bool:
        """Look again at all if it changed so lately that a change meanwhile would not show.

        False if what changes cannot be told, for the clock went back.
        """
        latest = max((stock.latest for stock in self._stocks.values()), default=0)
        told = settled(latest, self.begun)
        if told is False:
            self.begun = time.time_ns()
            self._stocks = {subtree: _taken(subtree, self.jobs) for subtree in self._stocks}
        return told is not None


def _taken(subtree: Subtree, jobs: Jobs) -> Stock:
    location, dated, left_out, exclude, symlinks = subtree
    try:
        if not location.endswith("/"):
            found = os.lstat(location)
            times = found.st_mtime_ns, found.st_ctime_ns
            name = os.path.basename(location)
            facts = name, found.st_mode, found.st_size, *times, found.st_ino
            return Stock(digest_of(facts), found.st_ctime_ns)
        walk = DirectoryWalk(
            os.fsencode(location),
            excluded=excluding(exclude),
            symlinks=symlinks,
            left_out=left_out,
            confined=True,
        )
        lists = list(shared_walk(walk, jobs, lambda rows: _packed(rows, dated=dated)))
    except (BlockpackError, OSError):  # planning tells what is wrong
        return Stock(None, 0)
    latest = max((changed for _, changed, _ in lists), default=0)
    if walk.problems:
        return Stock(None, latest)
    digest = hashlib.sha256(b"".join(sorted(digest for digest, _, _ in lists)))
    return Stock(digest.hexdigest(), latest, tuple(rows for _, _, rows in lists))


def _packed(rows: list[Row], *, dated: bool) -> tuple[bytes, int, bytes]:
    """A directory's listing: its digest, the time of the latest change, and its rows as bytes."""
    latest = max(map(_CHANGED, rows), default=0)
    if None in map(_WHAT, rows):
        if dated:
            latest = max(latest, *(row[3] for row in rows if row[1] is None))
        else:  # a directory changes with what is in it, and that shows by itself
            rows = [row if row[1] is not None else (*row[:3], 0, *row[4:]) for row in rows]
    packed = marshal.dumps(rows, _MARSHAL)
    return hashlib.sha256(packed).digest(), latest, packed


def digest_of(facts: object) -> str:
    """What tells these facts from others."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def settled(latest: int, looked: int) -> bool | None:
    """Whether what was modified since it was `looked` at shows a later time than `latest`.

    Waits until that is so where it takes no longer than a tick, and is False then, for there may
    have been changes meanwhile. None if the time is in the future: what changes then cannot be
    told. Times are in nanoseconds since 1970.
    """
    tick = TICK if latest % 1_000_000_000 else COARSE_TICK
    end = latest + tick
    if end <= looked:
        return True
    left = end - time.time_ns()
    if left > tick + TICK:
        return None
    time.sleep(max(left, 0) / 1e9)
    return False
