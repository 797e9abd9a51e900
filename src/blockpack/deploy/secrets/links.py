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
    for link in tree:
        if not isinstance(link, Symlink):
            continue
        named, final = _led_to(tree, link, follow=False), _led_to(tree, link, follow=True)
        if named is not None and final is not None and final.path in closed:
            target = link.target.removesuffix(SUFFIX) if has_suffix(named.path) else link.target
            yield link, evolve(link, path=opened_name(link.path), target=target)


def _led_to(tree: Tree, link: Symlink, *, follow: bool) -> Entry | None:
    """What the target of a link names, or with `follow` leads to in the end; None if that is not
    in the tree.
    """
    if link.target.startswith("/"):
        return None
    at, left, links = parent_of(link.path), link.target.split("/")[::-1], 1
    found: Entry | None = None
    while left:
        part = left.pop()
        if part == ".." and at:
            at, found = parent_of(at), None
        elif part not in ("", "."):
            found = tree.get(f"{at}/{part}" if at else part)
            if isinstance(found, Symlink) and (left or follow):
                left += found.target.split("/")[::-1]
                links += 1
                if links > _MOST or found.target.startswith("/"):
                    return None
            elif found is None or (left and found.kind != "directory"):  # so is '..' above the tree
                return None
            else:
                at = found.path
    return found
