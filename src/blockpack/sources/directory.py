"""A path on this machine as a source: a directory, an archive, an image, or a partition of one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from ..errors import raise_problems, reading_errors
from ..images.address import split_address
from ..model.content import FilesOnDisk
from ..model.entry import Directory, Entry, File, Symlink, decode, location
from ..model.tree import Tree
from .directory_walk import DirectoryWalk, Row
from .options import UNPACKABLE, ScanOptions
from .shared_walk import shared_walk

PERMISSIONS = tuple(range(0o10000))
"""All permission bits there are: one integer for all entries that share them."""


def scan_path(source: object, options: ScanOptions) -> Tree:
    """The tree of what is at a path.

    Raises `SourceError` if it is missing or no source, and `Problems` with all that cannot be read
    or packed.
    """
    assert isinstance(source, str | bytes | os.PathLike)
    path = location(source)
    if split_address(os.fsdecode(path))[1] is None:  # and it is no partition of a disk
        with reading_errors(decode(path)):
            is_directory = stat.S_ISDIR(os.stat(path).st_mode)
        if is_directory:
            return scan(path, options)
    from .archive import scan_file  # with all that it takes, which most sources do not

    return scan_file(path, options)


def scan(
    source: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    options: ScanOptions,
    *,
    left_out: Iterable[str] = (),
    confined: bool = False,
) -> Tree:
    """The tree of the directory `source`, but for the paths that are `left_out`.

    If it is `confined`, a link that is to be followed out of it is an error. Raises `SourceError`
    if it is missing, `UsageError` for an invalid path, and `Problems` with all that cannot be read
    or packed.
    """
    walk = DirectoryWalk(
        location(source),
        excluded=options.excluded,
        symlinks=options.symlinks,
        left_out=left_out,
        confined=confined,
    )
    tree = tree_of(walk.root, shared_walk(walk, options.jobs, lambda rows: rows))
    raise_problems(UNPACKABLE, sorted(walk.problems, key=str))  # whoever found them
    return tree


def tree_of(root: bytes, listings: Iterable[list[Row]]) -> Tree:
    """The tree of the directory `root`, by what a walk listed of it."""
    store = FilesOnDisk(os.path.join(os.path.abspath(root), b""))
    return Tree.of(_entries(rows, store) for rows in listings)


def _entries(rows: list[Row], store: FilesOnDisk) -> list[Entry]:
    """The entries that `rows` tell of, in their order."""
    # Permissions are one integer for all that share them.
    return [
        File(path, what, store, path, mtime_ns, PERMISSIONS[mode], mtime_ns, uid, gid, inode)
        if type(what) is int
        else Symlink(path, what, PERMISSIONS[mode], mtime_ns, uid, gid)
        if type(what) is str
        else Directory(path, PERMISSIONS[mode], mtime_ns, uid, gid)
        for path, what, mode, mtime_ns, uid, gid, inode, _, _ in rows
    ]
