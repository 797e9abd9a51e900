"""A manifest's text as a document, its values by type, their lines, and the problems found."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from attrs import frozen

from ...errors import ManifestError, Problems, UsageError, printable, problems, raise_problems
from ...planning.options import parse_size
from ..file_names import MOST_BYTES
from .line_numbers import Lines, Path

MOST_PROBLEMS = 200
"""Problems that are reported at most: nobody reads more, and each takes time."""

HUGE = 1 << 64
"""More than any size; larger numbers may have too many digits to be shown."""

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN = 60


class Document:
    """A manifest, or another file of that kind (`noun`), whose values are below its `top`. Problems
    are collected; `finish` raises them. Raises `Problems` for a text that is too large, not UTF-8,
    or no TOML.
    """

    def __init__(self, text: str | bytes, file: str, noun: str = "manifest") -> None:
        self.file = file
        self.noun = noun
        self._problems: list[ManifestError] = []
        self._left_out = 0
        self._refused = f"{printable(file)} is not a valid {noun}"
        decoded = self._decoded(text)
        try:
            self._lines = Lines(decoded)
        except ManifestError as error:
            raise self._refusal(error.line, error.rule, error.remedy) from None
        try:
            self.top = Node(self, (), tomllib.loads(decoded))
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
            message = f"{len(self._problems) + self._left_out:,} problems: {self._refused}"
            raise Problems(message, found)
        raise_problems(self._refused, found)

    def meant(
        self, name: str, known: Iterable[str], spellings: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """The remedy for a name that is none of the `known`, if one of them, or of other spellings,
        is near; what is not reported any more costs no search.
        """
        if len(self._problems) >= MOST_PROBLEMS:
            return ""
        near = nearest(name, [*known, *spellings])
        return f"did you mean '{spellings.get(near, near)}'?" if near else ""

    # What is no document at all

    def _decoded(self, text: str | bytes) -> str:
        size = len(text)
        if size > MOST_BYTES:
            rule = f"a {self.noun} has no more than {MOST_BYTES:,} bytes"
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


@frozen(eq=False)
class Node:
    """A value of a document, None if it is not there, and its path. What asks for a type notes a
    value of another one as a problem, and gives None or nothing.
    """

    document: Document
    path: Path
    value: Any

    @property
    def name(self) -> str:
        """Its key."""
        return str(self.path[-1])

    def __getitem__(self, key: str) -> Node:
        return Node(self.document, (*self.path, key), self.value.get(key))

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def complain(self, rule: str, remedy: str = "") -> None:
        """Note that this breaks `rule`."""
        self.document.complain(self.path, rule, remedy)

    def require_known(
        self, known: tuple[str, ...], spellings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Note the keys of a table that are none of `known`, and which is nearest; `spellings` has
        other names of known keys.
        """
        for key in self.value:
            if key not in known:
                remedy = self.document.meant(key, known, spellings) or "remove it"
                self[key].complain("unknown key", remedy)

    def table(self, remedy: str) -> Node | None:
        """This, if it is a table and not empty; `remedy` is for one that is empty or missing."""
        if self.value is None or self.value == {}:
            self.complain("is missing" if self.value is None else "is empty", remedy)
            return None
        if isinstance(self.value, dict):
            return self
        self.complain(f"is a table, not {kind(self.value)}", remedy)
        return None

    def text(self, remedy: str = "") -> str | None:
        """Text; `remedy` is for what is not there."""
        if isinstance(self.value, str):
            return self.value
        if self.value is None:
            self.complain("is missing", remedy)
        else:
            self.complain(f"is text, not {kind(self.value)}", "put it in quotes")
        return None

    @property
    def items(self) -> list[Node]:
        """The elements of the list that this is."""
        return [Node(self.document, (*self.path, n), item) for n, item in enumerate(self.value)]

    def _listed(self, what: str, most: int) -> list[Node]:
        """The elements of a list of at most that many; none if there is no list."""
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            is_one = what == "texts" and isinstance(self.value, str)
            remedy = f"write [{shown(self.value)}]" if is_one else ""
            self.complain(f"is a list of {what}, not {kind(self.value)}", remedy)
            return []
        if len(self.value) > most:
            self.complain(f"{len(self.value):,} are more than the {most:,} that are allowed")
            return []
        return self.items

    def texts(self, most: int) -> list[tuple[Node, str]]:
        """The elements that are text."""
        found = [(item, item.text()) for item in self._listed("texts", most)]
        return [(item, text) for item, text in found if text is not None]

    def tables(self, most: int) -> list[Node]:
        """The elements that are tables."""
        found = self._listed("tables", most)
        for item in found:
            if not isinstance(item.value, dict):
                item.complain(f"is a table, not {kind(item.value)}")
        return [item for item in found if isinstance(item.value, dict)]

    def flag(self) -> bool:
        """True or false; false if it is not there."""
        if isinstance(self.value, bool) or self.value is None:
            return bool(self.value)
        self.complain(f"is true or false, not {kind(self.value)}")
        return False

    def size(self) -> int | None:
        """A size, in bytes."""
        value = self.value
        if isinstance(value, str):
            try:
                value = parse_size(value)
            except UsageError:
                self.complain(f'{shown(value)} is not a size, such as 4096, "64K", "16M" or "2G"')
                return None
        if not is_number(value):
            self.complain(f'is a size, such as 4096 or "16M", not {kind(value)}')
            return None
        if not -HUGE < int(value) < HUGE:
            self.complain("is too large for any system")
            return None
        return int(value)

    def not_one_of(self, known: tuple[str, ...]) -> None:
        """Note that it is none of `known`, and which of them it may stand for."""
        remedy = self.document.meant(self.value, known) if isinstance(self.value, str) else ""
        self.complain(f"is one of {', '.join(known)}; not {told(self.value)}", remedy)


def dotted(path: Path) -> str:
    """`path` as a dotted key, shortened where its parts are long."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            key = shortened(part) if _BARE_KEY.fullmatch(part) else f'"{shortened(part)}"'
            shown += f".{key}" if shown else key
    return shown


def shortened(text: str, most: int = _LONGEST_SHOWN) -> str:
    """`text` fit to be part of a message: of no more than so many characters, all printable."""
    return printable(text if len(text) <= most else f"{text[:most]}…")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Which of the `known` names is meant by `name`, if one is near."""
    if len(name) > _LONGEST_SHOWN:
        return None
    from difflib import get_close_matches

    return next(iter(get_close_matches(name.lower(), known, n=1)), None)


def is_number(value: Any) -> bool:
    """Whether it is a whole number; Python's True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def kind(value: Any) -> str:
    """What a value is, in plain words."""
    kinds = {bool: "true or false", str: "text", dict: "a table", list: "a list"}
    if is_number(value):
        return "a number"
    return "a fraction" if isinstance(value, float) else kinds.get(type(value), "a date or time")


def told(value: Any) -> str:
    """A value, if it is a text or a number that can be shown; else what it is."""
    if isinstance(value, str):
        return shown(value)
    return str(value) if is_number(value) and -HUGE < value < HUGE else kind(value)


def toml(value: object) -> str:
    """`value` as TOML writes it: as JSON does, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def shown(value: str) -> str:
    """Text as messages show it."""
    return f"'{shortened(value)}'"
