"""A secret in the hands of an editor: in a file in RAM, its owner's alone, and wiped at the end.

Rule 1: the file is in a directory of its own, which is locked for as long as this process or the
editor lives. So one that nobody has locked was left by a run that was killed.
Rule 2: only what is certainly of such a run is wiped: by its name, owner and mode, and by the lock.
No link is followed, and what was looked at is what is wiped, whatever becomes of its path.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ...errors import SecretError, TargetError, UsageError, reason
from ...writing.place import Place
from ...writing.targets import target_errors
from .ramfs import is_ram

_NAME = "blockpack-edit-"
_OURS = re.compile(rf"{_NAME}[0-9a-f]{{16}}")

_TRIES = 8


@contextmanager
def edited(data: bytes, name: str, editor: str) -> Iterator[str]:
    """The path of a file in RAM with `data` in it, called `name`, once `editor` is through with it.
    Raises `SecretError` if it cannot be in RAM, or be removed; and `UsageError` if the editor
    fails.
    """
    above, directory = _ram_directory()
    with above, directory:
        path = os.path.join(os.fsdecode(directory.path), name)
        try:
            with target_errors(path):
                _write(directory, name, data)
            _run(editor, path, directory)
            yield path
        finally:
            _remove(above, directory)


def _write(directory: Place, name: str, data: bytes) -> None:
    with directory.private(name) as opened, open(opened, "wb", closefd=False) as file:
        file.write(data)


def _run(editor: str, path: str, locked: Place) -> None:
    """Run the editor. It keeps the lock, too: if it outlives this process, the file is in use."""
    try:
        done = subprocess.run(
            [*shlex.split(editor), path], check=False, pass_fds=[locked.descriptor]
        )
    except (OSError, ValueError) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError("", f"the editor {editor!r} cannot be run: {told}", "set EDITOR") from None
    if done.returncode:
        rule = f"the editor ended with status {done.returncode}, and nothing was changed"
        raise UsageError("", rule, "edit it again")


def keep_in_ram(closed: bytes, name: str) -> str:
    """Where an encrypted file is now, which cannot be where it was to go. Raises `OSError`."""
    for path in _ram_places():
        with (
            Place.own(path) as place,
            place.make(f"blockpack-kept-{os.urandom(8).hex()}") as directory,
        ):
            _write(directory, name, closed)
            return os.path.join(os.fsdecode(directory.path), name)
    raise OSError(errno.ENODEV, "there is no RAM file system")


# Where it is -------------------------------------------------------------------------------------


def _ram_directory() -> tuple[Place, Place]:
    """A new directory in RAM, its owner's alone, locked, and that above. Raises `SecretError`."""
    for path in _ram_places():
        for _ in range(_TRIES):
            with suppress(OSError, TargetError):
                above = Place.own(path)
                made = _made_in(above)
                if made is not None:
                    return above, made
                above.close()
    rule = "there is no RAM file system to keep the file on while it is edited"
    remedy = "mount a tmpfs and have XDG_RUNTIME_DIR lead to it"
    raise SecretError("", rule, f"{remedy}, or encrypt it again with 'blockpack secrets encrypt -'")


def _ram_places() -> Iterator[str]:
    """The directories in RAM that there are, the most private one first."""
    places = os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}", "/dev/shm"
    for place in filter(None, places):
        with suppress(OSError):
            if is_ram(place):
                yield place


def _made_in(above: Place) -> Place | None:
    """A new directory in a place, locked; None if there can be none, or if somebody was faster, for
    before it is locked it looks like one that was left.
    """
    name = f"{_NAME}{os.urandom(8).hex()}"
    directory = above.make(name)
    with suppress(OSError):
        if _lock(directory) and os.path.samestat(above.lstat(name), directory.status):
            return directory
    directory.close()
    with suppress(OSError):
        above.rmdir(name)
    return None


def _lock(directory: Place) -> bool:
    """Lock a directory until all have closed it who have it from here; False if others have."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    with suppress(OSError):
        flock(directory.descriptor, LOCK_EX | LOCK_NB)
        return True
    return False


def _remove(above: Place, directory: Place) -> None:
    """Wipe and remove a directory, whatever its path leads to by now. Raises `SecretError`."""
    directory.remove(directory.names(), wipe=True)
    try:
        above.rmdir(os.path.basename(directory.path))
    except OSError as error:
        rule = "holds a secret and cannot be removed"
        raise SecretError.of(os.fsdecode(directory.path), rule, error, "remove it") from None


# What killed runs left ---------------------------------------------------------------------------


def wipe_left() -> None:
    """Wipe what runs were editing that have been killed, and whose editors have ended."""
    for path in _ram_places():
        with suppress(OSError, TargetError), Place.own(path) as above:
            for name in filter(_OURS.fullmatch, above.names()):
                # It may not be ours, or be gone meanwhile.
                with suppress(OSError, TargetError, SecretError):
                    _wipe_if_left(above, name)


def _wipe_if_left(above: Place, name: str) -> None:
    with above.inside(name).require_own(private=True) as directory:
        if directory.status.st_uid == os.geteuid() and _lock(directory):
            _remove(above, directory)
