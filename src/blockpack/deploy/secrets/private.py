"""Files that are their owner's alone from the first byte on, whatever the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import TargetError
from .wipe import overwrite

_NEW = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@contextmanager
def private_file(path: str | os.PathLike[str]) -> Iterator[int]:
    """The descriptor of a new file at `path`, 0600; flushed if the block ends well, else wiped.

    Raises `TargetError` if there is something at `path`, or it cannot be made.
    """
    name = os.fspath(path)
    try:
        descriptor = os.open(path, _NEW, 0o600)
    except OSError as error:
        raise TargetError.of(name, "cannot be made", error) from None
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # the umask may have left its owner less
        yield descriptor
        os.fsync(descriptor)
    except BaseException as error:
        with suppress(OSError):
            overwrite(descriptor)
        with suppress(OSError):
            os.unlink(path)
        if isinstance(error, OSError):
            raise TargetError.of(name, "cannot be written", error) from None
        raise
    finally:
        os.close(descriptor)
