"""Symbolic links to encrypted files: in the image they lead to what was decrypted.

A file ``keys/2026.age`` is ``keys/2026`` there. So a link that leads to it, through whatever other
links, loses the suffix as well, from its own name and from the last name in its target.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from attrs import evolve

from ...model.entry import Entry, Symlink, parent_of
from ...model.link_walk import LeadsNowhereError, led_to
from ...model.tree import Tree
from .age import SUFFIX, has_suffix


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

    def target_of(path: str, is_last: bool) -> str | None:
        found = tree.get(path)
        if isinstance(found, Symlink):
            return None if is_last and not follow else found.target
        if found is None or (found.kind != "directory" and not is_last):
            raise LeadsNowhereError
        return None

    if link.target.startswith("/"):
        return None
    try:
        return tree.get(led_to(parent_of(link.path), link.target, target_of))
    except LeadsNowhereError:
        return None
