"""A secret in the hands of an editor: in a file in RAM, its owner's alone, and wiped at the end.

Rule 1: the file is in a directory of its own, which is locked for as long as this process or the
editor lives. So one that nobody has locked was left by a run that was killed.
Rule 2: only what is certainly of such a run is wiped: by its name, owner and mode, and by the lock.
No link is followed, and what was looked at is what is wiped, whatever becomes of its path.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import SecretError, UsageError, reason
from .private import private_file
from .ramfs import is_ram
from .wipe import wipe, wipe_tree

_NAME = "blockpack-edit-"
_OURS = re.compile(rf"{_NAME}[0-9a-f]{{16}}")

_TRIES = 8

_DIRECTORY = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


@contextmanager
def edited(data: bytes, name: str, editor: str) -> Iterator[str]:
    """The path of a file in RAM with `data` in it, called `name`, once `editor` is through with it.

    Raises `SecretError` if there is no RAM file system, or the file cannot be removed; and
    `UsageError` if the editor fails.
    """
    directory, descriptor = _ram_directory()
    try:
        path = os.path.join(directory, name)
        with private_file(path) as opened, open(opened, "wb", closefd=False) as file:
            file.write(data)
        _run(editor, path, descriptor)
        yield path
    finally:
        try:
            wipe_tree(directory)
        except OSError as error:
            rule = "holds a secret and cannot be removed"
            raise SecretError.of(directory, rule, error, "remove it") from None
        finally:
            os.close(descriptor)


def _run(editor: str, path: str, lock: int) -> None:
    """Run the editor. It keeps the `lock`, too: if it outlives this process, the file is in use."""
    try:
        done = subprocess.run([*shlex.split(editor), path], check=False, pass_fds=[lock])
    except (OSError, ValueError) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError("", f"the editor {editor!r} cannot be run: {told}", "set EDITOR") from None
    if done.returncode:
        rule = f"the editor ended with status {done.returncode}, and nothing was changed"
        raise UsageError("", rule, "edit it again")


def keep_in_ram(closed: bytes, name: str) -> str:
    """Where an encrypted file is now, which cannot be where it was to go. Raises `OSError`."""
    place = next(_ram_places())
    directory = os.path.join(place, f"blockpack-kept-{os.urandom(8).hex()}")
    os.mkdir(directory, 0o700)
    with open(os.path.join(directory, name), "xb") as file:
        file.write(closed)
    return file.name


# Where it is -------------------------------------------------------------------------------------


def _ram_directory() -> tuple[str, int]:
    """A new directory on a RAM file system, its owner's alone, and the descriptor that locks it.

    Raises `SecretError`.
    """
    for place in _ram_places():
        for _ in range(_TRIES):
            made = _made_in(place)
            if made is not None:
                return made
    rule = "there is no RAM file system to keep the file on while it is edited"
    remedy = "mount a tmpfs and have XDG_RUNTIME_DIR lead to it"
    raise SecretError("", rule, f"{remedy}, or encrypt it anew with 'blockpack secrets encrypt -'")


def _ram_places() -> Iterator[str]:
    """The directories in RAM that there are, the most private one first."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    places = [own] if own else []
    if hasattr(os, "getuid"):
        places.append(f"/run/user/{os.getuid()}")
    for place in (*places, "/dev/shm"):
        with suppress(OSError):
            if is_ram(place):
                yield place


def _made_in(place: str) -> tuple[str, int] | None:
    """A new directory in `place`, locked; None if there can be none, or somebody was faster.

    Between its making and its locking it looks like one that was left.
    """
    path = os.path.join(place, f"{_NAME}{os.urandom(8).hex()}")
    try:
        os.mkdir(path, 0o700)
        descriptor = os.open(path, _DIRECTORY)
    except OSError:
        return None
    if _lock(descriptor) and _leads_to(path, descriptor):
        return path, descriptor
    os.close(descriptor)
    with suppress(OSError):
        os.rmdir(path)
    return None


def _lock(descriptor: int) -> bool:
    """Lock an open directory, until all have closed it who have it from here; False if it is."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError:
        return False
    return True


def _leads_to(path: str, descriptor: int) -> bool:
    """Whether `path` is the directory that is open, and no link to it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


# What killed runs left ---------------------------------------------------------------------------


def wipe_left() -> None:
    """Wipe what runs were editing that have been killed, and whose editors have ended."""
    for place in _ram_places():
        names: list[str] = []
        with suppress(OSError):
            names = os.listdir(place)
        for name in filter(_OURS.fullmatch, names):
            with suppress(OSError):  # it is not ours, or gone meanwhile
                _wipe_if_left(os.path.join(place, name))


def _wipe_if_left(path: str) -> None:
    """Wipe a directory of that name if a run left it that was killed. Raises `OSError`."""
    descriptor = os.open(path, _DIRECTORY)
    try:
        if _is_own(os.fstat(descriptor)) and _lock(descriptor):
            _wipe_open(descriptor)
            os.rmdir(path)
    finally:
        os.close(descriptor)


def _is_own(status: os.stat_result) -> bool:
    """Whether it is as `_made_in` makes it."""
    return status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o777 == 0o700


def _wipe_open(descriptor: int) -> None:
    """Wipe all that is in an open directory, whatever its path leads to by now."""
    for name in os.listdir(descriptor):
        path = f"/proc/self/fd/{descriptor}/{name}"
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        wipe_tree(path) if is_directory else wipe(path)
