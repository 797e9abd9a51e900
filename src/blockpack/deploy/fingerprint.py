"""What tells whether a volume's inputs changed, without reading them.

A commit's trees have ids that are digests. A directory has what the kernel notes of each file, as
git's own index uses it: size, mode, inode, and the times of its last modification and change.
Everything under a part counts, also what the volume leaves out: to look is all that a run costs
that has nothing to do, so it asks for no more than one `lstat` a name.

A file that is modified within the tick of the clock in which it was looked at has the same times
before and after. So what changed within the last tick is not built at once (`settled`); what is
modified after it was read then has a later time.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from ..errors import SourceError
from ..processes import Send, WorkerPool, processors

if TYPE_CHECKING:
    from .manifest import VolumeSpec
    from .source import CommitSource, DirectorySource

WORTHWHILE = 2_000
"""Names below this are looked at before a second process has started."""

SHARES = 512
"""The most parts that directories are shared out in."""

TICK = 20_000_000
"""Nanoseconds that the time of a file may lag behind the clock: two ticks of the slowest kernel."""

COARSE_TICK = 2_000_000_000
"""The same on file systems that note whole seconds, or every second one."""

_MARSHAL = 2  # the version that writes equal values alike


@frozen
class Place:
    """A file or directory (then its path ends in a slash) to look at, and all under it.

    `left_out` are locations that are passed over. `times` tells whether the times of directories
    matter; those of files always do.
    """

    location: bytes
    times: bool = False
    left_out: frozenset[bytes] = frozenset()


@frozen
class Look:
    """What was seen at a place: a digest in hex, None if something could not be looked at; and
    the latest change (nanoseconds since 1970).
    """

    digest: str | None
    latest: int


def look(places: Sequence[Place], jobs: int | None = None) -> list[Look]:
    """What is at each of `places` now, seen by up to `jobs` processes."""
    walk = _Walk(places)
    walk.begin()
    while walk.pending and not (walk.seen >= WORTHWHILE and len(walk.pending) > 1):
        walk.step()
    workers = min(processors(jobs), len(walk.pending))
    if workers > 1:
        walk.share_out(workers)
    while walk.pending:
        walk.step()
    return walk.looks()


_Pending = tuple[int, bytes]
"""A directory yet to look at: the number of its place, and its location."""


@define
class _Walk:
    """One walk through all places; `found` has the digest of each directory's listing."""

    places: Sequence[Place]
    pending: list[_Pending] = field(factory=list)
    found: list[tuple[int, bytes, bytes]] = field(factory=list)
    latest: dict[int, int] = field(factory=dict)
    failed: set[int] = field(factory=set)
    seen: int = 0

    def begin(self) -> None:
        for number, place in enumerate(self.places):
            if place.location.endswith(b"/"):
                self.pending.append((number, place.location))
                continue
            try:
                status = os.lstat(place.location)
            except OSError:
                self.failed.add(number)
                continue
            self._note(number, place.location, [_facts(b"", status)], status.st_ctime_ns)

    def step(self) -> None:
        """Look at one directory."""
        number, location = self.pending.pop()
        try:
            self._look_at(number, location)
        except OSError:
            self.failed.add(number)

    def _look_at(self, number: int, location: bytes) -> None:
        place = self.places[number]
        listing: list[object] = []
        latest = 0
        with os.scandir(location) as items:
            for item in items:
                # As in a scan, one `lstat` a name; whatever else would be called 50,000 times.
                status = item.stat(follow_symlinks=False)
                mode = status.st_mode
                changed = status.st_ctime_ns
                if mode & 0o170000 == 0o040000:
                    below = location + item.name + b"/"
                    if below in place.left_out:
                        continue
                    self.pending.append((number, below))
                    modified = status.st_mtime_ns if place.times else 0
                    listing.append((item.name, mode, status.st_uid, status.st_gid, modified))
                    if place.times and changed > latest:
                        latest = changed
                else:
                    # An owner, a mode or a link that changes is a later change, too.
                    listing.append(
                        (
                            item.name,
                            mode,
                            status.st_size,
                            status.st_mtime_ns,
                            changed,
                            status.st_ino,
                        )
                    )
                    if changed > latest:
                        latest = changed
        listing.sort()
        self._note(number, location, listing, latest)

    def _note(self, number: int, location: bytes, listing: list[object], latest: int) -> None:
        digest = hashlib.sha256(marshal.dumps(listing, _MARSHAL)).digest()
        self.found.append((number, location, digest))
        self.latest[number] = max(latest, self.latest.get(number, 0))
        self.seen += len(listing)

    def share_out(self, workers: int) -> None:
        """Have other processes look at some of the directories."""
        shares = [self.pending[first::SHARES] for first in range(min(SHARES, len(self.pending)))]
        try:
            pool = WorkerPool.of(len(shares), _lost)
        except OSError:  # too few descriptors left
            return
        self.pending = []
        with pool:
            pool.start(workers - 1, lambda send: self._work_off(shares, pool, send))
            self._take(shares, pool)
            for message in pool.messages():
                if isinstance(message, tuple):
                    found, latest, failed = message
                    self.found += found
                    self.failed |= failed
                    for number, when in latest.items():
                        self.latest[number] = max(when, self.latest.get(number, 0))

    def _work_off(self, shares: list[list[_Pending]], pool: WorkerPool, send: Send) -> None:
        """The work of another process."""
        self.found, self.latest, self.failed = [], {}, set()
        self._take(shares, pool)
        send((self.found, self.latest, self.failed))

    def _take(self, shares: list[list[_Pending]], pool: WorkerPool) -> None:
        for number in pool.numbers():
            self.pending = list(shares[number])
            while self.pending:
                self.step()

    def looks(self) -> list[Look]:
        """What all this comes to, a place each."""
        digests = [hashlib.sha256() for _ in self.places]
        self.found.sort()
        for number, location, digest in self.found:
            name = location[len(self.places[number].location) :]
            digests[number].update(b"%d:%b%b" % (len(name), name, digest))
        return [
            Look(None if number in self.failed else digest.hexdigest(), self.latest.get(number, 0))
            for number, digest in enumerate(digests)
        ]


