"""The tree: what to pack.

A `Tree` is a set of entries with paths. It comes from a source (`blockpack.scan`), is put together
entry by entry, or both, and is read in one fixed order: depth first, the entries of a directory
sorted by name, a directory right before what it holds. Volumes rely on that order, and on three
rules that every tree keeps: each path is sound (`entry.check_path`), it is there once, and what
holds an entry is a directory. What is added takes all or nothing.

A tree of a million files must fit into memory, so it holds one dictionary a directory, keyed
by the very path that the entry has anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self, cast

from attrs import define, evolve, field

from ..arguments import checked, require_fields
from ..errors import EntryError, NotInTreeError, UsageError
from .content import Content, file_of
from .entry import (
    EPOCH,
    MEMORY,
    NANOSECONDS,
    Directory,
    Entry,
    File,
    Symlink,
    check_entry,
    check_path,
    parent_of,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import PurePath  # slow to import


@define(eq=False, repr=False)
class Tree:
    """Files, directories and links to pack, without the contents of files on disk."""

    forkable: bool = field(default=True, init=False)
    """Whether every file's bytes may be read in forked processes side by side."""

    origin: object | None = field(default=None, init=False)
    """Where the tree as a whole came from, for a volume that can tell what it is; None once
    anything was added or removed."""

    _children: dict[str, dict[str, Entry]] = field(init=False, factory=lambda: {"": {}})
    _inodes: dict[tuple[int, int], File] | None = field(init=False, default=None)
    """A file of each inode; made when it is first needed."""

    @classmethod
    def of(cls, listings: Iterable[list[Entry]], origin: object | None = None) -> Self:
        """The tree of these directories, in any order, each with all entries right in it.

        For sources: their paths are sound, each is there once, and nothing is missing between.
        """
        tree = cls()
        children = tree._children
        store = None
        for listing in listings:
            if listing:
                children.setdefault(parent_of(listing[0].path), {}).update(
                    {entry.path: entry for entry in listing}
                )
            for entry in listing:
                if type(entry) is Directory:
                    children.setdefault(entry.path, {})
                elif type(entry) is File and entry.store is not store:
                    store = entry.store
                    tree.forkable = tree.forkable and store.forkable
        tree.origin = origin
        return tree

    def add(
        self,
        path: str | PurePath,
        content: Content,
        *,
        size: int | None = None,
        mode: int | None = None,
        mtime_ns: int | None = None,
    ) -> None:
        """Add the file `path`, and the directories above it that are not there yet.

        `content` is the bytes, the `Path` of a file, a file object that seeks, a resource of
        `importlib.resources`, or a callable that opens a file object, with its `size` in bytes.
        All but bytes are read when the image is. `mode` (permission bits) and `mtime_ns`
        (nanoseconds since 1970) default to a file's own; else to 0644 and 1980-01-01.

        Raises `EntryError` for a path that is unsound or taken, `UsageError` for what is no
        content, and `SourceError` for a file that cannot be read.
        """
        at = text_of(path)
        file = file_of(at, content, size)
        self.put(
            evolve(
                file,
                mode=file.mode if mode is None else mode,
                mtime_ns=file.mtime_ns if mtime_ns is None else mtime_ns,
            )
        )

    def mkdir(
        self, path: str | PurePath, *, mode: int = 0o755, mtime_ns: int = EPOCH * NANOSECONDS
    ) -> None:
        """Add the directory `path` and those above it; one that is there stays as it is.

        Raises `EntryError` if the path is unsound, or a file has it.
        """
        at = text_of(path)
        if not isinstance(self.get(at), Directory):
            self.put(Directory(at, mode, mtime_ns))

    def symlink(
        self, path: str | PurePath, target: str | PurePath, *, mtime_ns: int = EPOCH * NANOSECONDS
    ) -> None:
        """Add the symbolic link `path` to `target`. Raises `EntryError` as `add` does."""
        self.put(Symlink(text_of(path), text_of(target), mtime_ns=mtime_ns))

    def put(self, entry: Entry) -> None:
        """Add an entry as it is. Raises as `add` does, and `UsageError` for other types."""
        if not isinstance(entry, File | Directory | Symlink):
            what = f"{entry!r} is not an entry"
            raise UsageError("", what, "give a File, a Directory or a Symlink")
        require_fields(entry)
        if error := check_entry(entry):
            raise error
        missing = [each for each in _above(entry.path) if each.path not in self._children]
        for found in (*missing, entry):
            self._require_place(found)
        if isinstance(entry, File):
            self._require_own_inode(entry)
            self.forkable = self.forkable and entry.store.forkable
        self.origin = None
        for found in (*reversed(missing), entry):
            self._children[parent_of(found.path)][found.path] = found
            if isinstance(found, Directory):
                self._children.setdefault(found.path, {})

    @checked
    def join(self, at: str | PurePath, other: Tree) -> None:
        """Add everything in `other` below the directory `at` (empty: the root).

        Directories that both trees have become one, and keep what this tree says of them.

        Raises `EntryError` if `at` is unsound, or a path is taken by anything but two directories;
        then nothing was added.
        """
        above = text_of(at)
        origin = other.origin if not above and not len(self) else None
        moved = [evolve(e, path=f"{above}/{e.path}") if above else e for e in other]
        if above:
            if error := check_path(above):
                raise error
            moved.insert(0, Directory(above))
            for directory in _above(above):
                self._require_place(directory)
        try:
            for entry in moved:
                self._require_place(entry)
                if type(entry) is File:
                    self._require_own_inode(entry)
        except EntryError:
            self._inodes = None  # what was noted there does not come
            raise
        if above:
            self.mkdir(above)
        for entry in moved:
            siblings = self._children[parent_of(entry.path)]
            if entry.path not in siblings:
                siblings[entry.path] = entry
                if type(entry) is Directory:
                    self._children[entry.path] = {}
        self.forkable = self.forkable and other.forkable
        self.origin = origin

    @checked
    def remove(self, path: str | PurePath) -> None:
        """Remove `path`, a directory with everything in it. Raises `NotInTreeError`."""
        entry = self[path]
        pending = [self._children[parent_of(entry.path)].pop(entry.path)]
        self.origin = self._inodes = None
        while pending:
            entry = pending.pop()
            if type(entry) is Directory:
                pending += self._children.pop(entry.path).values()

    def get(self, path: str | PurePath) -> Entry | None:
        """The entry at `path`, or None."""
        at = text_of(path)
        return self._children.get(parent_of(at), {}).get(at)

    def __getitem__(self, path: str | PurePath) -> Entry:
        entry = self.get(path)
        if entry is None:
            raise NotInTreeError(text_of(path), "is not in the tree", "add it first")
        return entry

    def __contains__(self, path: object) -> bool:
        is_path = isinstance(path, str) or hasattr(path, "as_posix")
        return is_path and self.get(cast("str | PurePath", path)) is not None

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

    def __repr__(self) -> str:
        return f"<Tree: {len(self):,} entries>"

    @checked
    def children(self, path: str = "") -> list[Entry]:
        """What the directory `path` holds, sorted by name; the root is the empty path.

        Raises `NotInTreeError` if there is no such directory.
        """
        children = self._children.get(path)
        if children is None:
            raise NotInTreeError(path, "is no directory of the tree", "add it first")
        # The keys' own order is the order of names, since siblings share what is before it.
        return list(map(children.__getitem__, sorted(children)))

    def directories(self) -> Iterator[tuple[str, list[Entry]]]:
        """Each directory's path with its children, the root (an empty path) first."""
        yield "", self.children("")
        for entry in self:
            if type(entry) is Directory:
                yield entry.path, self.children(entry.path)

    def _require_place(self, entry: Entry) -> None:
        """Raise `EntryError` if the path is taken, unless a directory meets a directory."""
        there = self._children.get(parent_of(entry.path), {}).get(entry.path)
        if there is not None and not type(there) is type(entry) is Directory:
            rule = "is already in the tree"
            raise EntryError(entry.path, rule, "remove one of the two, or give it another name")

    def _require_own_inode(self, file: File) -> None:
        """Raise `EntryError` if another file has the inode: hard links lead to one file."""
        if file.inode is None:
            return
        if self._inodes is None:
            entries = (entry for entry in self if type(entry) is File)
            self._inodes = {entry.inode: entry for entry in entries if entry.inode is not None}
        there = self._inodes.setdefault(file.inode, file)
        if _facts(there) != _facts(file):
            rule = f"has the inode of {there.path}, and is another file"
            raise EntryError(file.path, rule, "give it none")


def _above(path: str) -> Iterator[Directory]:
    while path := parent_of(path):
        yield Directory(path)


def _facts(file: File) -> tuple[object, ...]:
    """What hard links to one file have in common; of its names on disk, each is a key."""
    return file.size, file.stamp, type(file.store), file.key if file.store is MEMORY else None
