"""A place: a directory that is held by its descriptor, and whatever is made in it.

Rule 1: a directory is opened once, and names are relative to its descriptor. Whoever moves it, or
puts a link in its stead, changes nothing about where things go.
Rule 2: below it no link is followed, and a name that is there already is never opened to be
written: what is made is new.
Rule 3: what is made is its owner's alone (0600, 0700) until it is whole.
Rule 4: there is one way to replace a file, `replacing`: written, flushed, renamed, and the
directory flushed.

Where the system has no descriptors of directories, names are joined to the directory's path.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

from ..errors import TargetError

HELD = bool(os.supports_dir_fd)  # systems have it for all calls, or for none
"""Whether directories are held by their descriptors here."""

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = os.O_RDONLY | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_CREAT | os.O_EXCL | _NO_LINK | _CLOEXEC | getattr(os, "O_BINARY", 0)
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
_ACL = "system.posix_acl_access"

Name = str | bytes
"""One part of a path."""


class Place:
    """A directory that is open; a context manager that closes it.

    `path` is how it was found, for messages. `status` is what it was when it was opened. Methods
    raise `OSError`, unless they say otherwise.
    """

    def __init__(self, path: Name, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.status = os.stat(path) if descriptor is None else os.fstat(descriptor)
        self._new_owner: int | None = None

    @property
    def target(self) -> Name | int:
        """What is given to calls that take a descriptor, but no ``dir_fd``."""
        return self.path if self.descriptor is None else self.descriptor

    @classmethod
    def open(cls, path: Name) -> Self:
        """The directory at `path`; links on the way to it, and at it, are followed."""
        return cls._held(path, None, path, 0)

    @classmethod
    def _held(cls, path: Name, above: int | None, name: Name, flags: int) -> Self:
        if not HELD:
            return cls(path, None)
        descriptor = os.open(name, _DIRECTORY | flags, dir_fd=above)
        try:
            return cls(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def inside(self, name: Name) -> Self:
        """The directory `name` in here; a link is none."""
        return self._held(self._path(name), self.descriptor, self.name(name), _NO_LINK)

    def make(self, name: Name) -> Self:
        """A new directory in here, of this user's alone.

        Raises `TargetError` if somebody else put another one in its stead.
        """
        os.mkdir(self.name(name), 0o700, dir_fd=self.descriptor)
        made = self.inside(name)
        if not self._is_ours(made):
            made.close()
            path = os.fsdecode(made.path)
            raise TargetError(path, "was replaced by somebody else", "give a directory of your own")
        return made

    def _is_ours(self, made: Place) -> bool:
        """Whether a directory that was just made is of this user, as far as there are users."""
        if made.descriptor is None or made.status.st_uid == os.geteuid():
            return True
        if self._new_owner is None:  # some file systems give all that is made to one user
            name = temporary_name()
            probe = self.create(name)
            try:
                self._new_owner = os.fstat(probe).st_uid
            finally:
                os.close(probe)
                self.unlink(name)
        return made.status.st_uid == self._new_owner

    def create(self, name: Name, mode: int = 0o600) -> int:
        """A new file in here to be read and written; its descriptor."""
        return os.open(self.name(name), os.O_RDWR | _NEW, mode, dir_fd=self.descriptor)

    def symlink(self, name: Name, target: Name, mtime_ns: int) -> None:
        """A new symbolic link in here."""
        os.symlink(target, self.name(name), dir_fd=self.descriptor)
        if os.utime in os.supports_follow_symlinks:
            times = mtime_ns, mtime_ns
            path = self.name(name)
            os.utime(path, ns=times, dir_fd=self.descriptor, follow_symlinks=False)

    def link(self, name: Name, other: Place, target: Name) -> None:
        """A new name in here for the file `target` of the `other` place."""
        held: dict[str, Any] = {}
        if HELD:
            held = {"src_dir_fd": other.descriptor, "dst_dir_fd": self.descriptor}
            held["follow_symlinks"] = False
        os.link(other.name(target), self.name(name), **held)

    def lstat(self, name: Name) -> os.stat_result:
        """The status of what is in here by that name."""
        return os.stat(self.name(name), dir_fd=self.descriptor, follow_symlinks=False)

    def unlink(self, name: Name) -> None:
        """Remove the file `name`."""
        os.unlink(self.name(name), dir_fd=self.descriptor)

    def rename(self, name: Name, new: Name) -> None:
        """Rename `name`, in place of what has the new name."""
        held = self.descriptor
        os.replace(self.name(name), self.name(new), src_dir_fd=held, dst_dir_fd=held)

    def rmdir(self, name: Name) -> None:
        """Remove the empty directory `name`."""
        os.rmdir(self.name(name), dir_fd=self.descriptor)

    def names(self) -> list[str]:
        """The names of all that is in here."""
        if self.descriptor is None:
            return os.listdir(os.fsdecode(self.path))
        # By a descriptor of its own: some file systems show one what was there when it was opened.
        fresh = os.open(os.curdir, _DIRECTORY, dir_fd=self.descriptor)
        try:
            return os.listdir(fresh)
        finally:
            os.close(fresh)

    def flush(self) -> None:
        """Make the names in here durable."""
        if self.descriptor is not None:
            os.fsync(self.descriptor)

    def remove(self, names: Iterable[Name]) -> None:
        """Remove `names` and all that is in them, as far as that can be; no link is followed.

        Trees are as deep as they like, so there is no recursion: a directory is moved up, and
        emptied there.
        """
        pending = list(names)
        while pending:
            name = pending.pop()
            with suppress(OSError):
                try:
                    self.unlink(name)
                except (IsADirectoryError, PermissionError):
                    with self.inside(name) as directory:
                        directory._open_up()
                        pending += directory._emptied_into(self)
                    self.rmdir(name)

    def _emptied_into(self, above: Place) -> Iterator[Name]:
        """Remove what is no directory, and move up what is; the names that these have there."""
        for name in self.names():
            try:
                self.unlink(name)
            except (IsADirectoryError, PermissionError):
                with suppress(OSError), self.inside(name) as directory:
                    directory._open_up()  # or it could not be moved
                up = temporary_name()
                held = {"src_dir_fd": self.descriptor, "dst_dir_fd": above.descriptor}
                os.rename(self.name(name), above.name(up), **held)
                yield up

    def _open_up(self) -> None:
        """Let this user change the directory, which may have been made read-only."""
        with suppress(OSError):
            os.chmod(self.target, 0o700)

    @contextmanager
    def replacing(self, name: Name, *, flush: bool) -> Iterator[int]:
        """A new file, by its descriptor, that takes the place of `name` if the block ends well.

        It has no name until it is whole where the file system can do that, and a temporary one
        elsewhere. What it replaces leaves it owner, group, mode and access control list as far as
        this user may give them, and it is never less private than that was. With `flush` the file
        is flushed before it gets its name, and the directory after.
        """
        temporary = temporary_name()
        before = self._status_before(name)
        if before is not None:
            self._require_trusted(name, before)
        descriptor, named = self._nameless(temporary, 0o666 if before is None else 0o600)
        try:
            yield descriptor
            if before is not None:
                self._inherit(name, before, descriptor)
            if flush:
                os.fsync(descriptor)
            if not named:
                self._give_name(descriptor, temporary)
            closing, descriptor = descriptor, -1
            os.close(closing)  # the last chance of a network's file system to say that it is full
            self.rename(temporary, name)
            if flush:
                self.flush()
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            with suppress(OSError):
                self.unlink(temporary)

    def _status_before(self, name: Name) -> os.stat_result | None:
        """The status of what is to be replaced, if there is something."""
        try:
            return self.lstat(name)
        except FileNotFoundError:
            return None

    def _require_trusted(self, name: Name, status: os.stat_result) -> None:
        """Raise `TargetError` for what somebody may have put there to be given what replaces it:
        another user's file where anybody may make one (as sysctl's fs.protected_regular).
        """
        mode = self.status.st_mode
        is_shared = mode & stat.S_ISVTX and mode & (stat.S_IWGRP | stat.S_IWOTH)
        if is_shared and status.st_uid not in (os.geteuid(), self.status.st_uid):
            rule = "belongs to another user, in a directory in which anybody may put files"
            raise TargetError(os.fsdecode(self._path(name)), rule, "choose another place")

    def _nameless(self, temporary: str, mode: int) -> tuple[int, bool]:
        """A new file: its descriptor, and whether it has the name `temporary` or none yet."""
        if self.descriptor is not None and hasattr(os, "O_TMPFILE") and os.path.isdir(_FDS):
            flags = os.O_RDWR | os.O_TMPFILE | _CLOEXEC
            try:
                return os.open(os.curdir, flags, mode, dir_fd=self.descriptor), False
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
        return self.create(temporary, mode), True

    def _give_name(self, descriptor: int, name: str) -> None:
        """Give a nameless file a name (open(2), "O_TMPFILE")."""
        # Following the link in /proc takes linkat(), which Python calls if given a directory.
        files = os.open(_FDS, os.O_RDONLY)
        try:
            os.link(
                str(descriptor),
                name,
                src_dir_fd=files,
                dst_dir_fd=self.descriptor,
                follow_symlinks=True,
            )
        finally:
            os.close(files)

    def _inherit(self, name: Name, before: os.stat_result, descriptor: int) -> None:
        """Give a new file the owner, group and permissions that `name` has, as far as we may."""
        if not hasattr(os, "fchown"):
            return
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
            held = f"{_FDS}/{self.descriptor}/{os.fsdecode(name)}"
            os.setxattr(descriptor, _ACL, os.getxattr(held, _ACL, follow_symlinks=False))
            return
        os.fchmod(descriptor, mode)

    def name(self, name: Name) -> Name:
        """`name` as it is given to the system beside `descriptor` as ``dir_fd``."""
        return name if self.descriptor is not None else self._path(name)

    def _path(self, name: Name) -> bytes:
        return os.path.join(os.fsencode(self.path), os.fsencode(name))

    def close(self) -> None:
        """Let go of the directory."""
        if self.descriptor is not None and self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_FDS = "/proc/self/fd"


def settle(target: int | Name, mode: int, mtime_ns: int | None = None) -> None:
    """Give a file or directory that is whole its permission bits and time (nanoseconds).

    `target` is its descriptor. File systems that have no such mode keep their own.
    """
    with suppress(PermissionError):
        os.chmod(target, mode)
    if mtime_ns is not None:
        os.utime(target, ns=(mtime_ns, mtime_ns))


def temporary_name() -> str:
    """A name that nobody has; short, whatever is to be replaced."""
    return f".blockpack-{os.urandom(8).hex()}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a file of that name was made to be put in place of another one."""
    return re.fullmatch(r"\.blockpack-[0-9a-f]{16}\.tmp", name) is not None
