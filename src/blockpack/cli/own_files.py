"""What lies in a source and is no part of it: the files that a run writes there, and keys."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..errors import printable
from ..model.entry import decode
from ..model.tree import Tree
from ..sources.registry import place_of
from .output import say


def say_left_out(sources: Iterable[str], outputs: Iterable[str], keys: Iterable[str] = ()) -> None:
    """Say which of the files to be written, and of the `keys`, are in the sources already."""
    for source in sources:
        for output in outputs:
            if path_inside(source, output) is not None and os.path.isfile(output):
                say(f"warning: {printable(output)}: is in the source; it is left out, and replaced")
        for key in keys:
            if path_inside(source, key) is not None:
                say(f"warning: {printable(key)}: is in the source; it is left out, for it is a key")


def leave_out(tree: Tree, source: str, outputs: Iterable[str]) -> None:
    """Take out of the `tree` of `source` what this very run writes, or reads as the image."""
    for output in outputs:
        path = path_inside(source, output)
        if path is not None and path in tree:
            tree.remove(path)


def path_inside(source: str, output: str) -> str | None:
    """The path that `output` has in the tree of `source`; None if it is not in there."""
    whole, inside = place_of(source)
    root = os.path.join(os.path.realpath(os.path.join(whole, inside.strip("/"))), "")
    place = os.path.realpath(output)
    return decode(os.fsencode(place[len(root) :])) if place.startswith(root) else None
