"""Keeping two runs from working at one place: a lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import TargetError
from ..reading.lifetime import held
from .place import Name, Place

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has none: then nothing is kept out."""

_PATIENCE, _MOMENT = 0.2, 0.01
"""Seconds until a lock is taken for that of another run: who only asks whether there is one holds
it for an instant."""


@contextmanager
def locked(place: Place, busy: TargetError, file: Name | None = None) -> Iterator[None]:
    """Hold the lock on the directory, or on a file in it that is made, and nobody else may hold.

    Raises `busy` if another run holds it, and `TargetError`.
    """
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    try:
        descriptor = _open(place, file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise TargetError.of(busy.path, "cannot be locked", error) from None
    patience = time.monotonic() + _PATIENCE
    with held(descriptor):
        while True:
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > patience:
                    raise busy from None
                time.sleep(_MOMENT)
                continue
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise TargetError.of(busy.path, "cannot be locked", error) from None
            break
        if file is not None and not _is_named(place, file, descriptor):
            raise busy  # or was: it has removed what it had made
        try:
            yield
        finally:
            with suppress(OSError):  # processes of an executor may have inherited the descriptor
                flock(descriptor, LOCK_UN)


def is_locked(place: Place, file: Name | None = None) -> bool:
    """Whether a run holds the lock now; False if there is none, or that cannot be told."""
    from fcntl import LOCK_NB, LOCK_SH, flock

    try:
        descriptor = _open(place, file, os.O_RDONLY)
    except (OSError, TargetError):
        return False
    with held(descriptor), suppress(OSError):
        try:
            flock(descriptor, LOCK_SH | LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _is_named(place: Place, file: Name, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return place.lstat(file).st_ino == os.fstat(descriptor).st_ino
    return False


def _open(place: Place, file: Name | None, flags: int) -> int:
    """What is locked, open: a descriptor of its own, for a lock goes with that."""
    if file is not None:
        descriptor = place.open_file(file, flags)
        if flags & os.O_CREAT and os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)  # to hold a lock it would do to read the file
        return descriptor
    return os.open(os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place.descriptor)
