"""Sources that are listed directory by directory, and are no directory of this machine.

Archives, images, PyFilesystems and fsspec's filesystems differ in how a directory is listed, what a
link leads to and how a file is read: that is a `Hierarchy`, which is the store of its files, too.
What is packed, left out and refused is decided here for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..errors import BlockpackError, EntryError, Problems, SourceError, raise_problems, reason
from ..formats.reader import ImageEntry
from ..model.entry import Directory, Entry, File, Symlink, check_entry, check_path, name_of
from ..model.extent import Extent, Readable, Stream
from ..model.tree import Tree
from ..reading.positional import PositionalFile, PositionalReader, ReopenedReader
from .options import UNPACKABLE, ScanOptions
from .symlinks import instead_of_link, leads_into_itself


@contextmanager
def foreign_errors(path: str, rule: str = "cannot be read", remedy: str = "") -> Iterator[None]:
    """Turn what a library raises, which may be anything, into a `SourceError` about `path`."""
    try:
        yield
    except (Problems, MemoryError):
        raise
    except BlockpackError as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(error.path or path, error.rule, error.remedy or remedy) from None
    except Exception as error:
        what = reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        raise SourceError(path, f"{rule}: {what}", remedy) from error


class Hierarchy(ABC):
    """A source that is listed by directories, and the store of its files."""

    forkable: bool = False

    @abstractmethod
    def entry(self, path: str) -> ImageEntry | None:
        """What is at `path`, links not followed; None if nothing is. Raises `SourceError`."""

    @abstractmethod
    def listing(self, directory: str) -> Iterable[ImageEntry | BlockpackError]:
        """What is in a directory (the root is empty), and what is wrong there. Raises
        `SourceError`.
        """

    @abstractmethod
    def followed(self, link: ImageEntry) -> ImageEntry | None:
        """What a symbolic link leads to in the end, with its own path; None if nowhere here."""

    @abstractmethod
    def reader(self, entry: ImageEntry, name: str) -> PositionalReader:
        """The bytes of a file; `name` is for messages. Raises `SourceError`."""

    def file(self, path: str, entry: ImageEntry) -> File:
        """The file `entry`, packed as `path`."""
        status = entry.mode, entry.mtime_ns, entry.uid, entry.gid
        return File(path, entry.size, self, entry, entry.mtime_ns, *status)

    def place(self, directory: str) -> Hashable:
        """What tells whether two paths lead to one directory."""
        return directory

    def extent(self, file: File, offset: int) -> Extent:
        """The whole file as a stream."""
        return Stream(offset, file.size, self, file.key, file.path)

    def open(self, key: Hashable, name: str) -> Readable:
        """The bytes of a file from their start. Raises `SourceError`."""
        assert isinstance(key, ImageEntry)
        return PositionalFile(self.reader(key, name), owned=True)

    def identity(self, key: Hashable) -> Hashable:
        """Nothing else is known to hold the same."""
        return self, key


def scan_hierarchy(
    source: Hierarchy,
    options: ScanOptions,
    problems: Iterable[BlockpackError] = (),
    start: str = "",
    name: str = "",
) -> Tree:
    """The tree of what is below `start` in `source`, in which `problems` were found before; a file
    alone goes by its own name. `name` is the source's, for messages. Raises `SourceError` if
    nothing is there, and `Problems` with all that cannot be packed and is not excluded.
    """
    walk = _Walk(source, options)
    top = walk.top(start, name)
    tree = Tree.of(walk.listings(top))
    inside = f"{top.path}/" if top.path else ""
    found: dict[str, BlockpackError] = {}  # the first about each path; more would say the same
    for problem in (*(p for p in problems if _is_below(inside, p.path, name)), *walk.problems):
        path = problem.path.removeprefix(inside)
        if options.excluded is None or not _is_excluded(path, options.excluded):
            found.setdefault(problem.path if path != name else problem.rule, problem)
    raise_problems(UNPACKABLE, found.values())
    return tree


def _is_below(inside: str, path: str, name: str) -> bool:
    """Whether a problem is about something `inside`, or about the source as a whole."""
    return path.startswith(inside) or f"{path}/" == inside or path in ("", name)


def _is_excluded(path: str, excluded: Callable[[str, bool], bool]) -> bool:
    parts = path.split("/")
    above = ("/".join(parts[:end]) for end in range(1, len(parts)))
    return excluded(path, False) or any(excluded(directory, True) for directory in above)


@define
class _Walk:
    """One walk through a hierarchy; `problems` gets what is wrong."""

    source: Hierarchy
    options: ScanOptions
    problems: list[BlockpackError] = field(factory=list)

    def top(self, start: str, name: str) -> ImageEntry:
        """What is at `start`, a link followed. Raises `SourceError` if nothing is."""
        if not start:
            return ImageEntry(path="", kind="directory")
        try:
            found = self.source.entry(start)
            if found is not None and found.kind == "symlink":
                found = self.source.followed(found)
        except SourceError as error:
            raise SourceError(name, f"cannot be opened: {error.rule}") from error
        if found is None:
            raise SourceError(name, f"cannot be opened: there is no {start} in it")
        return found

    def listings(self, top: ImageEntry) -> Iterator[list[Entry]]:
        """The entries of each directory from `top` on, or of a file alone."""
        if top.kind != "directory":
            lone = self._entry(name_of(top.path), top)
            yield [] if lone is None else [lone]
            return
        pending = [(top.path, "", frozenset([self.source.place(top.path)]))]
        while pending:
            directory, shown, above = pending.pop()
            entries: list[Entry] = []
            try:
                for found in self.source.listing(directory):
                    if isinstance(found, BlockpackError):
                        self.problems.append(found)
                        continue
                    name = found.path[len(directory) + 1 if directory else 0 :]
                    path = f"{shown}/{name}" if shown else name
                    actual = self._taken(path, found, above)
                    entry = None if actual is None else self._entry(path, actual)
                    if entry is None or actual is None:
                        continue
                    entries.append(entry)
                    if type(entry) is Directory:
                        inside = above
                        if self.options.symlinks == "follow":
                            inside |= {self.source.place(actual.path)}
                        pending.append((actual.path, path, inside))
            except SourceError as error:
                self.problems.append(error)
            yield entries

    def _taken(self, path: str, found: ImageEntry, above: frozenset[Hashable]) -> ImageEntry | None:
        """What is packed as `path`; None if it is left out or is a problem."""
        excluded = self.options.excluded
        if excluded is not None and excluded(path, found.kind == "directory"):
            return None
        if found.kind != "symlink" or self.options.symlinks == "keep":
            return found

        def follow() -> ImageEntry:
            actual = self.source.followed(found)
            if actual is None:
                rule = f"is a link to {found.target!r}, which leads nowhere in the source"
                raise SourceError(path, rule, "mend or exclude it")
            if actual.kind == "directory" and self.source.place(actual.path) in above:
                raise leads_into_itself(path)
            return actual

        return instead_of_link(path, self.options.symlinks, follow, self.problems.append)

    def _entry(self, path: str, found: ImageEntry) -> Entry | None:
        """`found` as an entry of the tree; None if it is a problem."""
        error: BlockpackError | None = None
        entry: Entry | None = None
        status = found.mode, found.mtime_ns, found.uid, found.gid
        if found.damage:
            error = SourceError(path, found.damage, "mend or exclude it")
        elif found.kind == "directory":
            entry = Directory(path, *status)
        elif found.kind == "symlink":
            entry = Symlink(path, found.target, *status)
        elif found.kind == "file":
            entry = self.source.file(path, found)
        else:
            rule = "is not a file, a directory or a link, and images hold nothing else"
            error = EntryError(path, rule, "exclude it")
        error = (check_path(path) if entry is None else check_entry(entry)) or error
        if error is None:
            return entry
        self.problems.append(error)
        return None


class ForeignFile(ReopenedReader):
    """A library's file object. Whatever it raises is a `SourceError` about its name."""

    errors = staticmethod(foreign_errors)
