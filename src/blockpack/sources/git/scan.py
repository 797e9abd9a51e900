"""From a revision to the entries of a tree.

The trees are walked, while their blobs are looked for in packs; git is asked about attributes, then
in one go for the sizes that no pack tells. No blob is read but the targets of links, and those that
may be pointers of Git LFS. All that is wrong is raised together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableSequence
from typing import get_args

from attrs import define, field, frozen

from ...entry import (
    NANOSECONDS,
    Content,
    Directory,
    Entry,
    File,
    Symlink,
    check_path,
    parent_of,
)
from ...errors import EntryError, SourceError, UsageError, raise_problems
from ...git.objects import EXECUTABLE, LINK, TREE
from ..directory import Excluded, Symlinks
from .attributes import Attributes, attributes, has_own
from .blobs import Blob, Blobs
from .cat_file import CatFile, facts
from .finder import Finder
from .packs import Packs
from .places import TOO_LARGE, UNKNOWN
from .repository import GitOrigin, Repository, Revision
from .walk import Found, Problem, Submodules, Walk, link_target


@frozen
class Scanned:
    """What a revision holds, in the order of a tree."""

    origin: GitOrigin
    entries: list[Entry]


def scan(
    path: str,
    revision: str,
    subdir: str,
    excluded: Excluded | None,
    symlinks: Symlinks,
    submodules: Submodules,
    jobs: int | None,
) -> Scanned:
    """The entries of the directory `subdir` of a revision of the repository at `path`.

    Of `jobs` processes one looks for the blobs, where there are many. Raises `SourceError`, and
    `Problems` with all that cannot be packed.
    """
    if submodules not in get_args(Submodules):
        raise UsageError(f"submodules is 'error' or 'skip'; not {submodules!r}")
    repository = Repository.at(path)
    subdir = subdir.strip("/")
    reader = CatFile(repository)
    try:
        found = repository.resolve(revision, reader)
        top, outer = _descend(repository, reader, found, subdir)
        walk = Walk(repository, reader, top, symlinks, submodules, excluded)
        scan = _Scan(repository, revision, found, subdir, reader, walk, outer, jobs)
        entries = scan.entries()
    finally:
        reader.close()
    origin = GitOrigin(repository.git_dir, repository.object_format, found.commit, top.hex())
    return Scanned(origin, entries)


_Files = dict[str, tuple[int, bytes]]


def _descend(
    repository: Repository, reader: CatFile, revision: Revision, subdir: str
) -> tuple[bytes, _Files]:
    """The tree of the directory `subdir`, and the ``.gitattributes`` above it."""
    oid = bytes.fromhex(revision.tree)
    outer: _Files = {}
    if not subdir:
        return oid, outer
    unsound = check_path(subdir)
    if unsound is not None:
        raise unsound
    above = ""
    for part in subdir.split("/"):
        walk = Walk(repository, reader, oid)
        mode, oid = walk.listing().get(part, (None, b""))
        if mode != TREE:
            what = "there is no such directory" if mode is None else "is no directory"
            rule = f"{what} in {revision.commit or revision.tree}"
            raise SourceError(above + part, rule, "give another SUBDIR")
        outer |= {above + name: file for name, file in walk.attribute_files.items()}
        above += f"{part}/"
    return oid, outer


@define
class _Scan:
    """One scan; `outer` has the ``.gitattributes`` above the directory `subdir`."""

    repository: Repository
    revision: str
    resolved: Revision
    subdir: str
    reader: CatFile
    walk: Walk
    outer: _Files
    jobs: int | None
    problems: list[Problem] = field(factory=list, init=False)
    packs: Packs = field(init=False)
    time: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.packs = Packs.of(self.repository)
        self.time = self.resolved.seconds * NANOSECONDS

    def entries(self) -> list[Entry]:
        """All entries in the order of a tree. Raises `Problems`."""
        with Finder(self.packs, self.jobs) as finder:
            found = self._met(finder)
            told = self._attributes(found)
            entries = self._made(found, told, finder)
        self.problems += self.walk.hostile
        self.problems += (
            problem for problem in self.walk.problems if not _is_under(problem.path, told.ignored)
        )
        raise_problems("this source cannot be packed as it is", sorted(self.problems, key=str))
        return entries

    def _met(self, finder: Finder) -> list[Found]:
        """All that the walk meets; `finder` looks for the files."""
        found = []
        for entry in self.walk.entries():
            found.append(entry)
            if _is_file(entry):
                finder.add(entry.oid)
        return found

    def _attributes(self, found: list[Found]) -> Attributes:
        """What git says about all paths, which are given and told without `subdir`."""
        prefix = f"{self.subdir}/" if self.subdir else ""
        files = self.outer | {
            prefix + path: file for path, file in self.walk.attribute_files.items()
        }
        if not files and not has_own(self.repository):
            return Attributes()
        asked = {
            f"{prefix}{path}/" if entry.mode == TREE else prefix + path
            for entry in found
            for path in (entry.path, entry.real)
        }
        asked |= {prefix + problem.path for problem in self.walk.problems}
        told = attributes(self.repository, files, sorted(asked))
        drop = len(prefix)
        return Attributes(
            frozenset(path[drop:].rstrip("/") for path in told.ignored),
            frozenset(path[drop:] for path in told.lfs),
        )

    def _made(self, found: list[Found], told: Attributes, finder: Finder) -> list[Entry]:
        """The entries, as far as there is no problem with them."""
        kept = _exported(found, told.ignored)
        files = [*filter(_is_file, kept)]
        sizes, places = finder.sizes(), finder.places
        if told.ignored:
            numbers = {entry.path: number for number, entry in enumerate(filter(_is_file, found))}
            deque(sizes, 0)  # until all are found
            places = places.of(numbers[entry.path] for entry in files)
            sizes = iter(places.sizes)
        oids = b"".join([entry.oid for entry in files])
        blobs = Blobs(self.repository, self.packs, oids, places)
        entries, left = self._plain(kept, blobs, sizes, told.lfs)
        self._ask([files[number] for number in left.values()], [*left.values()], blobs.sizes)
        for at, number in left.items():
            entries[at] = self._file(files[number], blobs, number, files[number].real in told.lfs)
        made = [entry for entry in entries if entry is not None]
        contents = (entry.content for entry in reversed(made) if isinstance(entry, File))
        blobs.last = next((each.number for each in contents if isinstance(each, Blob)), -1)
        return made

    def _plain(
        self, kept: list[Found], blobs: Blobs, sizes: Iterator[int], with_lfs: frozenset[str]
    ) -> tuple[list[Entry | None], dict[int, int]]:
        """The entries of `kept`, and those for which there is more to ask, which are None yet:
        where in that list → the number of the blob.
        """
        entries: list[Entry | None] = []
        left = {}
        time = self.time
        number = 0
        for entry in kept:
            mode = entry.mode
            made: Entry | None = None
            if mode == TREE:
                made = Directory(entry.path, 0o755, time)
            elif mode == LINK:
                made = self._link(entry)
            else:
                size = next(sizes)
                if size == UNKNOWN or entry.real in with_lfs:
                    left[len(entries)] = number
                else:
                    permissions = 0o755 if mode == EXECUTABLE else 0o644
                    made = File(entry.path, size, Blob(blobs, number), permissions, time)
                number += 1
            entries.append(made)
        return entries, left

    def _ask(self, found: list[Found], numbers: list[int], sizes: MutableSequence[int]) -> None:
        """Have git tell those of the `sizes` of the files `found`, which have these `numbers`, that
        no pack does; `problems` gets the blobs that are missing.
        """
        unknown = [
            (number, file)
            for number, file in zip(numbers, found, strict=True)
            if sizes[number] == UNKNOWN
        ]
        if not unknown:
            return
        asked = {file.oid: file.path for _, file in reversed(unknown)}
        known = dict.fromkeys(asked, UNKNOWN)
        for oid, told in facts(self.repository, asked):
            if isinstance(told, SourceError):
                self.problems.append(told)
                continue
            kind, size = told
            if kind == b"blob" and size < TOO_LARGE:
                known[oid] = size
            else:
                what = f"a {kind.decode()}, and should be a blob"
                if kind == b"blob":
                    what = f"said to have {size:,} bytes, and nothing has so many"
                rule = f"object {oid.hex()} is {what}"
                remedy = f"look into it: {self.repository.told('fsck')}"
                self.problems.append(SourceError(asked[oid], rule, remedy))
        for number, file in unknown:
            sizes[number] = known[file.oid]

    def _file(self, entry: Found, blobs: Blobs, number: int, with_lfs: bool) -> Entry | None:
        """A file of which git has been asked; None if there is a problem with it."""
        size = blobs.sizes[number]
        content: Content = Blob(blobs, number)
        if with_lfs:
            try:
                content, size = self._lfs(entry, size) or (content, size)
            except (EntryError, SourceError) as error:
                self._note(error)
                return None
        if size == UNKNOWN:  # there is a problem already
            return None
        permissions = 0o755 if entry.mode == EXECUTABLE else 0o644
        return File(entry.path, size, content, permissions, self.time)

    def _link(self, entry: Found) -> Entry | None:
        """A link; None if there is a problem with it."""
        try:
            target = link_target(self.reader, entry.path, entry.oid)
            return Symlink(entry.path, target, mtime_ns=self.time)
        except (EntryError, SourceError) as error:
            self._note(error)
            return None

    def _note(self, error: Problem) -> None:
        """A problem to be raised with all others, unless it is the end of git."""
        if not self.reader.alive:
            raise error
        self.problems.append(error)

    def _lfs(self, entry: Found, size: int) -> tuple[Content, int] | None:
        """The content and size of a file that Git LFS should keep; None if it does not."""
        from . import lfs  # most repositories have none

        if size > lfs.MOST_BYTES:
            return None
        _, data = self.reader.object(entry.oid.hex(), entry.path, lfs.MOST_BYTES)
        pointer = lfs.Pointer.parse(data, entry.path)
        if pointer is None:  # it was committed without Git LFS
            return None
        content = lfs.lfs_object(self.repository, self.revision, entry.path, pointer)
        return content, pointer.size


def _is_file(entry: Found) -> bool:
    return entry.mode not in (TREE, LINK)


def _exported(found: list[Found], ignored: frozenset[str]) -> list[Found]:
    """`found` without what is in `ignored`, and without directories that are empty then.

    Git knows no empty directories: in what it checks out or archives there are none.
    """
    if ignored:
        found = list(_not_ignored(found, ignored))
    kept: list[Found] = []
    for entry in reversed(found):
        if entry.mode != TREE or (kept and kept[-1].path.startswith(f"{entry.path}/")):
            kept.append(entry)
    return kept[::-1]


def _not_ignored(found: list[Found], ignored: frozenset[str]) -> Iterator[Found]:
    left_out = ""
    for entry in found:
        if left_out and entry.path.startswith(left_out):
            continue
        if entry.path not in ignored:
            yield entry
        elif entry.mode == TREE:
            left_out = f"{entry.path}/"


def _is_under(path: str, ignored: frozenset[str]) -> bool:
    """Whether `path`, or a directory above it, is in `ignored`."""
    while path and path not in ignored:
        path = parent_of(path)
    return bool(path)
