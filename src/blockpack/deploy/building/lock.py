"""Keeping two runs from working at one place: a lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import TargetError

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system says that has none: then nothing is kept out."""


_PATIENCE, _MOMENT = 0.2, 0.01
"""Seconds until a lock is taken for that of another run: who only asks whether there is one holds
it for an instant."""


@contextmanager
def locked(descriptor: int, busy: TargetError) -> Iterator[None]:
    """Hold the lock on what `descriptor` is open on, a file or a directory; closes it at the end.

    Raises `busy` if another run holds it, and `TargetError`.
    """
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

    patience = time.monotonic() + _PATIENCE
    try:
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
                    raise TargetError.of("", "cannot be locked", error) from None
            break
        try:
            yield
        finally:
            with suppress(OSError):  # processes of an executor may have inherited the descriptor
                flock(descriptor, LOCK_UN)
    finally:
        os.close(descriptor)
