"""On which line each key and element of a TOML document is.

`tomllib` gives values without their places. This goes over the same tokens, understands no more of
them than where keys and values begin and end, and notes the line of each. It judges nothing: at
what is no TOML it stops, for `tomllib` to say why. Only how much there is has limits here, far
above what a manifest has use for, before `tomllib` takes time that grows with the square of a
key's parts, or runs out of stack.

Every step moves on through the text, so the time is linear in its length.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

Path = tuple[str | int, ...]
"""Keys, and the numbers of elements of arrays, that lead to a value."""

MOST_LEVELS = 32
"""Keys and elements that lead to a value, at most."""

MOST_ITEMS = 100_000
"""Keys and elements in a document, at most."""

_TOKEN = re.compile(
    # Three quotes begin what goes over several lines, and may hold two of them anywhere.
    r'(?P<string>"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*+"{3,5}|"(?!"")(?:[^"\\\n]|\\.)*+"'
    r"|'''(?:[^']|'{1,2}(?!'))*+'{3,5}|'(?!'')[^'\n]*+')"
    r"|(?P<mark>[\[\]{}=.,\n])|(?P<bare>[^\s\[\]{}=.,#\"']++)|[ \t\r]++|#[^\n]*+|(?P<wrong>.)"
)


class TooMuch(Exception):
    """There is more in the document than it may hold; `line` is where, `rule` what is broken."""

    def __init__(self, line: int, rule: str) -> None:
        super().__init__(line, rule)
        self.line = line
        self.rule = rule


class _Stop(Exception):
    """What is here is no TOML, or the end."""


class _Token(NamedTuple):
    """A mark is its own kind; strings and whatever else has no quotes are ``string``, ``bare``."""

    kind: str
    text: str
    line: int


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens but blanks and comments, up to what is none; at the end, one more line ends."""
    line = 1
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup, match[0]
        if kind == "wrong":
            return
        if kind is not None:
            yield _Token(found if kind == "mark" else kind, found, line)
        line += found.count("\n")
    yield _Token("\n", "", line)


class Lines:
    """The line of each key and element of the document `text`, as far as it is TOML; the first line
    is 1. Raises `TooMuch`.
    """

    def __init__(self, text: str) -> None:
        self.known: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  # of arrays of tables: how many there are
        self._tokens = _tokens(text)
        try:
            self._advance()
            self._document()
        except _Stop:
            pass

    def line(self, path: Path) -> int:
        """The line of `path`, or of what holds it if there is no such thing."""
        above = (path[:length] for length in range(len(path), 0, -1))
        return next((self.known[each] for each in above if each in self.known), 1)

    # What a document is made of ----------------------------------------------------------------

    def _document(self) -> None:
        table: Path = ()
        while True:
            if self._next.kind == "[":
                table = self._header()
            elif self._next.kind != "\n":
                self._pair(table)
            self._take("\n")

    def _header(self) -> Path:
        """The table that a header opens, which may be one more element of an array."""
        line = self._take("[").line
        is_array = self._passed("[")
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
        self.known[path] = line
        if is_array:
            self._take("]")
        self._take("]")
        return path

    def _pair(self, table: Path) -> None:
        """A key and its value."""
        line, path = self._next.line, table
        for key in self._key():
            path = (*path, key)
            self._note(path, line)
        self._take("=")
        self._value(path)

    def _key(self) -> list[str]:
        """The parts of a key."""
        parts = [self._part()]
        while self._passed("."):
            parts.append(self._part())
            if len(parts) > MOST_LEVELS:
                raise self._too_deep()
        return parts

    def _part(self) -> str:
        if self._next.kind == "bare":
            return self._take("bare").text
        quoted = self._take("string").text
        return quoted[1:-1] if quoted[0] == "'" or "\\" not in quoted else _unescaped(quoted)

    def _value(self, path: Path) -> None:
        if self._passed("["):
            self._items(path, "]")
        elif self._passed("{"):
            self._items(path, "}")
        elif not self._passed("string"):
            while self._passed("bare") or self._passed("."):  # numbers and times have several
                pass

    def _items(self, path: Path, end: str) -> None:
        """Elements of an array, or the pairs of an inline table, up to the bracket at the `end`.

        TOML 1.0 has such a table on one line; 1.1 does not. What is allowed is not for us to say.
        """
        number = 0
        self._pass_lines()
        while not self._passed(end):
            if end == "}":
                self._pair(path)
            else:
                self._note((*path, number), self._next.line)
                self._value((*path, number))
            self._pass_lines()
            if self._next.kind != end:
                self._take(",")
                self._pass_lines()
            number += 1

    def _note(self, path: Path, line: int) -> None:
        if len(path) > MOST_LEVELS:
            raise self._too_deep()
        self.known.setdefault(path, line)
        if len(self.known) > MOST_ITEMS:
            raise TooMuch(line, f"there are more than {MOST_ITEMS:,} keys and elements")

    def _too_deep(self) -> TooMuch:
        rule = f"there are more than {MOST_LEVELS} levels of keys and elements"
        return TooMuch(self._next.line, rule)

    # Going on through the tokens ---------------------------------------------------------------

    def _advance(self) -> None:
        token = next(self._tokens, None)
        if token is None:
            raise _Stop
        self._next = token

    def _take(self, kind: str) -> _Token:
        taken = self._next
        if taken.kind != kind:
            raise _Stop
        self._advance()
        return taken

    def _passed(self, kind: str) -> bool:
        """Whether the next token is of that kind, which then is passed."""
        return self._next.kind == kind and bool(self._take(kind))

    def _pass_lines(self) -> None:
        while self._passed("\n"):
            pass


def _unescaped(quoted: str) -> str:
    """What a basic string stands for."""
    try:
        found: str = tomllib.loads(f"key = {quoted}")["key"]
    except ValueError:
        raise _Stop from None
    return found
