"""Looking at files: what tells whether anything under a directory changed, without reading it.

It goes by what the kernel notes of each file, as git's own index does: size, mode, inode, and the
times of its last modification and change. To look is all that a build costs that has nothing to
do, so it takes one `lstat` a name, by several processes, and no module that is slow to import.

A file that is modified within the tick of the clock in which it was looked at has the same times
before and after. So what changed within the last tick is not read at once (`settled`); what is
modified after it was read then has a later time.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import time

from ...errors import SourceError
from ...workers.pool import WorkerPool
from ...workers.processors import Jobs, processors

TYPE_CHECKING = False  # typing is slow to import

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...workers.pool import Send

WORTHWHILE = 2_000
"""Names below this are looked at before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""

TICK = 20_000_000
"""Nanoseconds that the time of a file may lag behind the clock: two ticks of the slowest kernel."""

COARSE_TICK = 2_000_000_000
"""The same on file systems that note whole seconds, or every second one."""

_MARSHAL = 2  # the version that writes equal values alike

Place = tuple[bytes, bool, frozenset[bytes]]
"""What to look at, with all under it: the location of a file, or of a directory (which ends in a
slash); whether the times of directories matter; locations of directories that are passed over."""

Look = tuple[str | None, int]
"""What was seen at a place: a digest in hex, None if something could not be looked at; and the
time of the latest change, in nanoseconds since 1970."""

_Pending = tuple[int, bytes]
"""A directory yet to look at: the number of its place, and its location."""


def look(places: Sequence[Place], jobs: Jobs = 1) -> list[Look]:
    """What is at each of `places` now, seen by up to `jobs` processes."""
    walk = _Walk(places)
    walk.begin()
    walk.go_on(WORTHWHILE)
    workers = min(processors(jobs), len(walk.pending))
    if workers > 1:
        walk.share_out(workers)
    walk.go_on()
    return list(walk.looks())


class _Walk:
    """One walk through all places; `found` has the digest of each directory's listing."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.pending: list[_Pending] = []
        self._places = places
        self._found: list[tuple[int, bytes, bytes]] = []
        self._latest = [0] * len(places)
        self._failed: set[int] = set()
        self._seen = 0

    def begin(self) -> None:
        """Set out from all places."""
        for number, (location, _, _) in enumerate(self._places):
            if location.endswith(b"/"):
                self.pending.append((number, location))
                continue
            try:
                status = os.lstat(location)
            except OSError:
                self._failed.add(number)
                continue
            facts = status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            self._note(number, location, [(*facts, status.st_ino)], status.st_ctime_ns)

    def go_on(self, most: int | None = None) -> None:
        """Look at what is pending, or at `most` names if more directories are left then."""
        while self.pending:
            if most is not None and self._seen >= most and len(self.pending) > 1:
                return
            number, location = self.pending.pop()
            try:
                self._look_at(number, location)
            except OSError:
                self._failed.add(number)

    def _look_at(self, number: int, location: bytes) -> None:
        _, times, left_out = self._places[number]
        listing: list[tuple[object, ...]] = []
        latest = 0
        stat = os.stat
        directory = os.open(location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # As lean as can be: this is done for each of 50,000 files.
            for name in sorted(os.listdir(directory)):
                status = stat(name, dir_fd=directory, follow_symlinks=False)
                mode = status.st_mode
                changed = status.st_ctime_ns
                if mode & 0o170000 == 0o040000:
                    below = location + os.fsencode(name) + b"/"
                    if below in left_out:
                        continue
                    self.pending.append((number, below))
                    own = status.st_mtime_ns if times else 0
                    listing.append((name, mode, status.st_uid, status.st_gid, own))
                    if not times:
                        continue
                else:
                    # The change of an owner, or of a link, shows in its time.
                    modified = status.st_mtime_ns
                    listing.append((name, mode, status.st_size, modified, changed, status.st_ino))
                if changed > latest:
                    latest = changed
        finally:
            os.close(directory)
        self._note(number, location, listing, latest)

    def _note(
        self, number: int, location: bytes, listing: list[tuple[object, ...]], latest: int
    ) -> None:
        digest = hashlib.sha256(marshal.dumps(listing, _MARSHAL)).digest()
        self._found.append((number, location, digest))
        self._latest[number] = max(latest, self._latest[number])
        self._seen += len(listing)

    def share_out(self, workers: int) -> None:
        """Look at what is pending together with other processes."""
        shares = [self.pending[first::SHARES] for first in range(min(SHARES, len(self.pending)))]
        try:
            pool = WorkerPool.of(len(shares), self._lost)
        except OSError:  # too few descriptors left
            return
        with pool:
            pool.start(workers - 1, lambda send: self._work_off(shares, pool, send))
            self._take(shares, pool)
            for message in pool.messages():
                if isinstance(message, tuple):
                    found, latest, failed = message
                    self._found += found
                    self._latest = list(map(max, self._latest, latest))
                    self._failed |= failed

    def _lost(self, how: str) -> SourceError:
        top = os.path.commonpath([location for location, _, _ in self._places])
        return SourceError(os.fsdecode(top), f"a process that looks for changes {how}", "try again")

    def _work_off(self, shares: list[list[_Pending]], pool: WorkerPool, send: Send) -> None:
        """The work of another process."""
        self._found = []
        self._take(shares, pool)
        send((self._found, self._latest, self._failed))

    def _take(self, shares: list[list[_Pending]], pool: WorkerPool) -> None:
        self.pending = []
        for number in pool.numbers():
            self.pending = shares[number]
            self.go_on()

    def looks(self) -> Iterator[Look]:
        """What all this comes to, a place each."""
        digests = [hashlib.sha256() for _ in self._places]
        self._found.sort()
        for number, location, digest in self._found:
            name = location[len(self._places[number][0]) :]
            digests[number].update(b"%d:%b%b" % (len(name), name, digest))
        for number, told in enumerate(digests):
            yield None if number in self._failed else told.hexdigest(), self._latest[number]


def tick(latest: int) -> int:
    """For how long (nanoseconds) the clock may show the time `latest` of a file's change."""
    return TICK if latest % 1_000_000_000 else COARSE_TICK


def settled(latest: int) -> bool | None:
    """Whether what is modified from now on will show a later time than `latest`.

    Waits for that where it takes no longer than a tick, and is False then, for there may be
    changes meanwhile. None if the time is in the future: what changes then cannot be told.
    """
    left = latest + tick(latest) - time.time_ns()
    if left <= 0:
        return True
    if left > tick(latest) + TICK:
        return None
    time.sleep(left / 1e9)
    return False
