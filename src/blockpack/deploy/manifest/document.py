"""A manifest's text as a document: its values by type, their lines, and the problems found."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...errors import ManifestError, UsageError, printable, problems, raise_problems
from ...planning.options import parse_size
from .line_numbers import Lines, Path, TooMuch

LARGEST = 1 << 20
"""Bytes that a manifest has at most."""

MOST_PROBLEMS = 200
"""Problems that are reported at most: nobody reads more, and each takes time."""

HUGE = 1 << 64
"""More than any size; larger numbers may have too many digits to be shown."""

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60


class Document:
    """The values of a manifest, or of another file of that kind (`noun`). Problems are collected;
    `finish` raises them.

    Raises `Problems` if the text is too large, not UTF-8, or no TOML.
    """

    def __init__(self, text: str | bytes, file: str, noun: str = "manifest") -> None:
        self.file = file
        self.noun = noun
        self.values: Mapping[str, Any] = {}
        self._problems: list[ManifestError] = []
        self._left_out = 0
        decoded = self._decoded(text)
        try:
            self._lines = Lines(decoded)
        except TooMuch as error:
            raise self._refusal(error.line, error.rule, "use fewer") from None
        try:
            self.values = tomllib.loads(decoded)
        except (ValueError, RecursionError) as error:  # also numbers of too many digits
            raise self._syntax(str(error), decoded) from None

    def complain(self, path: Path, rule: str, remedy: str = "") -> None:
        """Note that `path` breaks `rule`."""
        if len(self._problems) >= MOST_PROBLEMS:
            self._left_out += 1
            return
        line = self._lines.line(path)
        self._problems.append(ManifestError(self.file, line, dotted(path), rule, remedy))

    def finish(self) -> None:
        """Raise `Problems` with all that was noted, in the order of lines."""
        found = sorted(self._problems, key=lambda error: error.line)
        if self._left_out:
            rule = f"there are {self._left_out:,} more problems"
            found.append(ManifestError(self.file, found[-1].line, "", rule))
        raise_problems(self._refused, found)

    def meant(self, name: str, known: Mapping[str, str]) -> str:
        """The remedy for a name that is none of those in `known`, if there is a near one; what is
        not reported any more costs no search.
        """
        near = nearest(name, known) if len(self._problems) < MOST_PROBLEMS else None
        return f"did you mean '{near}'?" if near else ""

    # Values by their types: None or nothing stands for what is of none, which is noted.

    def unknown(
        self,
        path: Path,
        table: Mapping[str, Any],
        known: tuple[str, ...],
        spellings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Note the keys of a table that are none of `known`, and which is nearest; `spellings` has
        other names of known keys.
        """
        names = {**{name: name for name in known}, **spellings}
        for key in table:
            if key not in known:
                self.complain((*path, key), "unknown key", self.meant(key, names) or "remove it")

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

    def text(self, path: Path, value: Any, remedy: str = "") -> str | None:
        """A value that is text. None is for what is not there, and `remedy` for that."""
        if isinstance(value, str):
            return value
        if value is None:
            self.complain(path, "is missing", remedy)
        else:
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

    def not_one_of(self, path: Path, value: Any, known: tuple[str, ...]) -> None:
        """Note that a value is none of `known`, and which of them it may stand for."""
        is_text = isinstance(value, str)
        remedy = self.meant(value, {name: name for name in known}) if is_text else ""
        found = shown(value) if is_text else kind(value)
        self.complain(path, f"is one of {', '.join(known)}; not {found}", remedy)

    # What is no document at all

    @property
    def _refused(self) -> str:
        return f"{printable(self.file)} is not a valid {self.noun}"

    def _decoded(self, text: str | bytes) -> str:
        size = len(text)
        if size > LARGEST:
            rule = f"a {self.noun} has no more than {LARGEST:,} bytes"
            raise self._refusal(1, rule, "give patterns instead of names")
        if isinstance(text, str):
            return text
        try:
            return text.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            rule = f"byte {error.start:,} is not UTF-8"
            raise self._refusal(line, rule, "save the file as UTF-8") from None

    def _syntax(self, message: str, text: str) -> Exception:
        match = _PLACE.search(message)
        last = text.count("\n") + 1 - text.endswith("\n")
        line = int(match[1]) if match and match[1] else last
        shown = message[: match.start()] if match else "a number is too long"
        return self._refusal(line, f"not valid TOML: {printable(shown)}", "")

    def _refusal(self, line: int, rule: str, remedy: str) -> Exception:
        return problems(self._refused, [ManifestError(self.file, line, "", rule, remedy)])


def dotted(path: Path) -> str:
    """`path` as a dotted key, shortened where its parts are long."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f"{'.' if shown else ''}{_key(part)}"
    return shown


def _key(name: str) -> str:
    shown = shortened(name)
    return shown if _BARE_KEY.fullmatch(name) else f'"{shown}"'


def shortened(text: str, most: int = _LONGEST_SHOWN) -> str:
    """`text` fit to be part of a message: of no more than so many characters, all printable."""
    return printable(text if len(text) <= most else f"{text[:most]}…")


def nearest(name: str, known: Mapping[str, str]) -> str | None:
    """What `name` may have meant, of what the spellings in `known` stand for."""
    lowered = name.lower()
    if lowered in known:
        return known[lowered]
    if len(name) > _LONGEST_SHOWN:
        return None
    from difflib import get_close_matches

    matches = get_close_matches(lowered, known, n=1)
    return known[matches[0]] if matches else None


def is_number(value: Any) -> bool:
    """Whether it is a whole number; Python's True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """What a value is, in plain words."""
    kinds = {bool: "true or false", str: "text", dict: "a table", list: "a list"}
    if type(value) in (int, float):
        return "a number"
    return kinds.get(type(value), "a date or time")


def toml(value: object) -> str:
    """`value` as TOML writes it: as JSON does, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def shown(value: str) -> str:
    """Text as messages show it."""
    return f"'{shortened(value)}'"
