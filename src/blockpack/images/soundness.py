"""What keeps the entries of an image from being those of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import ImageError
from ..formats.reader import ImageEntry
from ..model.entry import are_sound, check_path, check_target, parent_of


def unsound(entries: Mapping[str, ImageEntry]) -> Iterator[ImageError]:
    """What keeps `entries` (by path) from being those of a tree: bad paths, and bad links."""
    sound = are_sound(entries)  # nearly all trees'
    for path, entry in entries.items():
        error = None if sound else check_path(path)
        if error is None and entry.kind == "symlink":
            error = check_target(path, entry.target)
        if error is not None:
            yield ImageError(error.path, error.rule, error.remedy)
    above: dict[str, str] = {}  # directory → the nearest at or above it that is not one
    for path in {parent_of(path) for path in entries}:
        missing = []
        while path and path not in above:
            missing.append(path)
            path = parent_of(path)
        found = above.get(path, "")
        for each in reversed(missing):
            entry_there = None if found else entries.get(each)
            if entry_there is not None and entry_there.kind != "directory":
                found = each
            above[each] = found
    if any(above.values()):
        for path in entries:
            if found := above.get(parent_of(path), ""):
                yield ImageError(path, f"is in {found}, a {entries[found].kind}")
