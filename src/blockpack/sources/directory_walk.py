"""Walking through a directory of this machine.

One `lstat` a name is all that a scan costs; contents are left alone. What is found are rows, plain
tuples, which any process makes fast and sends fast; entries are made of them where the tree is.

All that is wrong with a source (an unreadable directory, a socket, a broken link that should
be followed) is collected and raised together at the end of the scan.

Nothing slow is imported: a build that has nothing to do walks, too, and goes no further.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ..errors import BlockpackError, EntryError, SourceError, reading_errors, reason
from ..model.path_bytes import decode, encode
from .symlinks import instead_of_link, leads_into_itself, leads_out

if TYPE_CHECKING:
    from .options import Excluded, Symlinks

Row = tuple[str, int | str | None, int, int, int, int, tuple[int, int] | None, int, int]
"""An entry: path; a file's size in bytes, a link's target or None for a directory; permission bits;
time in nanoseconds since 1970; uid; gid; (device, inode) of a file that has several names. And what
else tells whether it was changed, which is 0 for a directory: the time of its last change (of
contents or status, in nanoseconds since 1970), and its inode."""

Unread = tuple[bytes, str, frozenset[tuple[int, int]]]
"""A directory yet to read: where it is (with a slash at its end), what its entries' paths begin
with, and the identities of it and those above it, which only following links needs: it is how a
loop is told."""

path_of = itemgetter(0)
"""The path of a row."""

_KIND, _FILE, _DIRECTORY, _LINK = 0o170000, 0o100000, 0o040000, 0o120000  # as in `stat`
_ALL_MAY_READ = 0o444

_OPEN = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)

_IS_UTF8 = sys.getfilesystemencoding() == "utf-8"
"""Whether names come as the text that they are here."""

_KINDS = {
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}

_READABLE = "make it readable or exclude it"


class DirectoryWalk:
    """One walk through the directory `root`.

    `excluded` and `symlinks` are as in `ScanOptions`. `left_out` has paths to pass over. A
    `confined` walk follows no link out of `root`.

    `begin`, then iterate over `listings()`; afterwards `problems` has what was wrong. Between
    two listings the walk can be left and gone on with: `pending` is all that is yet to read.
    """

    def __init__(
        self,
        root: bytes,
        *,
        excluded: Excluded | None = None,
        symlinks: Symlinks = "keep",
        left_out: Iterable[str] = (),
        confined: bool = False,
    ) -> None:
        self.root = root
        self.problems: list[BlockpackError] = []
        self.pending: list[Unread] = []
        self._excluded = excluded
        self._symlinks = symlinks
        self._left_out = frozenset(left_out)
        self._confined = confined
        self._is_root = hasattr(os, "geteuid") and os.geteuid() == 0

    def begin(self) -> None:
        """Set out. Raises `SourceError` if the root is missing or not a directory."""
        with reading_errors(decode(self.root)):
            status = os.stat(self.root)
        if not stat.S_ISDIR(status.st_mode):
            raise SourceError(decode(self.root), "is not a directory", "give a directory")
        top = os.path.join(self.root, b"")
        self.pending = [(top, "", frozenset([(status.st_dev, status.st_ino)]))]

    def listings(self) -> Iterator[list[Row]]:
        """The rows of one directory after another, each list sorted by name.

        The first list has what is right under the root.
        """
        while self.pending:
            unread = self.pending.pop()
            try:
                rows = self._listing(unread)
            except OSError as error:
                self._unreadable(unread, error)
                continue
            if self._left_out:
                rows = [row for row in rows if path_of(row) not in self._left_out]
            rows.sort(key=path_of)
            self._put_off(unread, rows)
            yield rows

    def _put_off(self, unread: Unread, rows: list[Row]) -> None:
        """Note the directories among the `rows` of one, which are yet to read."""
        location, prefix, above = unread
        for path in [row[0] for row in rows if row[1] is None]:
            below = b"%b%b/" % (location, encode(path[len(prefix) :]))
            inside, inner = above, f"{path}/"
            if self._symlinks == "follow":
                try:
                    status = os.stat(below)
                except OSError as error:
                    self._unreadable((below, inner, above), error)
                    continue
                inside |= {(status.st_dev, status.st_ino)}
            self.pending.append((below, inner, inside))

    def _unreadable(self, unread: Unread, error: OSError) -> None:
        """Note a directory, by its path in the tree; the root by where it is."""
        location, prefix, _ = unread
        path = prefix[:-1] or decode(location.rstrip(b"/"))
        self.problems.append(SourceError(path, f"cannot be read: {reason(error)}", _READABLE))

    def _listing(self, unread: Unread) -> list[Row]:
        """The rows of one directory, in no order. Raises `OSError` if it cannot be read."""
        # The kernel finds a name by its directory's descriptor faster than by a whole path.
        directory = os.open(unread[0], _OPEN)
        try:
            with os.scandir(directory) as items:
                return self._rows(unread, items)
        finally:
            os.close(directory)

    def _rows(self, unread: Unread, items: Iterable[os.DirEntry[Any]]) -> list[Row]:
        """The rows of what is in a directory, in no order.

        There is nothing to decide about nearly all that is anywhere: directories, and files that
        can be read (by root any, by others what all may read). Raises `OSError`.
        """
        location, prefix, above = unread
        excluded = self._excluded is not None
        reads_all = self._is_root
        found: list[Row] = []
        for item in items:
            name = item.name if _IS_UTF8 else decode(os.fsencode(item.name))
            path = prefix + name
            try:
                status = item.stat(follow_symlinks=False)
            except OSError as error:
                self.problems.append(SourceError.of(path, "cannot be read", error))
                continue
            mode = status.st_mode
            kind = mode & _KIND
            is_file = kind == _FILE and (reads_all or mode & _ALL_MAY_READ == _ALL_MAY_READ)
            if excluded or not (is_file or kind == _DIRECTORY):
                taken = self._taken(item, location + encode(name), path, status, above)
                if taken is None:
                    continue
                status, mode = taken, taken.st_mode
                kind = mode & _KIND
                is_file = kind == _FILE
            found.append(
                (
                    path,
                    status.st_size
                    if is_file
                    else decode(os.readlink(location + encode(name)))
                    if kind == _LINK
                    else None,
                    mode & 0o7777,
                    status.st_mtime_ns,
                    status.st_uid,
                    status.st_gid,
                    (status.st_dev, status.st_ino) if is_file and status.st_nlink > 1 else None,
                    0 if kind == _DIRECTORY else status.st_ctime_ns,
                    0 if kind == _DIRECTORY else status.st_ino,
                )
            )
        return found

    def _taken(
        self,
        item: os.DirEntry[Any],
        location: bytes,
        path: str,
        status: os.stat_result,
        above: frozenset[tuple[int, int]],
    ) -> os.stat_result | None:
        """The status of what is packed as one name; None if it is left out or is a problem."""
        excluded = self._excluded
        if excluded is not None and excluded(path, stat.S_ISDIR(status.st_mode)):
            return None
        if stat.S_ISLNK(status.st_mode) and self._symlinks != "keep":
            followed = self._followed(item, location, path, above)
            if followed is None:
                return None
            status = followed
        kind = stat.S_IFMT(status.st_mode)
        if kind not in (_FILE, _DIRECTORY, _LINK):
            rule = f"is a {_KINDS.get(kind, 'special file')}, which images cannot hold"
            self.problems.append(EntryError(path, rule, "exclude it"))
        elif kind == _FILE and not (self._is_root or os.access(location, os.R_OK)):
            rule = "cannot be read: permission denied"
            self.problems.append(SourceError(path, rule, _READABLE))
        else:
            return status
        return None

    def _followed(
        self, item: os.DirEntry[Any], location: bytes, path: str, above: frozenset[tuple[int, int]]
    ) -> os.stat_result | None:
        """What a link leads to; None if it is left out, or a problem."""

        def follow() -> os.stat_result:
            try:
                status = item.stat(follow_symlinks=True)
            except OSError as error:
                rule = f"is a link that leads nowhere ({reason(error)})"
                raise SourceError(path, rule, "mend or exclude it") from None
            if self._confined and not self._is_inside(location):
                raise leads_out(path)
            if stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) in above:
                raise leads_into_itself(path)
            return status

        return instead_of_link(path, self._symlinks, follow, self.problems.append)

    def _is_inside(self, location: bytes) -> bool:
        """Whether what `location` leads to is in the root."""
        top = os.path.join(os.path.realpath(self.root), b"")
        return os.path.join(os.path.realpath(location), b"").startswith(top)
