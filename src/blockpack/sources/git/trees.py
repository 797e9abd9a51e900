"""Walking through the trees of a revision, as they are stored.

What cannot be packed is collected: names that git would not check out, modes that there are not,
links and submodules that were to be errors. What a link leads to is looked up in the same trees,
never on this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from attrs import define, field

from ...errors import BlockpackError, EntryError, SourceError
from ...formats.git import objects
from ...formats.git.objects import LINK, MODES, SUBMODULE, TREE
from ...formats.git.refused_names import are_plain, refused
from ...formats.git.tree_reader import EndlessTreesError, TreeReader
from ...model.entry import decode, parent_of
from ...model.link_walk import EndlessLinksError, LeadsOutError, led_to
from ...model.values import numerous
from ..options import ScanOptions
from ..symlinks import instead_of_link, leads_into_itself, leads_out
from .cat_file import CatFile
from .repository import Repository

MOST_DEPTH = 2048
"""Directories in directories, at most; git has the same limit."""

MOST_ENTRIES = 10_000_000
"""Entries at most."""

MOST_TARGET = 4096
"""Bytes of a link's target, at most: no system follows longer ones."""


@numerous
class Found:
    """An entry to pack: its `path`, what it is, and where in the repository.

    `real` is the path that its attributes go by: another one only where a link was followed.
    """

    path: str
    mode: int
    oid: bytes
    real: str


Listing = dict[str, tuple[int, bytes]]
"""The entries of a tree that can be: name → mode and object id."""

_Level = tuple[Iterator[Found], str]
"""A directory in the middle of the walk, and where it really is."""


