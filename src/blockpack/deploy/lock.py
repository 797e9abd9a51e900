"""Keeping two runs from working at one place: a lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import TargetError, reason

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has none: then nothing is kept out."""


@contextmanager
def locked(descriptor: int, busy: TargetError) -> Iterator[None]:
    """Hold the lock on what `descriptor` is open on, a file or a directory; closes it at the end.

    Raises `busy` if another run holds it, and `TargetError`.
    """
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise TargetError(f"cannot be locked: {reason(error)}") from None
        try:
            yield
        finally:
            with suppress(OSError):  # processes of an executor may have inherited the descriptor
                flock(descriptor, LOCK_UN)
    finally:
        os.close(descriptor)
