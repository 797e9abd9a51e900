"""From a revision to the entries of a tree.

The trees are walked, while their blobs are looked for in packs; git is asked about attributes, and
then the entries are made (`entry_maker`). All that is wrong is raised together.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define

from ...errors import SourceError, raise_problems
from ...formats.git.objects import TREE
from ...formats.git.origin import Origin
from ...model.entry import Entry, check_path, parent_of
from ...model.tree import Tree
from ...workers.processors import Jobs
from ..options import UNPACKABLE, ScanOptions
from .address import Address
from .attributes import Attributes, attributes, has_own
from .cat_file import CatFile
from .entry_maker import EntryMaker, is_file
from .finder import Finder
from .packs import Packs
from .repository import Repository, Revision
from .trees import Found, TreeWalk


def scan(source: str, options: ScanOptions) -> Tree:
    """The tree of the address `source`, ``git:REPO[@REV[:SUBDIR]]``.

    Raises `UsageError` for what is none, `SourceError`, and `Problems` with all that cannot be
    packed.
    """
    return revision_tree(*Address.parse(source), options)


def revision_tree(path: str, revision: str, subdir: str, options: ScanOptions) -> Tree:
    """The tree of the directory `subdir` of a revision of the repository at `path`.

    Of several processes one looks for the blobs, where there are many. Raises `SourceError`, and
    `Problems` with all that cannot be packed.
    """
    repository = Repository.at(path)
    subdir = "/".join(part for part in subdir.split("/") if part not in ("", "."))
    reader = CatFile(repository)
    try:
        found = repository.resolve(revision, reader)
        top, outer = _descend(repository, reader, found, subdir)
        walk = TreeWalk(repository, reader, top, options)
        scan = _RevisionScan(repository, revision, found, subdir, reader, walk, outer, options.jobs)
        entries = scan.entries()
    finally:
        reader.close()
    return Tree.of(_by_directory(entries), Origin(repository, found.commit, top.hex()))


def _by_directory(entries: list[Entry]) -> Iterator[list[Entry]]:
    """`entries`, those of each directory together."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(parent_of(entry.path), []).append(entry)
    yield from found.values()


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
        walk = TreeWalk(repository, reader, oid)
        mode, oid = walk.listing().get(part, (None, b""))
        if mode != TREE:
            what = "there is no such directory" if mode is None else "is no directory"
            rule = f"{what} in {revision.commit or revision.tree}"
            raise SourceError(above + part, rule, "give another SUBDIR")
        outer |= {above + name: file for name, file in walk.attribute_files.items()}
        above += f"{part}/"
    return oid, outer


@define
class _RevisionScan:
    """One scan; `outer` has the ``.gitattributes`` above the directory `subdir`."""

    repository: Repository
    revision: str
    resolved: Revision
    subdir: str
    reader: CatFile
    walk: TreeWalk
    outer: _Files
    jobs: Jobs

    def entries(self) -> list[Entry]:
        """All entries in the order of a tree. Raises `Problems`."""
        packs = Packs.of(self.repository)
        with Finder(packs, self.jobs) as finder:
            found = self._walked(finder)
            told = self._attributes(found)
            kept = _exported(found, told.ignored)
            sizes, places = finder.sizes(), finder.places
            if told.ignored:
                places = finder.all().of(_numbers(kept, found))
                sizes = iter(places.sizes)
            making = EntryMaker(self.repository, packs, self.reader, self.resolved, self.revision)
            entries = making.entries(kept, sizes, places, told.lfs)
        problems = making.problems + self.walk.hostile
        problems += (
            problem for problem in self.walk.problems if not _is_under(problem.path, told.ignored)
        )
        raise_problems(UNPACKABLE, sorted(problems, key=str))
        return entries

    def _walked(self, finder: Finder) -> list[Found]:
        """All that the walk meets; `finder` looks for the files."""
        found = []
        for entry in self.walk.entries():
            found.append(entry)
            if is_file(entry):
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


def _numbers(kept: list[Found], found: list[Found]) -> list[int]:
    """Which of the files in `found` those in `kept` are."""
    numbers = {entry.path: number for number, entry in enumerate(filter(is_file, found))}
    return [numbers[entry.path] for entry in filter(is_file, kept)]


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
