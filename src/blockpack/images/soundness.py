"""What keeps the entries of an image from being those of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import ImageError, printable
from ..formats.reader import ImageEntry
from ..model.entry import check_path, check_target


def unsound(entries: Mapping[str, ImageEntry]) -> Iterator[ImageError]:
    """What keeps `entries` (by path) from being those of a tree: bad paths, and bad links."""
    for path, entry in entries.items():
        error = check_path(path)
        if error is None and entry.kind == "symlink":
            error = check_target(path, entry.target)
        if error is not None:
            yield ImageError(error.path, error.rule, error.remedy)
    # With a slash at its end, each path comes right before those that are below it.
    above = ""
    for path in sorted(f"{path}/" for path in entries):
        if above and path.startswith(above):
            rule = f"is in {printable(above[:-1])}, a {entries[above[:-1]].kind}"
            yield ImageError(path[:-1], rule)
        elif entries[path[:-1]].kind != "directory":
            above = path
