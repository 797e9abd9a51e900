"""Symbolic links to encrypted files: in the image they lead to what was decrypted.

A file ``keys/2026.age`` is ``keys/2026`` there. So a link that leads to it, through whatever other
links, loses the suffix as well, from its own name and from the last name in its target.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from attrs import evolve

from ...model.entry import Entry, Symlink, parent_of
from ...model.tree import Tree
from .age import SUFFIX, has_suffix

_MOST = 40
"""Links in a row that are followed, as Linux does."""


def opened_name(path: str) -> str:
    """What an encrypted file, or a link to one, is called where it is decrypted."""
    return path.removesuffix(SUFFIX) if has_suffix(path) else path


def opened_links(tree: Tree, closed: Container[str]) -> Iterator[tuple[Symlink, Symlink]]:
    """The links of `tree` that lead to a file of the paths `closed`, before and after."""
    links = _Links(tree)
    for link in tree:
        if not isinstance(link, Symlink):
            continue
        named, final = links.named_by(link), links.followed(link)
        if named is not None and final is not None and final.path in closed:
            target = link.target.removesuffix(SUFFIX) if has_suffix(named.path) else link.target
            yield link, evolve(link, path=opened_name(link.path), target=target)


class _Links:
    """Follows the links of a tree; each is followed once, or they could take forever."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._ends: dict[str, Entry | None] = {}

    def followed(self, entry: Entry | None, depth: int = 0) -> Entry | None:
        """What an entry is, or leads to in the end; None if that is nothing in the tree."""
        if not isinstance(entry, Symlink):
            return entry
        if entry.path not in self._ends:
            self._ends[entry.path] = None  # if it leads to itself
            if depth < _MOST:
                self._ends[entry.path] = self.followed(self.named_by(entry, depth), depth + 1)
        return self._ends[entry.path]

    def named_by(self, link: Symlink, depth: int = 0) -> Entry | None:
        """What the target of a link names, be it a link itself; None if it is not in the tree."""
        at, entry = parent_of(link.path), None
        if link.target.startswith("/"):
            return None
        for part in link.target.split("/"):
            if entry is not None:  # and this is a part below it
                directory = self.followed(entry, depth + 1)
                if directory is None or directory.kind != "directory":
                    return None
                at, entry = directory.path, None
            if part == ".." and at:
                at = parent_of(at)
            elif part not in ("", "."):
                entry = self._tree.get(f"{at}/{part}" if at else part)
                if entry is None:  # so is '..' above the tree
                    return None
        return entry
