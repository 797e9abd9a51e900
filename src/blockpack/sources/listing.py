"""Listing a directory as rows: plain tuples, such as any process makes fast and sends fast.

Nothing that is slow to import is needed for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from operator import itemgetter

Row = tuple[str, int | str | None, int, int, int, int, tuple[int, int] | None]
"""An entry: path; a file's size in bytes, a link's target or None for a directory; permission bits;
time in nanoseconds since 1970; uid; gid; and (device, inode) of a file that has several names."""

Unread = tuple[bytes, str, frozenset[tuple[int, int]]]
"""A directory yet to read: where it is (with a slash at its end), what its entries' paths begin
with, and the identities of it and those above it, which only following links needs: it is how a
loop is told."""

_KIND, _FILE, _DIRECTORY, _LINK = 0o170000, 0o100000, 0o040000, 0o120000  # as in `stat`
_READABLE = 0o444

_OPEN = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)

# By a descriptor names come as text, which is what they are in every locale of UTF-8 alone.
_BY_DESCRIPTOR = os.scandir in os.supports_fd and sys.getfilesystemencoding() == "utf-8"

BATCH = 4_000
"""Rows, or a few more, that are sent at once."""


path_of = itemgetter(0)
"""The path of a row."""


def plain_rows(unread: Unread) -> list[Row] | None:
    """What is right in a directory, sorted by name, where there is nothing to decide.

    That is nearly everywhere: files that can be read, directories, and links that are kept. None if
    anything else is there, or anything goes wrong.
    """
    if not _BY_DESCRIPTOR:
        return None
    try:
        # The kernel finds a name by its directory's descriptor faster than by a whole path.
        descriptor = os.open(unread[0], _OPEN)
        try:
            rows = _rows(descriptor, unread[1])
        finally:
            os.close(descriptor)
    except OSError:
        return None
    if rows is not None:
        rows.sort(key=path_of)
    return rows


def _rows(directory: int, prefix: str) -> list[Row] | None:
    reads_all = hasattr(os, "geteuid") and os.geteuid() == 0
    rows: list[Row] = []
    with os.scandir(directory) as listing:
        for item in listing:
            status = item.stat(follow_symlinks=False)
            mode = status.st_mode
            kind = mode & _KIND
            what: int | str | None = None
            inode = None
            if kind == _FILE and (reads_all or mode & _READABLE == _READABLE):
                what = status.st_size
                if status.st_nlink > 1:
                    inode = status.st_dev, status.st_ino
            elif kind == _LINK:
                what = os.readlink(item.name, dir_fd=directory)
            elif kind != _DIRECTORY:
                return None
            rows.append(
                (
                    prefix + item.name,
                    what,
                    mode & 0o7777,
                    status.st_mtime_ns,
                    status.st_uid,
                    status.st_gid,
                    inode,
                )
            )
    return rows


def found_below(unread: Unread, rows: list[Row]) -> Iterator[Unread]:
    """The directories among the `rows` of a directory; those above them are as above it."""
    location, prefix, above = unread
    for path, what, *_ in rows:
        if what is None:
            name = path[len(prefix) :].encode("utf-8", "surrogateescape")
            yield b"%b%b/" % (location, name), f"{path}/", above


def batches(listings: Iterable[list[Row]]) -> Iterator[list[list[Row]]]:
    """`listings`, as many together as have `BATCH` rows; the last ones with as many as are left."""
    batch: list[list[Row]] = []
    count = 0
    for rows in listings:
        batch.append(rows)
        count += len(rows)
        if count >= BATCH:
            yield batch
            batch, count = [], 0
    yield batch
