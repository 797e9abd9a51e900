"""Following symbolic links by what they say, in a tree that is not on this machine."""

from __future__ import annotations

from collections.abc import Callable

from .entry import parent_of

_MOST = 40
"""Links that a path may lead through, as on Linux."""


class LeadsNowhereError(Exception):
    """A path leads to nothing."""


class LeadsOutError(LeadsNowhereError):
    """A path leads out of the tree."""


class EndlessLinksError(LeadsNowhereError):
    """A path leads through too many links, as in a circle."""


def led_to(at: str, path: str, target_of: Callable[[str, bool], str | None]) -> str:
    """Where `path` leads from the directory `at` on, even if it begins with a slash: a path without
    links, ``.`` and ``..``.

    `target_of` is asked of each path on the way, and whether it is the last one. It gives what a
    link says that is to be followed, and else None; it raises what is wrong with what is there.
    """
    left, links = path.split("/")[::-1], 0
    while left:
        part = left.pop()
        if part == "..":
            if not at:
                raise LeadsOutError
            at = parent_of(at)
        elif part not in ("", "."):
            here = f"{at}/{part}" if at else part
            target = target_of(here, not left)
            if target is None:
                at = here
                continue
            if target.startswith("/"):
                raise LeadsOutError
            if (links := links + 1) > _MOST:
                raise EndlessLinksError
            left += target.split("/")[::-1]
    return at
