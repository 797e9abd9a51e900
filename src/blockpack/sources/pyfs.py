"""PyFilesystem as a source: any `fs` URL or filesystem object (the extra ``blockpack[fs]``).

A filesystem's own state (a zip file's position, a connection) is not to be shared between forked
processes.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import Any

from ..errors import BlockpackError, SourceError
from ..formats.reader import ImageEntry, Kind
from ..model.entry import EPOCH, NANOSECONDS
from ..model.tree import Tree
from ..reading.positional import PositionalReader
from .hierarchy import ForeignFile, Hierarchy, foreign_errors, scan_hierarchy
from .options import ScanOptions

_FOLLOWED = ("details", "access", "stat", "zip", "tar")
_NAMESPACES = (*_FOLLOWED, "link", "lstat")
"""What is asked of what a link leads to, and of all else; a filesystem answers what it knows."""

_FILES = (None, 0, 2)
"""PyFilesystem's numbers for a file, and for a resource of unknown type."""

_FAT_OPTIONS = {"read_only": "true", "utc": "true"}
"""How pyfatfs is to open a volume, which it would write to otherwise."""


class OnFilesystem(Hierarchy):
    """What is on an open PyFilesystem."""

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem

    def entry(self, path: str) -> ImageEntry:
        """What is at `path`. Raises `SourceError`."""
        with foreign_errors(path, remedy="mend or exclude it"):
            info = self._filesystem.getinfo(path, _NAMESPACES)
            return _entry(path, info, _target(self._filesystem, path, info))

    def listing(self, directory: str) -> Iterator[ImageEntry | BlockpackError]:
        """What is in a directory."""
        with foreign_errors(directory or "/"):
            names = self._filesystem.listdir(directory or "/")
        for name in names:
            path = f"{directory}/{name}" if directory else name
            try:
                yield self.entry(path)
            except SourceError as error:  # as a link that leads nowhere, of which fs tells nothing
                yield error

    def followed(self, link: ImageEntry) -> ImageEntry:
        """What the filesystem itself says that a link leads to. Raises `SourceError`."""
        with foreign_errors(link.path, remedy="mend or exclude it"):
            info = self._filesystem.getinfo(link.path, _FOLLOWED)
            if _is_link(info):
                rule = "is a link in an archive, which PyFilesystem does not follow"
                raise SourceError(link.path, rule, "scan the archive by its path", "symlinks=keep")
            return _entry(link.path, info, None)

    def reader(self, entry: ImageEntry, name: str) -> PositionalReader:
        """The bytes of a file."""
        return ForeignFile(lambda: self._filesystem.openbin(entry.path), entry.size, name)

    def place(self, directory: str) -> Hashable:
        """What directory of this machine it is; None if it is none that can be told."""
        with suppress(Exception):  # whatever a filesystem raises: then it cannot be told
            if self._filesystem.hassyspath(directory):
                status = os.stat(self._filesystem.getsyspath(directory))
                return status.st_dev, status.st_ino
        return None


def _is_link(info: Any) -> bool:
    """Whether an archive's own facts say that something is a symbolic link."""
    attributes = info.get("zip", "external_attr", 0)
    return stat.S_ISLNK(attributes >> 16) or bool(info.get("tar", "is_sym"))


def _target(filesystem: Any, path: str, info: Any) -> str | None:
    """What a symbolic link leads to; None for all else."""
    target: str | None = info.get("link", "target")
    if target is None and _is_link(info):
        target = info.get("tar", "linkname")
        if target is None:  # of a zip it is the content
            target = filesystem.readbytes(path).decode("utf-8", "surrogateescape")
    return target


def _entry(path: str, info: Any, target: str | None) -> ImageEntry:
    kind: Kind = "directory" if info.is_dir else "file"
    if target is not None:
        kind = "symlink"
    elif kind == "file" and info.get("details", "type") not in _FILES:
        kind = "other"
    mtime_ns = info.get("stat" if target is None else "lstat", "st_mtime_ns")
    if mtime_ns is None:
        modified = info.get("details", "modified")
        mtime_ns = int((EPOCH if modified is None else modified) * NANOSECONDS)
    access = info.raw.get("access", {})
    mode = 0o777 if target is not None else 0o755 if info.is_dir else 0o644
    if target is None and "permissions" in access:
        mode = info.permissions.mode
    return ImageEntry(
        path=path,
        kind=kind,
        size=int(info.size) if kind == "file" else 0,
        mode=mode & 0o7777,
        mtime_ns=mtime_ns,
        uid=access.get("uid") or 0,
        gid=access.get("gid") or 0,
        target=target or "",
    )


def opens(scheme: str) -> bool:
    """Whether PyFilesystem is installed, and knows URLs with `scheme`."""
    with suppress(ImportError):
        return scheme in _registry().protocols
    return False


def _registry() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fs declares namespaces the old way
        import fs.opener

        return fs.opener.registry


def scan_url(url: str, options: ScanOptions) -> Tree:
    """The tree of what is at `url` (``mem://!/docs``). Raises `SourceError` and `Problems`."""
    with foreign_errors(url, "cannot be opened"):
        from fs.path import normpath, relpath

        filesystem, inside = _registry().open(_read_only(url), writeable=False)
        start = str(relpath(normpath(inside or ""))).rstrip("/")
    return scan_hierarchy(OnFilesystem(filesystem), options, start=start, name=url)


def _read_only(url: str) -> str:
    """`url`, so that pyfatfs does not write to it."""
    if not url.startswith("fat://"):
        return url
    place, bang, inside = url.partition("!")
    for name, value in _FAT_OPTIONS.items():
        if f"{name}=" not in place:
            place += f"{'&' if '?' in place else '?'}{name}={value}"
    return f"{place}{bang}{inside}"


def scan_filesystem(filesystem: Any, options: ScanOptions) -> Tree:
    """The tree of everything in a filesystem. Raises `Problems` with what cannot be packed."""
    return scan_hierarchy(OnFilesystem(filesystem), options)
