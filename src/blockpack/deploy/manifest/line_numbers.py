"""On which line each key and element of a TOML document is.

`tomllib` gives values without their places. This goes over the same text, understands no more of
it than where keys and values begin and end, and notes the line of each. It judges nothing: at
what is no TOML it stops, for `tomllib` to say why. Only how much there is has limits here, far
above what a manifest has use for, before `tomllib` takes time that grows with the square of a
key's parts, or runs out of stack.

Every step moves on through the text, so the time is linear in its length.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from re import Pattern

Path = tuple[str | int, ...]
"""Keys, and the numbers of elements of arrays, that lead to a value."""

MOST_LEVELS = 32
"""Keys and elements that lead to a value, at most."""

MOST_ITEMS = 100_000
"""Keys and elements in a document, at most."""

_BLANK = re.compile(r"[ \t]*+")
_GAP = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_REST = re.compile(r"[ \t]*+(?:#[^\n]*+)?+\r?(?:\n|\Z)")
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_STRINGS = (  # three quotes begin what goes over several lines, and may hold two of them anywhere
    ('"""', re.compile(r'"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}')),
    ("'''", re.compile(r"'''(?:[^']|'{1,2}(?!'))*+'{3,5}")),
    ('"', _BASIC),
    ("'", _LITERAL),
)
_SCALAR = re.compile(r"[^,\]}#\n]++")


class TooMuch(Exception):
    """There is more in the document than it may hold; `line` is where, `rule` what is broken."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(line, rule)
        self.line = line
        self.rule = rule


class Lines:
    """The line of each key and element, the first one being 1."""

    def __init__(self, known: Mapping[Path, int]) -> None:
        self.known = known

    @classmethod
    def of(cls, text: str) -> Lines:
        """The lines of the document `text`, as far as it is TOML. Raises `TooMuch`."""
        scan = _Scan(text)
        scan.run()
        return cls(scan.found)

    def line(self, path: Path) -> int:
        """The line of `path`, or of what holds it if there is no such thing."""
        for length in range(len(path), 0, -1):
            line = self.known.get(path[:length])
            if line is not None:
                return line
        return 1


class _Stop(Exception):
    """What is here is no TOML."""


class _Scan:
    """Goes once through the text; `position` is where it is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.found: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  # of arrays of tables: how many there are
        self._line = 1
        self._counted = 0  # up to where lines are counted

    def run(self) -> None:
        """Note the lines of all that is there."""
        table: Path = ()
        try:
            while True:
                self._skip(_GAP)
                if self.position >= len(self.text):
                    return
                if self._at("["):
                    table = self._header()
                else:
                    self._pair(table, _BLANK)
                self._take(_REST)
        except _Stop:
            return

    def _header(self) -> Path:
        """The table that a header opens, which may be one more element of an array."""
        is_array = self._at("[[")
        self.position += 2 if is_array else 1
        line = self.line
        self._skip(_BLANK)
        path: Path = ()
        keys = self._key()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self._note(path, line)
            if is_array and number == len(keys):
                self._elements[path] = self._elements.get(path, 0) + 1
            if path in self._elements:  # the table is in the array's last element
                path = (*path, self._elements[path] - 1)
                self._note(path, line)
        # The table's own header is its place, even if one below it came first.
        self.found[path] = line
        self._expect("]]" if is_array else "]")
        return path

    def _pair(self, table: Path, gap: Pattern[str]) -> None:
        """A key and its value. `gap` is what may lie between them."""
        line = self.line
        path = table
        for key in self._key():
            path = (*path, key)
            self._note(path, line)
        self._expect("=")
        self._skip(gap)
        self._value(path)

    def _key(self) -> list[str]:
        """The parts of a key, whose dots and blanks are passed."""
        parts: list[str] = []
        while True:
            parts.append(self._part())
            if len(parts) > MOST_LEVELS:
                raise self._too_deep()
            self._skip(_BLANK)
            if not self._at("."):
                return parts
            self.position += 1
            self._skip(_BLANK)

    def _part(self) -> str:
        if self._at('"'):
            return _unescaped(self._take(_BASIC))
        if self._at("'"):
            return self._take(_LITERAL)[1:-1]
        return self._take(_BARE)

    def _value(self, path: Path) -> None:
        if len(path) > MOST_LEVELS:
            raise self._too_deep()
        if self._at("["):
            self._array(path)
        elif self._at("{"):
            self._inline_table(path)
        else:
            for quotes, pattern in _STRINGS:
                if self._at(quotes):
                    self._take(pattern)
                    return
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self.position += 1
        number = 0
        self._skip(_GAP)
        while not self._at("]"):
            element = (*path, number)
            self._note(element, self.line)
            self._value(element)
            self._skip(_GAP)
            if not self._at("]"):
                self._expect(",")
                self._skip(_GAP)
            number += 1
        self.position += 1

    def _inline_table(self, path: Path) -> None:
        # TOML 1.0 has it on one line; 1.1 does not. What is allowed is not for us to say.
        self.position += 1
        self._skip(_GAP)
        while not self._at("}"):
            self._pair(path, _GAP)
            self._skip(_GAP)
            if not self._at("}"):
                self._expect(",")
                self._skip(_GAP)
        self.position += 1

    def _note(self, path: Path, line: int) -> None:
        if len(path) > MOST_LEVELS:
            raise self._too_deep()
        self.found.setdefault(path, line)
        if len(self.found) > MOST_ITEMS:
            raise TooMuch(line, f"there are more than {MOST_ITEMS:,} keys and elements")

    def _too_deep(self) -> TooMuch:
        return TooMuch(self.line, f"there are more than {MOST_LEVELS} levels of keys and elements")

    @property
    def line(self) -> int:
        """The line of `position`."""
        self._line += self.text.count("\n", self._counted, self.position)
        self._counted = self.position
        return self._line

    def _at(self, literal: str) -> bool:
        return self.text.startswith(literal, self.position)

    def _expect(self, literal: str) -> None:
        if not self._at(literal):
            raise _Stop
        self.position += len(literal)

    def _skip(self, pattern: Pattern[str]) -> None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()

    def _take(self, pattern: Pattern[str]) -> str:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise _Stop
        self.position = match.end()
        return match[0]


def _unescaped(quoted: str) -> str:
    """What a basic string stands for."""
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        found: str = tomllib.loads(f"key = {quoted}")["key"]
    except ValueError:
        raise _Stop from None
    return found
