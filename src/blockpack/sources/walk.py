"""Walking through a directory of this machine.

Names are read as bytes, so that neither locale nor platform has a say in them. One `lstat` a
name is all that a scan costs; contents are left alone. What is found are rows (`listing`), also
where another process finds them; entries are made of them where the tree is.

All that is wrong with a source (an unreadable directory, a socket, a broken link that should
be followed) is collected and raised together at the end of the scan.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import ClassVar

from attrs import define, field, frozen

from ..errors import (
    BlockpackError,
    EntryError,
    SourceError,
    reading_errors,
    reason,
)
from ..model.entry import Directory, Entry, File, Symlink, decode
from ..model.extent import Extent, FileRange
from .listing import Row, Unread, found_below, path_of, plain_rows
from .options import ScanOptions, link_leads_out, link_refused

_KINDS = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}

PERMISSIONS = tuple(range(0o10000))
"""All permission bits there are: one integer for all entries that share them."""

_READABLE = "make it readable or exclude it"


@frozen(weakref_slot=False)
class InDirectory:
    """Files in the directory at `prefix` (which ends in a slash); a key is a path in there."""

    forkable: ClassVar[bool] = True

    prefix: bytes

    def extent(self, file: File, offset: int) -> Extent:
        """The whole file; its size and time are compared when it is read."""
        # As `encode` does it, without a call: there may be a million files.
        key: str = file.key  # type: ignore[assignment]
        path = self.prefix + key.encode("utf-8", "surrogateescape")
        return FileRange(offset, file.size, path, file.size, file.stamp)


@define
class Walk:
    """One walk through the directory `root`.

    `left_out` has paths to pass over. A `confined` scan follows no link out of `root`.

    `begin`, then iterate over `listings()`; afterwards `problems` has what was wrong. Between
    two listings the walk can be left and gone on with: `pending` is all that is yet to read.
    """

    root: bytes
    options: ScanOptions
    problems: list[BlockpackError] = field(factory=list)
    left_out: frozenset[str] = frozenset()
    confined: bool = False
    pending: list[Unread] = field(factory=list, init=False)
    store: InDirectory = field(init=False)
    _is_root: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = InDirectory(os.path.join(os.path.abspath(self.root), b""))
        self._is_root = hasattr(os, "geteuid") and os.geteuid() == 0

    def begin(self) -> None:
        """Set out. Raises `SourceError` if the root is missing or not a directory."""
        with reading_errors(decode(self.root)):
            status = os.stat(self.root)
        if not stat.S_ISDIR(status.st_mode):
            raise SourceError(decode(self.root), "is not a directory", "give a directory")
        top = os.path.join(self.root, b"")
        self.pending = [(top, "", frozenset([(status.st_dev, status.st_ino)]))]

    @property
    def plain(self) -> bool:
        """Whether there is nothing to decide about what is found."""
        options = self.options
        return options.excluded is None and options.symlinks == "keep" and not self.left_out

    def listings(self) -> Iterator[list[Row]]:
        """The rows of one directory after another, each list sorted by name.

        The first list has what is right under the root.
        """
        plain = self.plain
        while self.pending:
            unread = self.pending.pop()
            rows = plain_rows(unread) if plain else None
            if rows is not None:
                self.pending += found_below(unread, rows)
                yield rows
                continue
            try:
                rows = self._listing(unread)
            except OSError as error:
                self._unreadable(unread[0], error)
                continue
            if self.left_out:
                rows = [row for row in rows if path_of(row) not in self.left_out]
            rows.sort(key=path_of)
            for below in found_below(unread, rows):
                self._put_off(*below)
            yield rows

    def entries(self, rows: list[Row]) -> list[Entry]:
        """The entries that `rows` tell of, in their order."""
        store = self.store
        # Permissions are one integer for all that share them.
        return [
            File(path, what, store, path, mtime_ns, PERMISSIONS[mode], mtime_ns, uid, gid, inode)
            if type(what) is int
            else Symlink(path, what, PERMISSIONS[mode], mtime_ns, uid, gid)
            if type(what) is str
            else Directory(path, PERMISSIONS[mode], mtime_ns, uid, gid)
            for path, what, mode, mtime_ns, uid, gid, inode in rows
        ]

    def _put_off(self, location: bytes, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        """Note a directory that is yet to read."""
        if self.options.symlinks == "follow":
            try:
                identity = os.stat(location)
            except OSError as error:
                self._unreadable(location, error)
                return
            above |= {(identity.st_dev, identity.st_ino)}
        self.pending.append((location, prefix, above))

    def _unreadable(self, location: bytes, error: OSError) -> None:
        path = decode(location.rstrip(b"/"))
        self.problems.append(SourceError(path, f"cannot be read: {reason(error)}", _READABLE))

    def _listing(self, unread: Unread) -> list[Row]:
        """The rows of one directory, in no order. Raises `OSError` if it cannot be read."""
        location, prefix, above = unread
        found: list[Row] = []
        with os.scandir(location) as listing:
            for item in listing:
                path = prefix + decode(item.name)
                try:
                    status = item.stat(follow_symlinks=False)
                except OSError as error:
                    self.problems.append(SourceError(path, f"cannot be read: {reason(error)}"))
                    continue
                row = self._row(item, path, status, above)
                if row is not None:
                    found.append(row)
        return found

    def _row(
        self,
        item: os.DirEntry[bytes],
        path: str,
        status: os.stat_result,
        above: frozenset[tuple[int, int]],
    ) -> Row | None:
        """The row for one name of a directory; None if it is left out or is a problem."""
        is_directory = stat.S_ISDIR(status.st_mode)
        excluded = self.options.excluded
        if excluded is not None and excluded(path, is_directory):
            return None
        if stat.S_ISLNK(status.st_mode) and self.options.symlinks != "keep":
            followed = self._followed(item, path, above)
            if followed is None:
                return None
            status = followed
        kind = stat.S_IFMT(status.st_mode)
        permissions = status.st_mode & 0o7777
        shared = permissions, status.st_mtime_ns, status.st_uid, status.st_gid
        if kind == stat.S_IFREG:
            # Root may read everything, and a file that everybody may read needs no question.
            if self._is_root or permissions & 0o444 == 0o444 or os.access(item.path, os.R_OK):
                inode = (status.st_dev, status.st_ino) if status.st_nlink > 1 else None
                return path, status.st_size, *shared, inode
            rule = "cannot be read: permission denied"
            self.problems.append(SourceError(path, rule, _READABLE))
            return None
        if kind == stat.S_IFDIR:
            return path, None, *shared, None
        if kind == stat.S_IFLNK:
            return path, decode(os.readlink(item.path)), *shared, None
        rule = f"is a {_KINDS.get(kind, 'special file')}, which no image holds"
        self.problems.append(EntryError(path, rule, "exclude it"))
        return None

    def _followed(
        self, item: os.DirEntry[bytes], path: str, above: frozenset[tuple[int, int]]
    ) -> os.stat_result | None:
        """What a link leads to; None if it is left out, or a problem."""
        if self.options.symlinks == "skip":
            return None
        if self.options.symlinks == "error":
            self.problems.append(link_refused(path))
            return None
        try:
            status = item.stat(follow_symlinks=True)
        except OSError as error:
            rule = f"is a link that leads nowhere ({reason(error)})"
            self.problems.append(SourceError(path, rule, "mend or exclude it"))
            return None
        if self.confined and not self._is_inside(item.path):
            self.problems.append(link_leads_out(path))
            return None
        if stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) in above:
            rule = "is a link to a directory that it is in"
            self.problems.append(EntryError(path, rule, "exclude it or skip links"))
            return None
        return status

    def _is_inside(self, location: bytes) -> bool:
        """Whether what `location` leads to is in the root."""
        top = os.path.join(os.path.realpath(self.root), b"")
        return os.path.join(os.path.realpath(location), b"").startswith(top)
