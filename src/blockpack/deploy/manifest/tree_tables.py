"""Paths in a manifest: the parts of the tree that a volume or a piece of a disk is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import UsageError
from ...model.entry import check_path, encode
from ...sources.exclude import excluding
from .document import Document, kind, shown
from .line_numbers import Path
from .specs import Part

MOST_PARTS = 1000
MOST_PATTERNS = 10_000
"""How many of each a volume has at most."""

LONGEST_PATH = 4096
DEEPEST_PATH = 255
"""How many bytes a path has at most, and how many parts between slashes: each is a directory."""

PART_KEYS = ("path", "at")
"""The keys of a part."""


class TreeTables(Document):
    """A document with tables that name parts of a tree.

    Each method gives what it can use, with None or nothing in the place of what it cannot.
    """

    def parts(self, path: Path, table: Mapping[str, Any]) -> tuple[Part, ...]:
        """The parts that the key ``source`` names."""
        here = (*path, "source")
        if "source" not in table:
            self.complain(here, "is missing", "give a path in the tree, or '.' for all of it")
            return ()
        source = table["source"]
        if isinstance(source, str):
            return (Part(self.tree_path(here, source) or ""),)
        if not isinstance(source, list):
            rule = f"is a path or a list of {{path, at}}, not {kind(source)}"
            self.complain(here, rule)
            return ()
        if not source:
            self.complain(here, "is an empty list", "give a path in the tree")
        if len(source) > MOST_PARTS:
            rule = f"{len(source):,} parts are more than the {MOST_PARTS:,} that are allowed"
            self.complain(here, rule, "join some")
            return ()
        return self._joined(here, source)

    def _joined(self, path: Path, source: list[Any]) -> tuple[Part, ...]:
        """The parts in a list, each at a place of its own."""
        parts = []
        places: dict[str, int] = {}
        for number, item in enumerate(source):
            here = (*path, number)
            part = self._part(here, item)
            if part is None:
                continue
            if part.at in places:
                where = f"at {shown(part.at)}" if part.at else "at the volume's root"
                rule = f"is {where}, as is source[{places[part.at]}]"
                self.complain(here, rule, "give one of them another 'at'")
            places.setdefault(part.at, number)
            parts.append(part)
        return tuple(parts)

    def _part(self, path: Path, item: Any) -> Part | None:
        if not isinstance(item, dict):
            remedy = f"write {{ path = {shown(item)} }}" if isinstance(item, str) else ""
            self.complain(path, f"is a table with path and at, not {kind(item)}", remedy)
            return None
        self.unknown(path, item, PART_KEYS)
        found = self.tree_path((*path, "path"), item.get("path"))
        at = self.tree_path((*path, "at"), item.get("at", "."))
        return None if found is None or at is None else Part(found, at)

    def tree_path(self, path: Path, value: Any) -> str | None:
        """The path `value`, ``.`` being the empty one; None for what is not a valid path."""
        text = self.text(path, value, "give a path in the tree")
        if text is None:
            return None
        if text == ".":
            return ""
        error = check_path(text)
        if error is not None:
            self.complain(path, error.rule, error.remedy if text else "write '.' for all of it")
        elif "\\" in text:
            self.complain(path, "has a backslash", "the parts of a path are separated by '/'")
        elif path[-1] != "at" and ".git" in text.lower().split("/"):
            self.complain(path, "is git's own", "give a path of the files themselves")
        elif len(encode(text)) > LONGEST_PATH:
            self.complain(path, f"is a path of more than {LONGEST_PATH:,} bytes", "shorten it")
        elif text.count("/") >= DEEPEST_PATH:
            self.complain(path, f"is a path of more than {DEEPEST_PATH} parts", "shorten it")
        else:
            return text
        return None

    def exclude(self, path: Path, table: Mapping[str, Any]) -> tuple[str, ...]:
        """The patterns at `path`, a key of the table, that are valid."""
        found = self.texts(path, table.get("exclude", []), MOST_PATTERNS)
        for number, pattern in found:
            if "\0" in pattern or "\n" in pattern:
                self.complain((*path, number), "a pattern is one line, without NUL")
            try:
                excluding([pattern])
            except UsageError as error:
                self.complain((*path, number), str(error))
        return tuple(pattern for _, pattern in found)
