"""Values of a document that may be anything: each is given if it is of its type.

What is none is noted as a problem of the document, and None or nothing is in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import UsageError
from ...planning.options import parse_size
from .document import Document, nearest, shortened
from .line_numbers import Path

HUGE = 1 << 64
"""More than any size; larger numbers may have too many digits to be shown."""


class Typed:
    """Values of `document` by their types. `path` is where each one is."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.complain = document.complain

    def unknown(self, path: Path, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        """Note the keys of a table that are none of `known`."""
        for key in table:
            if key not in known:
                self.document.complain_of_unknown((*path, key), known)

    def table(
        self, path: Path, table: Mapping[str, Any], key: str, remedy: str
    ) -> Mapping[str, Any] | None:
        """The table `key` of `table`, which is there and not empty."""
        found = table.get(key)
        if found is None or found == {}:
            self.complain((*path, key), "is missing" if found is None else "is empty", remedy)
            return None
        if isinstance(found, dict):
            return found
        self.complain((*path, key), f"is a table, not {kind(found)}", remedy)
        return None

    def text(self, path: Path, value: Any) -> str | None:
        """A value that is text."""
        if isinstance(value, str):
            return value
        self.complain(path, f"is text, not {kind(value)}", "put it in quotes")
        return None

    def texts(self, path: Path, value: Any, most: int) -> list[tuple[int, str]]:
        """The elements that are text, with their numbers."""
        if not isinstance(value, list):
            remedy = f"write [{shown(value)}]" if isinstance(value, str) else ""
            self.complain(path, f"is a list of texts, not {kind(value)}", remedy)
            return []
        if len(value) > most:
            self.complain(path, f"{len(value):,} are more than the {most:,} that are allowed")
            return []
        texts = [(number, self.text((*path, number), item)) for number, item in enumerate(value)]
        return [(number, text) for number, text in texts if text is not None]

    def flag(self, path: Path, table: Mapping[str, Any], key: str) -> bool:
        """A value that is true or false; false if it is not there."""
        value = table.get(key, False)
        if isinstance(value, bool):
            return value
        self.complain((*path, key), f"is true or false, not {kind(value)}")
        return False

    def size(self, path: Path, value: Any) -> int | None:
        """A value that is a size, in bytes."""
        if isinstance(value, str):
            try:
                value = parse_size(value)
            except UsageError:
                rule = f'{shown(value)} is not a size, such as 4096, "64K", "16M" or "2G"'
                self.complain(path, rule)
                return None
        if not is_number(value):
            self.complain(path, f'is a size, such as 4096 or "16M", not {kind(value)}')
            return None
        if not -HUGE < int(value) < HUGE:
            self.complain(path, "is too large for any system")
            return None
        return int(value)

    def not_one_of(self, path: Path, value: str, known: tuple[str, ...]) -> None:
        """Note that a value is none of `known`, and which of them it may stand for."""
        near = nearest(value, {name: name for name in known})
        remedy = f"did you mean '{near}'?" if near else ""
        self.complain(path, f"is one of {', '.join(known)}; not {shown(value)}", remedy)


def is_number(value: Any) -> bool:
    """Whether it is a whole number; Python's True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """What a value is, in plain words."""
    kinds = {bool: "true or false", str: "text", dict: "a table", list: "a list"}
    if type(value) in (int, float):
        return "a number"
    return kinds.get(type(value), "a date or time")


def shown(value: str) -> str:
    """Text as messages show it."""
    return f"'{shortened(value)}'"
