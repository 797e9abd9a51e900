"""Replacing a file: the one way in which what was there gives way to what is new.

The new file has no name until it is whole where the file system can do that, and a temporary one
elsewhere. The name leads to a whole file at all times.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..errors import TargetError
from ..reading.lifetime import held
from ..reading.ownership import own_uid
from .place import FDS, Name, Place
from .temporary_names import temporary_name
from .wiping import open_to_wipe, overwrite

_ACL = "system.posix_acl_access"


@contextmanager
def replacing(place: Place, name: Name, *, flush: bool, mode: int | None = None) -> Iterator[int]:
    """A new file, by its descriptor, that takes the place of `name` if the block ends well.

    What it replaces leaves it owner, group, mode and access control list as far as this user may
    give them, and it is never less private than that was. With a `mode` it is this user's own, and
    has what the umask leaves of that, whatever it replaces. With `flush` the file is flushed before
    it gets its name, and the directory after.
    """
    before = replaceable(place, name)
    new = mode is None and before is None
    descriptor, temporary = place.nameless(0o666 if new else 0o600)
    try:
        yield descriptor
        if mode is not None:
            os.fchmod(descriptor, place.mode(mode))
        elif before is not None:
            _inherit(place, name, before, descriptor)
        if flush:
            os.fsync(descriptor)
        if not temporary:
            temporary = temporary_name()
            _give_name(place, descriptor, temporary)
        closing, descriptor = descriptor, -1
        os.close(closing)  # the last chance of a network's file system to say that it is full
        place.rename(temporary, name)
        if flush:
            place.flush()
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        with suppress(OSError):
            if temporary:
                place.unlink(temporary)


def replace(place: Place, name: Name, data: bytes, *, flush: bool, mode: int | None = None) -> None:
    """Put a file that has `data` in the place of `name`, as `replacing` does."""
    with (
        replacing(place, name, flush=flush, mode=mode) as new,
        open(new, "wb", closefd=False) as file,
    ):
        file.write(data)


@contextmanager
def wiped(place: Place, name: Name, *, wipe: bool) -> Iterator[None]:
    """Wipe the file `name` once another one has taken its name in the block, which may fail.

    It is overwritten if no other name led to it, after the directory is flushed.
    """
    descriptor = -1
    if wipe:
        with suppress(OSError, TargetError):
            descriptor = open_to_wipe(name, place.descriptor)
    try:
        yield
        if descriptor >= 0 and os.fstat(descriptor).st_nlink == 0:
            place.flush()
            with suppress(OSError):
                overwrite(descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def replaceable(place: Place, name: Name) -> os.stat_result | None:
    """The status of what is to be replaced, if there is something.

    Raises `TargetError` for what somebody may have put there to be given what replaces it: another
    user's file where anybody may make one (as sysctl's fs.protected_regular).
    """
    try:
        status = place.lstat(name)
    except FileNotFoundError:
        return None
    mode = place.status.st_mode
    is_shared = mode & stat.S_ISVTX and mode & (stat.S_IWGRP | stat.S_IWOTH)
    if is_shared and status.st_uid not in (own_uid(), place.status.st_uid):
        rule = "belongs to another user, in a directory in which anybody may put files"
        path = os.path.join(os.fsdecode(place.path), os.fsdecode(name))
        raise TargetError(path, rule, "choose another place")
    return status


def _give_name(place: Place, descriptor: int, name: str) -> None:
    """Give a nameless file a name (open(2), "O_TMPFILE")."""
    # Following the link in /proc takes linkat(), which Python calls if given a directory.
    with held(os.open(FDS, os.O_RDONLY)) as files:
        ends = {"src_dir_fd": files, "dst_dir_fd": place.descriptor}
        os.link(str(descriptor), name, **ends, follow_symlinks=True)


def _inherit(place: Place, name: Name, before: os.stat_result, descriptor: int) -> None:
    """Give a new file the owner, group and permissions that `name` has, as far as we may."""
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
        for uid in (before.st_uid, -1):  # only root gives files away; a group of ours will do
            with suppress(OSError):
                os.fchown(descriptor, uid, before.st_gid)
                break
        mine = os.fstat(descriptor)
    mode = stat.S_IMODE(before.st_mode) & 0o777
    if mine.st_gid != before.st_gid:  # what its group might, ours may only if everybody might
        os.fchmod(descriptor, mode & (0o707 | (mode & 0o007) << 3))
        return
    with suppress(OSError, AttributeError):
        # Its mask is what the mode shows as the group's bits, so the mode alone would be wrong.
        held = f"{FDS}/{place.descriptor}/{os.fsdecode(name)}"
        os.setxattr(descriptor, _ACL, os.getxattr(held, _ACL, follow_symlinks=False))
        return
    os.fchmod(descriptor, mode)
