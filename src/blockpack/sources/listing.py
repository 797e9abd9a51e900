"""Listing a directory as rows: plain tuples, such as any process makes fast and sends fast.

This takes nothing but `os`, so it can begin before all else is there (see `ahead`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

Row = tuple[str, int | str | None, int, int, int, int, tuple[int, int] | None]
"""An entry: path; a file's size in bytes, a link's target or None for a directory; permission bits;
time in nanoseconds since 1970; uid; gid; and (device, inode) of a file that has several names."""

Unread = tuple[bytes, str, frozenset[tuple[int, int]]]
"""A directory yet to read: where it is (with a slash at its end), what its entries' paths begin
with, and the identities of it and those above it, which only following links needs: it is how a
loop is told."""

_KIND, _FILE, _DIRECTORY, _LINK = 0o170000, 0o100000, 0o040000, 0o120000  # as in `stat`
_READABLE = 0o444


def plain_rows(unread: Unread) -> list[Row] | None:
    """What is right in a directory, sorted by name, where there is nothing to decide.

    That is nearly everywhere: files that can be read, directories, and links that are kept. None if
    anything else is there, or anything goes wrong.
    """
    location, prefix, _ = unread
    reads_all = hasattr(os, "geteuid") and os.geteuid() == 0
    rows: list[Row] = []
    try:
        with os.scandir(location) as listing:
            for item in listing:
                status = item.stat(follow_symlinks=False)
                mode = status.st_mode
                kind = mode & _KIND
                what: int | str | None = None
                if kind == _FILE and (reads_all or mode & _READABLE == _READABLE):
                    what = status.st_size
                elif kind == _LINK:
                    what = os.readlink(item.path).decode("utf-8", "surrogateescape")
                elif kind != _DIRECTORY:
                    return None
                inode = None
                if kind == _FILE and status.st_nlink > 1:
                    inode = status.st_dev, status.st_ino
                rows.append(
                    (
                        prefix + item.name.decode("utf-8", "surrogateescape"),
                        what,
                        mode & 0o7777,
                        status.st_mtime_ns,
                        status.st_uid,
                        status.st_gid,
                        inode,
                    )
                )
    except OSError:
        return None
    rows.sort()
    return rows


def found_below(unread: Unread, rows: list[Row]) -> Iterator[Unread]:
    """The directories among the `rows` of a directory; those above them are as above it."""
    location, prefix, above = unread
    for path, what, *_ in rows:
        if what is None:
            name = path[len(prefix) :].encode("utf-8", "surrogateescape")
            yield b"%b%b/" % (location, name), f"{path}/", above
