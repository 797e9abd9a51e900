"""A file that is held as it was read, and gives way only if it still is that.

Rule 1: what takes its place is on the disk, and so is its name, before the file goes.
Rule 2: it goes only if it has the status and the bytes that were read. To be wiped it must have no
other name, and be open nowhere else: what somebody writes meanwhile would be lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EAGAIN
from typing import Self

from attrs import evolve, field, frozen

from ...errors import BlockpackError, SourceError, TargetError, UsageError, reading_errors
from ...reading.lifetime import held
from ...reading.ownership import open_trusted, require_trusted
from ...writing.place import Place
from ...writing.replacement import replacing
from ...writing.targets import target_errors
from ...writing.temporary_names import temporary_name
from ...writing.wiping import overwrite
from .ramfs import ELSEWHERE, file_system

MOST_BYTES = 256 << 20
"""Bytes of a secret, and of the encrypted files of a volume: they are held in memory."""


@frozen
class HeldFile:
    """The file `name` in the directory `place`, with the bytes and the status that it had; `path`
    is how it was found, for messages.
    """

    path: str
    place: Place
    name: str
    data: bytes = field(repr=False)
    status: os.stat_result

    @classmethod
    @contextmanager
    def reading(cls, path: str | os.PathLike[str]) -> Iterator[Self]:
        """The regular file that `path` leads to. Raises `SourceError`."""
        shown = os.fspath(path)
        directory, name = os.path.split(os.path.realpath(path))
        with reading_errors(shown):
            place = Place.open(directory)
        with place:
            with reading_errors(shown), open(_open(place, name, shown, SourceError), "rb") as file:
                status = os.fstat(file.fileno())
                data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                rule = f"has more than the {MOST_BYTES >> 20} MiB that a secret has"
                raise SourceError(shown, rule, "make it smaller")
            yield cls(shown, place, name, data, status)

    def require_removable(self) -> None:
        """Raise `UsageError` if the file is another user's, or has other names, where it would be
        wiped, too.
        """
        require_trusted(self.path, self.status, UsageError)
        others = self.status.st_nlink - 1
        if others > 0:
            names = "another name" if others == 1 else f"{others:,} other names"
            rule = f"has {names} (hard links), which would be wiped, too"
            remedy = f"check those: 'find -inum {self.status.st_ino}'"
            raise UsageError(self.path, rule, remedy)

    def replace(self, data: bytes) -> None:
        """Put a file with other bytes in its place. Raises `TargetError`."""
        with target_errors(self.path), replacing(self.place, self.name, flush=True) as descriptor:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)  # it takes long, and somebody may change the file meanwhile
            with self._opened(os.O_RDONLY) as now:
                self._require_same(now)

    def remove(self) -> str:
        """Remove the file, and overwrite what it held; the type of the file system if that keeps
        the old bytes all the same, or nothing. Raises `TargetError`.
        """
        held = self
        with target_errors(self.path):
            if not self.status.st_mode & stat.S_IWUSR:
                with self._opened(os.O_RDONLY) as now:
                    self._require_same(now)
                    os.fchmod(now, 0o600)
                    held = evolve(self, status=os.fstat(now))
            with held._opened(os.O_RDWR) as now:
                lease = _Lease(now)
                held._require_same(now)
                self._take_name(lease)
                self.place.flush()
                try:
                    overwrite(now)
                except OSError as error:
                    told = "is removed, but what it held could not be overwritten"
                    raise TargetError.of(self.path, told, error) from None
                kind = file_system(now)
        with suppress(FileNotFoundError):
            self.place.lstat(self.name)
            raise self._refusal("is there again: another program made it meanwhile")
        return kind if kind in ELSEWHERE else ""

    def _take_name(self, lease: _Lease) -> None:
        """Remove the name, if nobody has the file open, or is about to. Who looks it up from then
        on finds nothing; who did so before waits for the lease, which shows only while there is a
        way back.
        """
        lease.require_alone(self.path)
        hidden = temporary_name(secret=True)  # so a later run wipes what a killed one leaves
        self.place.rename(self.name, hidden)
        try:
            lease.require_alone(self.path)
        except TargetError:
            with suppress(FileExistsError):  # somebody made a new one: both stay
                self.place.link(self.name, self.place, hidden)
                self.place.unlink(hidden)
            raise
        self.place.unlink(hidden)

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        """The descriptor of what has the name now."""
        try:
            descriptor = _open(self.place, self.name, self.path, TargetError, flags)
        except FileNotFoundError:
            raise self._refusal("was removed or renamed meanwhile") from None
        with held(descriptor):
            yield descriptor

    def _require_same(self, descriptor: int) -> None:
        """Raise `TargetError` unless an open file is the one that was read, as it was."""
        same = _facts(os.fstat(descriptor)) == _facts(self.status)
        if same:
            with open(descriptor, "rb", closefd=False) as file:
                same = file.read(len(self.data) + 1) == self.data
        if not same:
            raise self._refusal("was changed by somebody else meanwhile, and stays as it is")

    def _refusal(self, rule: str) -> TargetError:
        return TargetError(self.path, rule, "check it, and try again")


def _open(
    place: Place, name: str, shown: str, error: type[BlockpackError], flags: int = os.O_RDONLY
) -> int:
    held = place.descriptor
    return open_trusted(name, error, shown=shown, dir_fd=held, flags=flags, of_anybody=True)


def _facts(status: os.stat_result) -> tuple[int, ...]:
    times = status.st_mtime_ns, status.st_ctime_ns
    return status.st_dev, status.st_ino, status.st_size, status.st_nlink, *times


class _Lease:
    """Tells whether another program has a file open, or is about to (fcntl(2), "Leases"); where the
    system grants no leases, nobody has.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_held = self._is_refused = False
        with suppress(ImportError, AttributeError):
            from fcntl import F_SETLEASE, F_SETSIG, F_WRLCK, fcntl
            from signal import SIGURG

            try:
                fcntl(descriptor, F_SETSIG, SIGURG)  # is ignored; the usual one would end us
                fcntl(descriptor, F_SETLEASE, F_WRLCK)
                self._is_held = True
            except OSError as error:
                self._is_refused = error.errno == EAGAIN

    def require_alone(self, path: str) -> None:
        """Raise `TargetError` if somebody had it open then, or has waited since to open it."""
        is_shared = self._is_refused
        if self._is_held:
            from fcntl import F_GETLEASE, F_WRLCK, fcntl

            is_shared = fcntl(self._descriptor, F_GETLEASE) != F_WRLCK
        if is_shared:
            rule = "is open in another program, and stays as it is"
            raise TargetError(path, rule, "check it, and try again")