def _facts(name: bytes, status: os.stat_result) -> tuple[object, ...]:
    return (
        name,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
    )


def _lost(how: str) -> SourceError:
    return SourceError("", f"a process that looks for changes {how}", "try again")


def tick(latest: int) -> int:
    """How long (nanoseconds) the clock may show the time `latest` of a file's change."""
    return TICK if latest % 1_000_000_000 else COARSE_TICK


def settled(latest: int) -> bool | None:
    """Whether what is modified from now on will show a later time than `latest`.

    Waits for it where it takes no longer than a tick, and is False then, for there may be changes
    meanwhile. None if the time is in the future: changes cannot be told.
    """
    left = latest + tick(latest) - time.time_ns()
    if left <= 0:
        return True
    if left > tick(latest) + TICK:
        return None
    time.sleep(left / 1e9)
    return False


# Directories and commits --------------------------------------------------------------------------


def places(source: DirectorySource, parts: Iterable[str], *, times: bool = False) -> list[Place]:
    """Where the parts of a volume are. Raises `SourceError` and `UsageError`."""
    found = []
    for path in parts:
        location = source.place_of(path)
        left_out = (location + os.fsencode(p) + b"/" for p in source.left_out_of(path))
        found.append(Place(location, times, frozenset(left_out)))
    return found


def commit_inputs(source: CommitSource, specs: Iterable[VolumeSpec]) -> dict[str, str | None]:
    """What tells the inputs of each volume in a commit, by its name; no file is read.

    It is None for a volume with a part that is not there.
    """
    from ..sources.git.lookup import Lookup

    found: dict[str, str | None] = {}
    with Lookup.of(source.path, source.commit) as lookup:
        own = os.path.join(lookup.repository.common_dir, "info", "attributes")
        attributes = _contents(own)
        for spec in specs:
            facts: list[object] = [attributes]
            try:
                for part in spec.parts:
                    looked = lookup.find(part.path)
                    if looked is None:
                        raise SourceError(part.path, "is not there")
                    above = sorted((path, oid.hex()) for path, oid in looked.attributes)
                    facts.append((f"{looked.mode:o}", looked.oid.hex(), above))
            except SourceError:  # planning tells what is wrong
                found[spec.name] = None
                continue
            if spec.options.get("mtime", "fixed") != "fixed":
                facts.append(source.seconds)
            if spec.format == "git" and any(not part.path for part in spec.parts):
                facts.append(source.commit)  # the image is that of the commit itself
            found[spec.name] = _digest(facts)
    return found


def _contents(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def directory_inputs(looks: Iterable[Look]) -> str | None:
    """What tells the inputs of a volume whose parts look like this; None if that is unknown."""
    digests = [look.digest for look in looks]
    return None if None in digests else _digest(digests)


def fingerprint(spec: VolumeSpec, epoch: int, inputs: str) -> str:
    """What tells a volume's image: the same fingerprint is the same image.

    `inputs` tells its inputs, `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's.
    """
    import zlib

    from .. import __version__

    options: Mapping[str, object] = dict(sorted(spec.options.items()))
    parts = [(part.path, part.at) for part in spec.parts]
    facts = (
        *(__version__, zlib.ZLIB_RUNTIME_VERSION if spec.format == "git" else "", epoch),
        *(spec.format, options, parts, spec.exclude, spec.symlinks, spec.submodules),
        *(spec.secret, spec.cipher, inputs),
    )
    return _digest(facts)


def _digest(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
