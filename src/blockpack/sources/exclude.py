"""Patterns of what to leave out, as in a ``.gitignore``."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UsageError
from .directory import Excluded


def excluding(patterns: Iterable[str]) -> Excluded | None:
    """The test for ``.gitignore``-style `patterns`; the last one that matches decides.

    A pattern with a slash is anchored at the source, one that ends in a slash means
    directories, and ``!`` takes back an earlier pattern. Raises `UsageError` for what is none.
    """
    lines = list(patterns)
    if not lines:
        return None
    from pathspec import GitIgnoreSpec  # slow to import, and most trees need none of it

    try:
        spec = GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise UsageError(f"a pattern to leave out is none: {error}") from None

    def excluded(path: str, is_directory: bool) -> bool:
        return bool(spec.match_file(f"{path}/" if is_directory else path))

    return excluded
