"""On which line each key and element of a TOML document is.

`tomllib` gives values without their places. So it is given the same document once more, in which
the place of each value has been taken by the number of its line, and tables and arrays have theirs
as a first entry. To write that takes no more than to know keys from values. What is no TOML has no
lines: `tomllib` says why. How much there may be has limits here, far above what a manifest has use
for, before `tomllib` takes time that grows with the square of a key's parts, or runs out of stack.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from ...errors import ManifestError

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

_OWN = "\0"
_KEY = '"\\u0000"='
"""The key of a table's own line, and how TOML writes it."""


class Lines:
    """The line of each key and element of the document `text`, the first one being 1; of none if it
    is no TOML. Raises `ManifestError` if there is too much in it.
    """

    def __init__(self, text: str) -> None:
        self.known: dict[Path, int] = {}
        numbered = "".join(_numbered(text))
        try:
            values = tomllib.loads(numbered)
        except ValueError:
            return
        for path, line in _lines(values, ()):
            if len(path) > MOST_LEVELS:
                raise _too_much(line)
            self.known[path] = line
            if len(self.known) > MOST_ITEMS:
                raise _too_much(line, f"{MOST_ITEMS:,} keys and elements")

    def line(self, path: Path) -> int:
        """The line of `path`, or of what holds it if there is no such thing."""
        above = (path[:length] for length in range(len(path), 0, -1))
        return next((self.known[each] for each in above if each in self.known), 1)


def _numbered(text: str) -> Iterator[str]:
    """The document with the numbers of lines for values, in pieces.

    Its state is what the next token belongs to: the ``start`` of a line, a ``header`` of a table, a
    ``pair`` of an inline table, the ``key`` of either kind of pair, a ``value``, or its ``rest``.
    """
    state, line, begun, dots = "start", 1, 1, 0
    inside: list[str] = []  # brackets and braces that are open
    for match in _TOKEN.finditer(f"{text}\n"):
        kind, token = match.lastgroup, match[0]
        if kind == "wrong":  # to go on could take forever
            return
        if kind is None or (token == "\n" and inside):
            pass  # blanks, comments, and lines that end between brackets
        elif token == "\n":
            yield f"\n{_KEY}{begun}\n" if state == "header" else "\n"
            state = "start"
        elif state in ("start", "pair", "key", "header") and token != "}":
            if state in ("start", "pair"):
                yield "," if state == "pair" else ""
                begun, dots = line, 0
                state = "header" if state == "start" and token == "[" else "key"
            dots += token == "."
            if dots >= MOST_LEVELS:
                raise _too_much(line)
            yield token
            if state == "key" and token == "=":
                state = "value"
        elif token in ("[", "{"):
            inside.append(token)
            if len(inside) > MOST_LEVELS:
                raise _too_much(line)
            yield f"[{line}," if token == "[" else f"{{{_KEY}{line}"
            state = "value" if token == "[" else "pair"
        elif token in ("]", "}") and inside:
            inside.pop()
            yield token
            state = "rest"
        elif token == "," and inside:
            state = "value" if inside[-1] == "[" else "pair"
            yield token if state == "value" else ""
        elif state == "value":
            yield str(line)
            state = "rest"
        line += token.count("\n")


def _lines(values: Any, path: Path) -> Iterator[tuple[Path, int]]:
    """The line of all that is in a table or an array, by its path."""
    if isinstance(values, dict):
        items = [(key, value) for key, value in values.items() if key != _OWN]
    else:
        items = [*enumerate(values[isinstance(values[0], int) :])]
    for key, value in items:
        yield (*path, key), _own_line(value)
        if not isinstance(value, int):
            yield from _lines(value, (*path, key))


def _own_line(value: Any) -> Any:
    """The line of a value; that of a table without a header of its own is that of what is in it."""
    if isinstance(value, dict):
        return value[_OWN] if _OWN in value else _own_line(next(iter(value.values())))
    return value if isinstance(value, int) else _own_line(value[0])


def _too_much(line: int, what: str = f"{MOST_LEVELS} levels of keys and elements") -> ManifestError:
    return ManifestError("", line, "", f"there are more than {what}", "use fewer")
