"""A place: a directory that is held by its descriptor, and whatever is made in it.

Rule 1: a directory is opened once, and names are relative to its descriptor. Whoever moves it, or
puts a link in its stead, changes nothing about where things go.
Rule 2: below it no link is followed. What is made is new; what is there already is opened to be
written only if it is a file of our own.
Rule 3: what is made is its owner's alone (0600, 0700) until it is whole.
Rule 4: there is one way to replace a file, `replacing` (in `replacement`): written, flushed,
renamed, and the directory flushed.
Rule 5: where others are not to meddle, whose the directory is, and who may write to it, is looked
at once, when it is opened: `own`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

from ..errors import TargetError
from ..reading.lifetime import Closing, held, on_failure
from ..reading.ownership import open_trusted, own_uid, require_trusted, require_unshared
from .temporary_names import SECRET, is_temporary, temporary_name
from .wiping import open_to_wipe, overwrite

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_DIRECTORY = os.O_RDONLY | _CLOEXEC | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_CREAT | os.O_EXCL | _NO_LINK | _CLOEXEC | getattr(os, "O_BINARY", 0)
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)

FDS = "/proc/self/fd"
"""Where Linux has the open files of a process, by their descriptors."""

Name = str | bytes
"""One part of a path."""


class Place(Closing):
    """A directory that is open; a context manager that closes it.

    `path` is how it was found, for messages. `status` is what it was when it was opened. Methods
    raise `OSError`, unless they say otherwise.
    """

    def __init__(self, path: Name, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.status = os.fstat(descriptor)
        self._new_owner: int | None = None
        self._made: list[Name] = []

    @classmethod
    def open(cls, path: Name) -> Self:
        """The directory at `path`; links on the way to it, and at it, are followed."""
        return cls._held(path, None, path, 0)

    @classmethod
    def own(cls, path: str, *, make: int | None = None, private: bool = False) -> Self:
        """The directory at `path`, which is ours: see `require_own`; and so is a link there, or
        whoever put it would say where we write.

        With `make`, a mode such as 0o755, it is made if it is not there, and what is missing above
        it; the umask takes away from that what others may, and nothing of what we may.
        """
        at, missing = path, []
        while True:
            try:
                place = cls._followed(at.rstrip(os.sep) or at or os.curdir)
                break
            except FileNotFoundError:
                if make is None or not at or os.path.lexists(at):
                    raise
                at, name = os.path.split(at.rstrip(os.sep))
                missing.append(name)
        made = []
        for name in reversed(missing):
            with place:
                place = place.inside(name, make=make)
            made.append(place.path)
        place.path, place._made = path, made
        return place.require_own(private=private)

    @classmethod
    def _followed(cls, path: str) -> Self:
        """The directory at `path`, or where a link there leads, if it is this user's or root's."""
        status = os.lstat(path)
        is_link = stat.S_ISLNK(status.st_mode)
        if is_link:
            require_trusted(path, status, TargetError)
        return cls._held(path, None, path, 0 if is_link else _NO_LINK)

    def require_own(self, *, private: bool = False) -> Self:
        """This place, if it is this user's or root's, and nobody else may change what is in it; or
        even enter it, if it is to be `private`. Otherwise it is closed, and `TargetError` raised.
        """
        path = os.fsdecode(self.path)
        with on_failure(self.close):
            require_trusted(path, self.status, TargetError)
            require_unshared(path, self.status, TargetError, private=private)
        return self

    def forsake(self) -> None:
        """Remove the directory, and those that were made above it, if nothing is in them."""
        with suppress(OSError):
            for path in reversed(self._made):
                os.rmdir(path)

    @classmethod
    def _held(cls, path: Name, above: int | None, name: Name, flags: int) -> Self:
        descriptor = os.open(name, _DIRECTORY | flags, dir_fd=above)
        with on_failure(lambda: os.close(descriptor)):
            return cls(path, descriptor)

    def inside(self, name: Name, *, make: int | None = None) -> Self:
        """The directory `name` in here; a link is none. With `make` it is made, as by `own`."""
        try:
            if make is not None:
                os.mkdir(name, make | 0o700, dir_fd=self.descriptor)
        except FileExistsError:
            make = None
        try:
            found = self._held(self._path(name), self.descriptor, name, _NO_LINK)
        except OSError:
            if make is not None:
                self.rmdir(name)
            raise
        if make is not None and found.status.st_mode & 0o700 != 0o700:  # the umask took it
            os.chmod(found.descriptor, stat.S_IMODE(found.status.st_mode) | 0o700)
        return found

    def make(self, name: Name) -> Self:
        """A new directory in here, of this user's alone.

        Raises `TargetError` if somebody else put another one in its stead.
        """
        os.mkdir(name, 0o700, dir_fd=self.descriptor)
        made = self.inside(name)
        owner = made.status.st_uid
        if owner != own_uid() and owner != self._owner_of_new_files():
            made.close()
            path = os.fsdecode(made.path)
            raise TargetError(path, "was replaced by somebody else", "give a directory of your own")
        return made

    def _owner_of_new_files(self) -> int | None:
        """Whose a file is that we make here: some file systems give them all to one user."""
        if self._new_owner is None:
            with suppress(OSError):
                self._new_owner = self._new_file(0o600).st_uid
        return self._new_owner

    def mode(self, most: int) -> int:
        """The mode of what is new in here: what the umask leaves of `most`."""
        if not most & 0o077:
            return most
        return self._new_file(0o777).st_mode & most | most & 0o700

    def _new_file(self, mode: int) -> os.stat_result:
        """The status of a file that was made in here, and is gone."""
        probe, name = self.nameless(mode)
        try:
            return os.fstat(probe)
        finally:
            os.close(probe)
            if name:
                self.unlink(name)

    def nameless(self, mode: int) -> tuple[int, str]:
        """A new file in here that has no name where the file system can do that, and a temporary
        one elsewhere: its descriptor, and its name, which is empty for none.
        """
        if hasattr(os, "O_TMPFILE") and os.path.isdir(FDS):
            flags = os.O_RDWR | os.O_TMPFILE | _CLOEXEC
            try:
                return os.open(os.curdir, flags, mode, dir_fd=self.descriptor), ""
            except OSError as error:
                if error.errno not in _NO_TMPFILE:
                    raise
        name = temporary_name()
        return self.create(name, mode), name

    @contextmanager
    def private(self, name: Name) -> Iterator[int]:
        """The descriptor of a new file, its owner's alone; flushed if the block ends well, else
        wiped.
        """
        descriptor = self.create(name)
        try:
            os.fchmod(descriptor, 0o600)  # the umask may have left its owner less
            yield descriptor
            os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                overwrite(descriptor)
            with suppress(OSError):
                self.unlink(name)
            raise
        finally:
            os.close(descriptor)

    def open_file(self, name: Name, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """The descriptor of a file in here that is ours or root's; with ``O_CREAT`` it is made.

        Raises `TargetError` for another user's, for what is not a regular file, and, if it is to be
        written, for one that has another name.
        """
        if flags & os.O_CREAT:
            with suppress(FileExistsError):
                return os.open(name, flags | _NEW, mode, dir_fd=self.descriptor)
        shown, flags = os.fsdecode(self._path(name)), flags & ~os.O_CREAT
        return open_trusted(name, TargetError, shown=shown, dir_fd=self.descriptor, flags=flags)

    def settle(
        self, name: Name, mode: int | None = None, mtime_ns: int | None = None, flush: bool = False
    ) -> None:
        """As `settle` does for a file in here, as `open_file` opens it; then it may be flushed."""
        with held(self.open_file(name)) as descriptor:
            settle(descriptor, mode, mtime_ns)
            if flush:
                os.fsync(descriptor)

    def read(self, name: Name, most: int = -1) -> bytes:
        """The bytes of a file in here, up to `most`, as `open_file` opens it."""
        with open(self.open_file(name), "rb") as file:
            return file.read(most)

    def create(self, name: Name, mode: int = 0o600) -> int:
        """A new file in here to be read and written; its descriptor."""
        return os.open(name, os.O_RDWR | _NEW, mode, dir_fd=self.descriptor)

    def symlink(self, name: Name, target: Name, mtime_ns: int | None = None) -> None:
        """A new symbolic link in here."""
        os.symlink(target, name, dir_fd=self.descriptor)
        if mtime_ns is not None:
            times = mtime_ns, mtime_ns
            os.utime(name, ns=times, dir_fd=self.descriptor, follow_symlinks=False)

    def readlink(self, name: Name) -> str:
        """What the symbolic link `name` says."""
        return os.fsdecode(os.readlink(os.fsencode(name), dir_fd=self.descriptor))

    def link(self, name: Name, other: Place, target: Name) -> None:
        """A new name in here for the file `target` of the `other` place."""
        ends = {"src_dir_fd": other.descriptor, "dst_dir_fd": self.descriptor}
        os.link(target, name, **ends, follow_symlinks=False)

    def lstat(self, name: Name) -> os.stat_result:
        """The status of what is in here by that name."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def unlink(self, name: Name) -> None:
        """Remove the file `name`."""
        os.unlink(name, dir_fd=self.descriptor)

    def rename(self, name: Name, new: Name, to: Place | None = None) -> None:
        """Rename `name`, in place of what has the new name in here, or in the place `to`."""
        to = to or self
        ends = {"src_dir_fd": self.descriptor, "dst_dir_fd": to.descriptor}
        os.replace(name, new, **ends)

    def rmdir(self, name: Name) -> None:
        """Remove the empty directory `name`."""
        os.rmdir(name, dir_fd=self.descriptor)

    def names(self) -> list[str]:
        """The names of all that is in here."""
        # By a descriptor of its own: some file systems show one what was there when it was opened.
        with held(os.open(os.curdir, _DIRECTORY, dir_fd=self.descriptor)) as fresh:
            return os.listdir(fresh)

    def flush(self) -> None:
        """Make the names in here durable."""
        os.fsync(self.descriptor)

    def wipe(self, name: Name) -> bool:
        """Remove the file `name`; whether it was overwritten before.

        It is unless it has another name, or is not a regular file.
        """
        wiped = False
        with suppress(OSError, TargetError), held(open_to_wipe(name, self.descriptor)) as file:
            overwrite(file)
            wiped = True
        self.unlink(name)
        return wiped

    def remove(self, names: Iterable[Name], *, wipe: bool = False) -> None:
        """Remove `names` and all that is in them, as far as that can be; no link is followed.

        With `wipe` files are wiped. Trees are as deep as they like, so there is no recursion: a
        directory is moved up, and emptied there.
        """
        pending = list(names)
        while pending:
            name = pending.pop()
            with suppress(OSError):
                if self._removed(name, wipe):
                    continue
                with self.inside(name) as directory:
                    directory._open_up()
                    pending += directory._emptied_into(self, wipe)
                self.rmdir(name)

    def leftovers(self) -> list[str]:
        """The names in here of what a run that was killed left; only what this user made counts."""
        names = filter(is_temporary, self.names())
        return [name for name in names if self.lstat(name).st_uid == own_uid()]

    def tidy(self) -> None:
        """Remove the `leftovers`, for one that keeps other runs out; what is secret is wiped."""
        for name in self.leftovers():
            self.remove([name], wipe=name.startswith(SECRET))

    def _removed(self, name: Name, wipe: bool) -> bool:
        """Remove what is not a directory; False for a directory."""
        try:
            self.wipe(name) if wipe else self.unlink(name)
        except (IsADirectoryError, PermissionError):
            return False
        return True

    def _emptied_into(self, above: Place, wipe: bool) -> Iterator[Name]:
        """Remove what is not a directory, and move up what is; the names that these have there."""
        for name in self.names():
            if not self._removed(name, wipe):
                with suppress(OSError), self.inside(name) as directory:
                    directory._open_up()  # or it could not be moved
                up = temporary_name()
                self.rename(name, up, above)
                yield up

    def _open_up(self) -> None:
        """Let this user change the directory, which may have been made read-only."""
        with suppress(OSError):
            os.chmod(self.descriptor, 0o700)

    def _path(self, name: Name) -> bytes:
        return os.path.join(os.fsencode(self.path), os.fsencode(name))

    def close(self) -> None:
        """Let go of the directory."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)


def settle(target: int | Name, mode: int | None = None, mtime_ns: int | None = None) -> None:
    """Give a file or directory that is whole its permission bits and time (nanoseconds).

    `target` is its descriptor. File systems that have no such mode keep their own.
    """
    if mode is not None:
        try:  # noqa: SIM105 - `suppress` would take as long as the call, for each file of an image
            os.chmod(target, mode)
        except PermissionError:
            pass
    if mtime_ns is not None:
        os.utime(target, ns=(mtime_ns, mtime_ns))
