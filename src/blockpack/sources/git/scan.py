"""From a revision to the entries of a tree.

The trees are walked, while their blobs are looked for in packs; git is asked about attributes, then
in one go for the sizes that no pack tells. No blob is read but the targets of links, and those that
may be pointers of Git LFS. All that is wrong is raised together.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from .places import TOO_LARGE, UNKNOWN, Places
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

    def __attrs_post_init__(self) -> None:
        self.packs = Packs.of(self.repository)

    def entries(self) -> list[Entry]:
        """All entries in the order of a tree. Raises `Problems`."""
        with Finder(self.packs, self.jobs) as finder:
            found = self._met(finder)
            told = self._attributes(found)
            places = finder.places()
        kept = _exported(found, told.ignored)
        if told.ignored:
            numbers = {entry.path: number for number, entry in enumerate(filter(_is_file, found))}
            places = places.of(numbers[entry.path] for entry in filter(_is_file, kept))
        self._ask(kept, places)
        entries = list(self._made(kept, places, told.lfs))
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

    def _ask(self, found: list[Found], places: Places) -> None:
        """Have git tell the sizes that no pack does; `problems` gets the blobs that are missing."""
        sizes = places.sizes
        if UNKNOWN not in sizes:
            return
        files = [*filter(_is_file, found)]
        unknown = [number for number, size in enumerate(sizes) if size == UNKNOWN]
        asked = {files[number].oid: files[number].path for number in reversed(unknown)}
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
        for number in unknown:
            sizes[number] = known[files[number].oid]

    def _made(
        self, found: list[Found], places: Places, with_lfs: frozenset[str]
    ) -> Iterator[Entry]:
        """The entries, as far as there is no problem with them."""
        time = self.resolved.seconds * NANOSECONDS
        oids = b"".join([entry.oid for entry in found if _is_file(entry)])
        blobs = Blobs(self.repository, self.packs, oids, places)
        sizes = places.sizes
        number = last = -1
        for entry in found:
            mode = entry.mode
            if mode == TREE:
                yield Directory(entry.path, 0o755, time)
                continue
            content: Content | None = None
            try:
                if mode == LINK:
                    target = link_target(self.reader, entry.path, entry.oid)
                    yield Symlink(entry.path, target, mtime_ns=time)
                    continue
                number += 1
                size = sizes[number]
                if entry.real in with_lfs:
                    content, size = self._lfs(entry, size)
            except (EntryError, SourceError) as error:
                if not self.reader.alive:
                    raise
                self.problems.append(error)
                continue
            if size == UNKNOWN:  # there is a problem already
                continue
            if content is None:
                content = Blob(blobs, number)
                last = number
            yield File(entry.path, size, content, 0o755 if mode == EXECUTABLE else 0o644, time)
        blobs.last = last

    def _lfs(self, entry: Found, size: int) -> tuple[Content | None, int]:
        """The content and size of a file that Git LFS should keep; no content if it does not."""
        from . import lfs  # most repositories have none

        if size > lfs.MOST_BYTES:
            return None, size
        _, data = self.reader.object(entry.oid.hex(), entry.path, lfs.MOST_BYTES)
        pointer = lfs.Pointer.parse(data, entry.path)
        if pointer is None:  # it was committed without Git LFS
            return None, size
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
