"""The tree: what to pack.

A `Tree` is a set of entries with paths. It is filled by scanning a source, by adding entries,
or both, and read in one fixed order: depth first, the entries of a directory sorted by name,
a directory right before what it holds. Volumes rely on that order, and on three rules that
every tree keeps: each path is sound (`entry.check_path`), it is there once, and what holds an
entry is a directory.

A tree of a million files must fit into memory, so it holds one dictionary a directory, keyed
by the very path that the entry has anyway.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from attrs import define, evolve, field

from ..errors import EntryError, UsageError, raise_problems
from ..reading.extents import reading_errors
from ..sources.directory import Scan, Symlinks, file_at
from ..sources.exclude import excluding
from ..sources.parallel import scanned
from .entry import (
    EPOCH,
    NANOSECONDS,
    Content,
    Directory,
    Entry,
    File,
    InMemory,
    Symlink,
    check_entry,
    check_path,
    parent_of,
)

if TYPE_CHECKING:
    from ..sources.ahead import HeadStart
    from ..sources.git.repository import GitOrigin
    from ..sources.git.walk import Submodules


@define(eq=False)
class Tree:
    """Files, directories and links to pack, without the contents of files on disk."""

    forkable: bool = field(default=True, init=False)
    """Whether every file's bytes may be read in forked processes side by side."""

    origin: GitOrigin | None = field(default=None, init=False)
    """The git tree that this is, as long as nothing is added or removed."""

    _children: dict[str, dict[str, Entry]] = field(init=False, factory=lambda: {"": {}})

    @classmethod
    def scan(
        cls,
        source: str | os.PathLike[str],
        *,
        exclude: Iterable[str] = (),
        symlinks: Symlinks = "keep",
        submodules: Submodules = "error",
        jobs: int | None = None,
        confined: bool = False,
        ahead: HeadStart | None = None,
    ) -> Self:
        """The tree of the directory `source`, or of a PyFilesystem URL (``zip://site.zip``), or
        of a git revision (``git:REPO@REV`` or ``git:REPO@REV:SUBDIR``, see `from_git`).

        `exclude` has patterns as in a ``.gitignore``. `symlinks` says whether links are kept,
        followed, skipped or errors. A URL needs the extra ``blockpack[fs]``. Large directories
        are read by `jobs` processes (1: only this one; by default as many as pay). `confined`
        makes a link of a directory that is to be followed out of it an error; in git it always is.
        `ahead` is a process that has been listing that directory, if one has.

        Raises `SourceError` if the source is missing, and `Problems` with everything below it
        that cannot be read or packed.
        """
        if isinstance(source, str) and source.startswith("git:"):
            from ..sources.git.address import Address

            return cls.from_git(
                *Address.parse(source),
                exclude=exclude,
                symlinks=symlinks,
                submodules=submodules,
                jobs=jobs,
            )
        tree = cls()
        if isinstance(source, str) and "://" in source:
            from ..sources.pyfs import open_url

            tree.add_fs(open_url(source), exclude=exclude, symlinks=symlinks)
        else:
            scan = Scan(os.fsencode(source), "", symlinks, excluding(exclude), confined=confined)
            tree._scan(scan, jobs, ahead)
        return tree

    @classmethod
    def from_git(
        cls,
        repo: str | os.PathLike[str],
        rev: str = "HEAD",
        subdir: str = "",
        *,
        exclude: Iterable[str] = (),
        symlinks: Symlinks = "keep",
        submodules: Submodules = "error",
        jobs: int | None = None,
    ) -> Self:
        """The tree of the directory `subdir` of the revision `rev` of the repository at `repo`.

        Bytes come from git's object store, or from that of Git LFS; nothing is checked out. All
        entries have the time of the commit. `exclude` and `symlinks` are as in `scan`; links are
        followed inside of what is packed. `submodules` are errors, or skipped. Many blobs are
        found by `jobs` processes, as in `scan`. `origin` tells what was found.

        Raises `SourceError` if there is no such repository, revision or directory, or no git, and
        `Problems` with everything in it that cannot be packed.
        """
        tree = cls()
        tree.join_git(
            *("", repo, rev, subdir),
            exclude=exclude,
            symlinks=symlinks,
            submodules=submodules,
            jobs=jobs,
        )
        return tree

    def join(
        self,
        at: str,
        directory: str | os.PathLike[str],
        *,
        exclude: Iterable[str] = (),
        symlinks: Symlinks = "keep",
        jobs: int | None = None,
        confined: bool = False,
        leave_out: Iterable[str] = (),
    ) -> None:
        """Scan `directory` into this tree, under the path `at` (empty: into its root).

        Options are as in `scan`; `exclude` goes by paths in `directory`, and so does `leave_out`,
        which has whole paths and is cheaper. Raises as `scan` does, and `EntryError` if a path is
        unsound, or taken by anything but two directories.
        """
        if at:
            self.mkdir(at)
        found = Scan(os.fsencode(directory), at, symlinks, excluding(exclude), confined=confined)
        prefix = f"{at}/" if at else ""
        found.left_out = frozenset(prefix + path for path in leave_out)
        self._scan(found, jobs)

    def join_git(
        self,
        at: str,
        repo: str | os.PathLike[str],
        rev: str = "HEAD",
        subdir: str = "",
        *,
        exclude: Iterable[str] = (),
        symlinks: Symlinks = "keep",
        submodules: Submodules = "error",
        jobs: int | None = None,
    ) -> None:
        """Scan a directory of a revision into this tree, under the path `at`; see `from_git`.

        Raises as `from_git` does, and `EntryError` if a path is unsound, or taken by anything
        but two directories.
        """
        from ..sources.git.scan import scan

        path = os.fspath(repo)
        scanned = scan(path, rev, subdir, excluding(exclude), symlinks, submodules, jobs)
        if at or len(self):
            for entry in scanned.entries:
                if at:
                    entry = evolve(entry, path=f"{at}/{entry.path}")
                if not (type(entry) is Directory and type(self.get(entry.path)) is Directory):
                    self._insert(entry)
            if at:
                self.mkdir(at)
            return
        for entry in scanned.entries:  # sound by construction, and each directory comes first
            self._children[parent_of(entry.path)][entry.path] = entry
            if type(entry) is Directory:
                self._children[entry.path] = {}
        self.origin = scanned.origin

    def add(
        self,
        path: str,
        content: bytes | bytearray | memoryview | os.PathLike[str] | Content,
        *,
        size: int | None = None,
        mode: int | None = None,
        mtime_ns: int | None = None,
    ) -> None:
        """Add the file `path`, and the directories above it that are not there yet.

        `content` is the bytes, or the `Path` of a file to stream from (a directory's is
        scanned into `path`), or a `Content` with its `size` in bytes. `mode` (permission bits)
        and `mtime_ns` (nanoseconds since 1970) default to the file's own; for bytes to 0644
        and 1980-01-01.

        Raises `EntryError` for a path that is unsound or taken, `SourceError` for a file that
        cannot be read.
        """
        if isinstance(content, os.PathLike):
            location = os.fspath(content)
            if os.path.isdir(location):
                self._add_directory(path, location, mode, mtime_ns)
                return
            found = file_at(location, path)
            content, size = found.content, found.size
            mode = found.mode if mode is None else mode
            mtime_ns = found.mtime_ns if mtime_ns is None else mtime_ns
        elif isinstance(content, bytes | bytearray | memoryview):
            content = InMemory(bytes(content))
            size = len(content.data)
        elif isinstance(content, str) or size is None:
            raise UsageError(f"{path}: content is bytes, a Path, or a Content with its size")
        self._insert(
            File(
                path,
                size,
                content,
                0o644 if mode is None else mode,
                EPOCH * NANOSECONDS if mtime_ns is None else mtime_ns,
            )
        )

    def add_fs(
        self, filesystem: object, *, exclude: Iterable[str] = (), symlinks: Symlinks = "keep"
    ) -> None:
        """Add everything in `filesystem`, an open PyFilesystem (`fs.base.FS`) object.

        `exclude` and `symlinks` are as in `scan`. The filesystem stays open, and must until the
        image is written.
        """
        from ..sources.pyfs import entries

        for entry in entries(filesystem, excluding(exclude), symlinks):
            self._insert(entry)

    def mkdir(self, path: str, *, mode: int = 0o755, mtime_ns: int = EPOCH * NANOSECONDS) -> None:
        """Add the directory `path` and those above it; one that is there stays as it is.

        Raises `EntryError` if the path is unsound, or a file has it.
        """
        if not isinstance(self.get(path), Directory):
            self._insert(Directory(path, mode, mtime_ns))

    def symlink(self, path: str, target: str, *, mtime_ns: int = EPOCH * NANOSECONDS) -> None:
        """Add the symbolic link `path` to `target`. Raises `EntryError` as `add` does."""
        self._insert(Symlink(path, target, mtime_ns=mtime_ns))

    def put(self, entry: Entry) -> None:
        """Add an entry as it is. Raises `EntryError` as `add` does."""
        self._insert(entry)

    def remove(self, path: str) -> None:
        """Take out the entry `path`, a directory with all that it holds.

        Raises `KeyError` if there is none.
        """
        pending = [self._children[parent_of(path)].pop(path)]
        self.origin = None
        while pending:
            entry = pending.pop()
            if type(entry) is Directory:
                pending += self._children.pop(entry.path).values()

    def get(self, path: str) -> Entry | None:
        """The entry at `path`, or None."""
        return self._children.get(parent_of(path), {}).get(path)

    def __getitem__(self, path: str) -> Entry:
        entry = self.get(path)
        if entry is None:
            raise KeyError(path)
        return entry

    def __contains__(self, path: str) -> bool:
        return self.get(path) is not None

    def __len__(self) -> int:
        return sum(map(len, self._children.values()))

    def __iter__(self) -> Iterator[Entry]:
        """All entries, depth first, siblings by name, a directory right before its contents."""
        pending = [iter(self.children(""))]
        while pending:
            for entry in pending[-1]:
                yield entry
                if type(entry) is Directory:
                    pending.append(iter(self.children(entry.path)))
                    break
            else:
                pending.pop()

    def children(self, path: str = "") -> list[Entry]:
        """What the directory `path` holds, sorted by name; the root is the empty path.

        Raises `KeyError` if there is no such directory.
        """
        # The keys' own order is the order of names, since siblings share what is before it.
        return [entry for _, entry in sorted(self._children[path].items())]

    def directories(self) -> Iterator[tuple[str, list[Entry]]]:
        """Each directory's path with its children, the root (an empty path) first."""
        yield "", self.children("")
        for entry in self:
            if type(entry) is Directory:
                yield entry.path, self.children(entry.path)

    def _add_directory(
        self, path: str, location: str, mode: int | None, mtime_ns: int | None
    ) -> None:
        if error := check_path(path):
            raise error
        with reading_errors(location):
            status = os.stat(location)
        self.mkdir(
            path,
            mode=stat.S_IMODE(status.st_mode) if mode is None else mode,
            mtime_ns=status.st_mtime_ns if mtime_ns is None else mtime_ns,
        )
        self._scan(Scan(os.fsencode(location), path))

    def _scan(self, scan: Scan, jobs: int | None = None, ahead: HeadStart | None = None) -> None:
        self.origin = None
        for listing in scanned(scan, jobs, ahead):
            if not listing:
                continue
            # The scan's paths are sound by construction; only a clash is left to see.
            parent = parent_of(listing[0].path)
            found = {entry.path: entry for entry in listing}
            siblings = self._children.get(parent)
            if siblings:
                for path in sorted(siblings.keys() & found.keys()):
                    self._clash(found[path])
                siblings.update(found)
            else:
                self._children[parent] = found
            for entry in listing:
                if type(entry) is Directory:
                    self._children.setdefault(entry.path, {})
        problems = sorted(scan.problems, key=str)  # whoever found them
        raise_problems("this source cannot be packed as it is", problems)

    def _insert(self, entry: Entry) -> None:
        """Add an entry after checking it, making the directories above it."""
        if error := check_entry(entry):
            raise error
        self.origin = None
        missing = []
        parent = parent_of(entry.path)
        while parent not in self._children:
            missing.append(Directory(parent))
            parent = parent_of(parent)
        for found in (*reversed(missing), entry):
            siblings = self._children[parent_of(found.path)]
            if found.path in siblings:
                self._clash(found)
            siblings[found.path] = found
            if isinstance(found, Directory):
                self._children.setdefault(found.path, {})
        if isinstance(entry, File):
            self.forkable = self.forkable and entry.content.forkable

    def _clash(self, entry: Entry) -> None:
        """Raise `EntryError`, unless a directory meets a directory."""
        there = self[entry.path]
        if not (isinstance(there, Directory) and isinstance(entry, Directory)):
            rule = "is in the tree already"
            raise EntryError(entry.path, rule, "remove one of the two, or give it another name")
