"""PyFilesystem as a source: any `fs` URL or filesystem object (the extra ``blockpack[fs]``).

The kernel cannot read such a file by itself, so its bytes are streamed; and a filesystem's own
state (a zip file's position, a connection) is not to be shared between forked processes.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, ClassVar

from attrs import define, field, frozen

from ..errors import BlockpackError, EntryError, SourceError, UsageError, raise_problems, reason
from ..model.entry import EPOCH, NANOSECONDS, Directory, Entry, File, Symlink, check_path
from ..model.extent import Extent, Readable, Stream
from ..model.tree import Tree
from .options import Excluded, ScanOptions, Symlinks, link_refused

_FILES = (0, 2)
"""PyFilesystem's numbers for a resource of unknown type, and for a file."""

_Identities = frozenset[tuple[int, int]]
"""Directories of this machine, by device and number."""


@frozen(eq=False)
class OnFilesystem:
    """Files on an open PyFilesystem, by their paths in there."""

    forkable: ClassVar[bool] = False

    filesystem: Any

    def extent(self, file: File, offset: int) -> Extent:
        """The whole file as a stream."""
        return Stream(offset, file.size, self, file.key, file.path)

    def open(self, key: Hashable, name: str) -> Readable:
        """A file from its start. Raises `SourceError`."""
        return _OpenFile(self.filesystem, str(key), name)

    def identity(self, key: Hashable) -> Hashable:
        """No other filesystem object is known to hold the same."""
        return self, key


class _OpenFile:
    """A file on a PyFilesystem, whose every error is a `SourceError` about `name`."""

    def __init__(self, filesystem: Any, path: str, name: str) -> None:
        self._name = name
        with _fs_errors(name):
            self._file: BinaryIO = filesystem.openbin(path)

    def read(self, most: int, /) -> bytes:
        with _fs_errors(self._name):
            return self._file.read(most)

    def close(self) -> None:
        with _fs_errors(self._name):
            self._file.close()


@contextmanager
def _fs_errors(path: str, rule: str = "cannot be read", remedy: str = "") -> Iterator[None]:
    """Turn what PyFilesystem and the libraries behind it raise into a `SourceError`.

    That may be anything: they take a damaged archive for a sound one.
    """
    try:
        yield
    except (BlockpackError, MemoryError):
        raise
    except Exception as error:
        what = reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        raise SourceError(path, f"{rule}: {what}", remedy) from error


def open_url(url: str) -> Any:
    """The filesystem at `url`, such as ``zip://site.zip`` or a part of it, ``zip://s.zip!/docs``.

    Raises `UsageError` without the extra or for an unknown kind of URL, `SourceError` if it
    cannot be opened.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fs declares namespaces the old way
            import fs
            from fs.opener.errors import OpenerError
    except ImportError as error:
        raise UsageError(f"{url}: an fs URL needs blockpack[fs] installed ({error})") from None
    with _fs_errors(url, "cannot be opened"):
        try:
            filesystem, inside = fs.opener.registry.open(url, writeable=False)
        except OpenerError as error:
            raise UsageError(f"{url}: {error}") from None
        return filesystem.opendir(inside) if inside else filesystem


def scan_url(source: str, options: ScanOptions) -> Tree:
    """The tree of what is at a URL. Raises `UsageError`, `SourceError` and `Problems`."""
    return scan_filesystem(open_url(source), options)


def scan_filesystem(filesystem: Any, options: ScanOptions) -> Tree:
    """The tree of everything in an open filesystem.

    Raises `Problems` with what cannot be read or packed.
    """
    walk = _Walk(filesystem, options.excluded, options.symlinks)
    tree = Tree()
    for entry in walk.entries():
        tree.put(entry)
    raise_problems("this source cannot be packed as it is", walk.problems)
    return tree


@define
class _Walk:
    """One walk through a filesystem; `problems` gets what is wrong."""

    filesystem: Any
    excluded: Excluded | None
    symlinks: Symlinks
    problems: list[BlockpackError] = field(factory=list)
    store: OnFilesystem = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.store = OnFilesystem(self.filesystem)

    def entries(self) -> Iterator[Entry]:
        pending = [("", self._with(frozenset(), "/"))]
        while pending:
            directory, above = pending.pop()
            for path in self._listing(directory):
                entry = self._entry(path, above)
                if entry is not None:
                    yield entry
                if isinstance(entry, Directory):
                    pending.append((path, self._with(above, path)))

    def _listing(self, directory: str) -> Iterator[str]:
        """The paths in a directory."""
        try:
            with _fs_errors(directory or "/"):
                names = self.filesystem.listdir(directory or "/")
        except SourceError as error:
            self.problems.append(error)
            return
        for name in names:
            path = f"{directory}/{name}" if directory else name
            if unsound := check_path(path):
                self.problems.append(unsound)
            else:
                yield path

    def _entry(self, path: str, above: _Identities) -> Entry | None:
        """The entry for a path; None if it is left out or is a problem."""
        try:
            with _fs_errors(path, remedy="mend or exclude it"):
                info = self.filesystem.getinfo(path, ["details", "link"])
                target = info.get("link", "target")
                if target is not None and self.symlinks == "follow":
                    info = self.filesystem.getinfo(path, ["details"])
                modified = info.get("details", "modified")
                mtime_ns = int((EPOCH if modified is None else modified) * NANOSECONDS)
                size = 0 if info.is_dir else int(info.size)
        except SourceError as error:  # as a link that leads nowhere, of which fs tells nothing
            if self.excluded is None or not self.excluded(path, False):
                self.problems.append(error)
            return None
        if self.excluded is not None and self.excluded(path, info.is_dir):
            return None
        if target is not None and self.symlinks != "follow":
            return self._link(path, target, mtime_ns)
        kind = info.get("details", "type")
        if info.is_dir:
            if target is not None and self._leads_up(path, above):
                rule = "is a link to a directory that it may be in"
                self.problems.append(EntryError(path, rule, "exclude it or skip links"))
                return None
            return Directory(path, 0o755, mtime_ns)
        if kind is not None and kind not in _FILES:
            rule = "is neither a file nor a directory, and no image holds others"
            self.problems.append(EntryError(path, rule, "exclude it"))
            return None
        return File(path, size, self.store, path, 0, 0o644, mtime_ns)

    def _link(self, path: str, target: str, mtime_ns: int) -> Symlink | None:
        if self.symlinks == "error":
            self.problems.append(link_refused(path))
        return Symlink(path, target, mtime_ns=mtime_ns) if self.symlinks == "keep" else None

    def _with(self, above: _Identities, path: str) -> _Identities:
        """`above` with the directory `path`, if links are followed: it is how a loop is told."""
        identity = self._identity(path) if self.symlinks == "follow" else None
        return above if identity is None else above | {identity}

    def _leads_up(self, path: str, above: _Identities) -> bool:
        identity = self._identity(path)
        return identity is None or identity in above

    def _identity(self, path: str) -> tuple[int, int] | None:
        """What directory of this machine `path` is; None if it is none that can be told."""
        with suppress(Exception):  # whatever a filesystem raises: then it cannot be told
            if self.filesystem.hassyspath(path):
                status = os.stat(self.filesystem.getsyspath(path))
                return status.st_dev, status.st_ino
        return None