@define
class TreeWalk:
    """One walk through the tree `top`, which is the directory `subdir` of its repository.

    `problems` gets what cannot be packed. Those of `entries` in `hostile` are so whatever
    attributes say. `attribute_files` has the ``.gitattributes`` that were met, by path.
    """

    repository: Repository
    reader: CatFile
    top: bytes
    options: ScanOptions = field(factory=ScanOptions)
    problems: list[BlockpackError] = field(factory=list)
    hostile: list[BlockpackError] = field(factory=list)
    attribute_files: dict[str, tuple[int, bytes]] = field(factory=dict)
    _trees: TreeReader = field(init=False)
    _listings: dict[str, Listing] = field(factory=dict, init=False)
    """Those of links' surroundings, by path."""
    _targets: dict[bytes, str] = field(factory=dict, init=False)
    """Those of links that were followed, by the ids of their blobs."""

    def __attrs_post_init__(self) -> None:
        size = self.repository.oid_size
        self._trees = TreeReader(self._tree_bytes, self.top, size, MOST_ENTRIES)

    def entries(self) -> Iterator[Found]:
        """What there is to pack, in the order of a tree. Raises `SourceError`; `EntryError` if
        endless.
        """
        try:
            yield from self._walk()
        except EndlessTreesError as error:
            remedy = "no such tree is to be trusted; find out who made it, or exclude a part of it"
            raise EntryError("", f"has trees without end: {error}", remedy) from None

    def _walk(self) -> Iterator[Found]:
        count = 0
        levels: list[_Level] = [(self._children("", "", self.top), "")]
        while levels:
            for found in levels[-1][0]:
                count += 1
                if found.mode == LINK and self.options.symlinks != "keep":
                    followed = self._link(found, {real for _, real in levels})
                    if followed is None:
                        continue
                    found = followed
                if found.mode == TREE and len(levels) > MOST_DEPTH:
                    rule = f"is more than {MOST_DEPTH:,} directories deep"
                    shown = found.path if len(found.path) < 200 else f"{found.path[:200]}…"
                    self.hostile.append(EntryError(shown, rule, "exclude it"))
                    continue
                yield found
                if found.mode == TREE:
                    self._trees.require(count)  # by links, too, trees may name each other
                    below = self._children(found.path, found.real, found.oid)
                    levels.append((below, found.real))
                    break
            else:
                levels.pop()

    def listing(self, path: str) -> Listing:
        """The entries of `top`, which is the directory `path` of a larger tree; those that cannot
        be are in `hostile`.
        """
        return self._listing(self.top, path)

    def _children(self, path: str, real: str, oid: bytes) -> Iterator[Found]:
        """The entries of one directory by name, without what is left out or a problem."""
        prefix = f"{path}/" if path else ""
        listing = self._listing(oid, real).items()
        if path == real:
            found = [Found(at := prefix + name, *child, at) for name, child in listing]
        else:
            found = [Found(prefix + name, *child, f"{real}/{name}") for name, child in listing]
        return filter(self._is_wanted, found)

    def _is_wanted(self, found: Found) -> bool:
        """Whether an entry is neither left out nor a problem; submodules are one or the other."""
        is_submodule = found.mode == SUBMODULE
        is_directory = is_submodule or found.mode == TREE
        if self.options.excluded is not None and self.options.excluded(found.path, is_directory):
            return False
        if is_submodule and self.options.submodules == "error":
            rule = "is a submodule, whose files are in another repository"
            remedy = "exclude it, pack that repository, or skip submodules: {option}"
            self.problems.append(EntryError(found.path, rule, remedy, "submodules=skip"))
        return not is_submodule

    def _listing(self, oid: bytes, real: str) -> Listing:
        """The entries of the directory `real` sorted by name; those that cannot be are reported."""
        if (known := self._listings.get(real)) is not None:
            return known
        try:
            entries = self._trees.entries(oid, real)
        except EndlessTreesError:
            raise
        except ValueError as error:
            unsound = f"object {oid.hex()} is not a valid tree ({error})"
            raise SourceError(real or oid.hex(), unsound, self.repository.fsck) from None
        listing: Listing = {}
        plain = are_plain([name for _, name, _ in entries])
        for mode, name, child in entries:
            text = decode(name)
            rule = None if plain else refused(name)
            if rule is None and mode not in MODES:
                rule = f"has the mode {mode.decode('ascii', 'replace')}, which git does not know"
            if rule is None and text in listing:
                rule = "is there twice"
            if rule is None:
                listing[text] = MODES[mode], child
            else:
                self._report(real, text, rule)
        found = listing.get(".gitattributes")
        if found is not None and found[0] not in (TREE, SUBMODULE):
            self.attribute_files[f"{real}/.gitattributes" if real else ".gitattributes"] = found
        listing = dict(sorted(listing.items()))
        if self.options.symlinks == "follow":
            self._listings[real] = listing
        return listing

    def _report(self, above: str, name: str, rule: str) -> None:
        path = f"{above}/{name}" if above else name
        if self.options.excluded is None or not (name and self.options.excluded(path, False)):
            remedy = "no such tree is to be trusted; find out who made it, or exclude it"
            self.hostile.append(EntryError(path, rule, remedy))

    def _tree_bytes(self, oid: bytes, path: str) -> bytes:
        name = oid.hex()
        kind, data = self.reader.object(name, path or name, objects.MOST_BYTES)
        if kind != b"tree":
            raise ValueError(f"is a {kind.decode()}")
        return data

    # Links -----------------------------------------------------------------------------------

    def _link(self, link: Found, above: set[str]) -> Found | None:
        """What to pack in place of a link that is not kept; None if nothing, or a problem."""

        def follow() -> Found:
            followed = self._follow(link)
            if followed.mode == TREE and followed.real in above:
                raise leads_into_itself(link.path)
            return followed

        report = partial(self.reader.report, problems=self.problems)
        return instead_of_link(link.path, self.options.symlinks, follow, report)

    def _follow(self, link: Found) -> Found:
        """What a link leads to, in this very tree. Raises `EntryError`, or `SourceError`."""

        def target_of(path: str, is_last: bool) -> str | None:
            above, _, name = path.rpartition("/")
            mode, oid = self._listing_at(above).get(name, (0, b""))
            if not mode or (mode not in (LINK, TREE) and not is_last):
                rule = "is a link that leads nowhere"
                raise SourceError(link.path, rule, "mend or exclude it", "symlinks=keep")
            if mode == SUBMODULE:
                rule = "is a link into a submodule"
                raise EntryError(link.path, rule, "exclude it", "symlinks=skip")
            if mode != LINK:
                return None
            if oid not in self._targets:
                self._targets[oid] = link_target(self.reader, link.path, oid)
            return self._targets[oid]

        try:
            at = led_to(parent_of(link.real), link.real.rpartition("/")[2], target_of)
        except LeadsOutError:
            raise leads_out(link.path) from None
        except EndlessLinksError:
            rule = "is a link that leads in a circle"
            raise SourceError(link.path, rule, "mend or exclude it", "symlinks=keep") from None
        return Found(link.path, *self._at(at), at)

    def _listing_at(self, real: str) -> Listing:
        """The entries of a directory that there is."""
        if real not in self._listings:
            self._listing(self._at(real)[1], real)
        return self._listings[real]

    def _at(self, real: str) -> tuple[int, bytes]:
        """The mode and object id of what there is."""
        above, _, name = real.rpartition("/")
        return self._listing_at(above)[name] if real else (TREE, self.top)


def link_target(reader: CatFile, path: str, oid: bytes) -> str:
    """The target of the link `path`. Raises `EntryError` if that is not a path."""
    kind, data = reader.object(oid.hex(), path, MOST_TARGET)
    if kind != b"blob" or not data or b"\0" in data:
        raise EntryError(path, "is a link with an invalid target", "mend or exclude it")
    return decode(data)
