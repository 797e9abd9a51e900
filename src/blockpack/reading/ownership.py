"""Whose files are believed: this user's own, and root's, who could change them anyway.

What says what is to be done, or what opens secrets, is a regular file of one of these two. Whoever
else may have put something in its stead: a link, a pipe that never ends, or a file of their own.
"""

from __future__ import annotations

import os
import stat

from ..errors import BlockpackError
from .lifetime import on_failure

_FLAGS = (
    getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe must not hang us
    | getattr(os, "O_BINARY", 0)
)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def own_uid() -> int:
    """This user's number; where there are no users 0, which all files have there."""
    return os.geteuid() if hasattr(os, "geteuid") else 0


def is_trusted(status: os.stat_result) -> bool:
    """Whether a file or directory is this user's or root's, as far as there are users."""
    return status.st_uid in (own_uid(), 0)


def require_trusted(name: str, status: os.stat_result, error: type[BlockpackError]) -> None:
    """Raise `error` for a file or directory called `name` that is not trusted."""
    if not is_trusted(status):
        rule = f"belongs to another user (uid {status.st_uid})"
        remedy = f"run as that user, or take it over: 'chown {own_uid()} {name}'"
        raise error(name, rule, remedy)


def require_unshared(
    name: str, status: os.stat_result, error: type[BlockpackError], *, private: bool = False
) -> None:
    """Raise `error` for a directory that others may write to, or may enter if it is `private`.

    A group of this user alone may, as under a umask of 002; and anybody may who cannot put another
    file in the place of ours (the sticky bit, as in /tmp).
    """
    mode = stat.S_IMODE(status.st_mode)
    if private and mode & 0o077:
        raise error(name, f"others may enter it (mode {mode:04o})", f"run 'chmod 700 {name}'")
    own_group = not hasattr(os, "getegid") or status.st_gid == os.getegid()
    if mode & (0o002 if own_group else 0o022) and not mode & stat.S_ISVTX:
        remedy = f"run 'chmod go-w {name}', or choose another place"
        raise error(name, f"others may write to it (mode {mode:04o})", remedy)


def open_trusted(
    path: str | bytes | os.PathLike[str],
    error: type[BlockpackError],
    *,
    shown: str = "",
    dir_fd: int | None = None,
    flags: int = os.O_RDONLY,
    follow: bool = False,
    of_anybody: bool = False,
) -> int:
    """The descriptor of a regular file that is trusted, or `of_anybody`; the file is there, and
    `flags` do not create it.

    It never waits, and opens no device. A link is refused, unless they are to be followed. A file
    that is to be written may have no other name: that is how somebody has another one written to.
    Raises `error`, with the path `shown`, for what is no such file, and `OSError` if it cannot be
    opened.
    """
    name = shown or os.fsdecode(path)
    needs = bool(flags & (os.O_WRONLY | os.O_RDWR)), of_anybody
    _require(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow), name, error, *needs)
    no_link = 0 if follow else _NO_LINK
    descriptor = os.open(path, flags | _FLAGS | no_link, dir_fd=dir_fd)
    with on_failure(lambda: os.close(descriptor)):
        _require(os.fstat(descriptor), name, error, *needs)
    return descriptor


def _require(
    status: os.stat_result, name: str, error: type[BlockpackError], writing: bool, of_anybody: bool
) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is not a regular file"
        raise error(name, what, "it has to be a file of your own")
    if not of_anybody:
        require_trusted(name, status, error)
    if writing and status.st_nlink > 1:
        raise error(name, "has another name, and would be changed there, too", "remove one")
