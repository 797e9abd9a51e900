"""From a revision to the entries of a tree.

The trees are walked, git is asked about attributes, and then the entries are made (`entry_maker`).
All that is wrong is raised together.
"""

from __future__ import annotations

from itertools import groupby

from ...errors import SourceError, raise_problems
from ...formats.git.objects import TREE
from ...formats.git.origin import Origin
from ...model.entry import check_path, parent_of
from ...model.tree import Tree
from ..options import UNPACKABLE, ScanOptions
from .address import Address
from .attributes import Attributes, any_asked, attributes
from .entry_maker import EntryMaker
from .lookup import FoundObject, Lookup
from .trees import Found, TreeWalk


def scan(source: str, options: ScanOptions) -> Tree:
    """The tree of the address `source`. Raises `UsageError`, `SourceError` and `Problems`."""
    path, revision, subdir = Address.parse(source)
    with Lookup.of(path, revision) as lookup:
        return revision_tree(lookup, subdir, options)


def revision_tree(lookup: Lookup, subdir: str, options: ScanOptions) -> Tree:
    """The tree of the directory `subdir` of a revision. Raises `SourceError` and `Problems`."""
    subdir = "/".join(part for part in subdir.split("/") if part not in ("", "."))
    if subdir and (unsound := check_path(subdir)):
        raise unsound
    top = lookup.find(subdir)
    if top is None or top.mode != TREE:
        what = "there is no such directory" if top is None else "is not a directory"
        rule = f"{what} in {lookup.revision.commit or lookup.revision.tree}"
        raise SourceError(subdir, rule, "give another SUBDIR")
    walk = TreeWalk(lookup.repository, lookup.reader, top.oid, options)
    found = list(walk.entries())
    told = _attributes(lookup, walk, found, f"{subdir}/" if subdir else "", top)
    making = EntryMaker(lookup, options.jobs, told.lfs)
    entries = making.entries(_exported(found, told.ignored))
    problems = making.problems + walk.hostile
    problems += (each for each in walk.problems if not _is_under(each.path, told.ignored))
    raise_problems(UNPACKABLE, sorted(problems, key=str))
    listings = groupby(entries, lambda entry: parent_of(entry.path))
    origin = Origin(lookup.repository, lookup.revision.commit, top.oid.hex())
    return Tree.of((list(listing) for _, listing in listings), origin)


def _attributes(
    lookup: Lookup, walk: TreeWalk, found: list[Found], prefix: str, top: FoundObject
) -> Attributes:
    """What git says about all paths, which are given and told without the `prefix` of `top`."""
    files = {**top.attributes, **{prefix + path: at for path, at in walk.attribute_files.items()}}
    if not any_asked(lookup, files):
        return Attributes()
    asked = {
        f"{prefix}{path}/" if entry.mode == TREE else prefix + path
        for entry in found
        for path in (entry.path, entry.real)
    }
    asked |= {prefix + problem.path for problem in walk.problems}
    told = attributes(walk.repository, files, sorted(asked))
    drop = len(prefix)
    return Attributes(
        frozenset(path[drop:].rstrip("/") for path in told.ignored),
        frozenset(path[drop:] for path in told.lfs),
    )


def _exported(found: list[Found], ignored: frozenset[str]) -> list[Found]:
    """`found` without what is `ignored` and directories that are empty then: git knows none."""
    if ignored:
        found = [entry for entry in found if not _is_under(entry.path, ignored)]
    kept: list[Found] = []
    for entry in reversed(found):
        if entry.mode != TREE or (kept and kept[-1].path.startswith(f"{entry.path}/")):
            kept.append(entry)
    return kept[::-1]


def _is_under(path: str, ignored: frozenset[str]) -> bool:
    """Whether `path`, or a directory above it, is in `ignored`."""
    while path and path not in ignored:
        path = parent_of(path)
    return bool(path)
