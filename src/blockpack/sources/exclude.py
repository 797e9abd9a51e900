"""Patterns of what to leave out, as in a ``.gitignore``.

`pathspec` makes regular expressions of them. Those try all ways in which stars can share a name out
among them; a few stars and a long name have more ways than there is time for, and both may come
from somebody who knows that. So the expressions are `straightened` to try one way only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from .options import Excluded


def excluding(patterns: Iterable[str]) -> Excluded | None:
    """The test for ``.gitignore``-style `patterns`; the last one that is for a path decides.

    A pattern with a slash is anchored at the source, one that ends in a slash means
    directories, and ``!`` takes back an earlier pattern. Whoever asks goes from the top down, and
    not into what is left out; so only patterns for a path itself count (gitignore(5)).

    Raises `UsageError` for what is not a pattern.
    """
    lines = list(patterns)
    for line in lines:
        if not isinstance(line, str):
            raise UsageError("", f"invalid exclude pattern {line!r}", "give texts")
    if not lines:
        return None
    rules = list(_rules(lines))[::-1]

    def excluded(path: str, is_directory: bool) -> bool:
        for expression, leaves_out in rules:
            if _is_for(expression, path, is_directory):
                return leaves_out
        return False

    return excluded


def _is_for(expression: re.Pattern[str], path: str, is_directory: bool) -> bool:
    """Whether a pattern is for `path` itself, and not just for a directory above it.

    An expression of pathspec's matches both. It notes the slash after a directory in a group, which
    is the first one in the path if the pattern is for any directory.
    """
    found = expression.search(path)
    if found is not None and found.lastindex is None:
        return True
    end = len(path)
    for begin in (0, end) if is_directory else ():
        found = expression.search(f"{path}/", begin)
        if found is not None and found.lastindex and found.start(found.lastindex) == end:
            return True
    return False


def _rules(lines: Iterable[str]) -> Iterator[tuple[re.Pattern[str], bool]]:
    """The expression of each pattern, and whether it leaves out."""
    from pathspec import GitIgnoreSpec  # slow to import, and most trees need none of it

    kind = type(GitIgnoreSpec.from_lines(["any"]).patterns[0])  # releases differ in its name
    for line in lines:
        try:
            line = _MANY_STARS.sub(r"\1**", _BRACKETS.sub(_without_classes, line))
            line = _ANY_DIRECTORY.sub(r"\1**/*/", line)
            expression, leaves_out = kind.pattern_to_regex(line)
            if expression is not None and leaves_out is not None:
                # A name may hold a newline, and pathspec's dots are for any character.
                yield re.compile(straightened(expression), re.DOTALL), leaves_out
        except (ValueError, re.error) as error:
            rule = f"invalid exclude pattern {line!r}: {getattr(error, 'msg', error)}"
            raise UsageError("", rule, "write it as in a .gitignore") from None


_BRACKETS = re.compile(r"\\.|\[[!^]?\]?(?:\[:[a-z]*:\]|\\.|[^]\\])*\]", re.DOTALL)
"""What is escaped; or a bracket expression, in which there may be classes (wildmatch)."""

_MANY_STARS = re.compile(r"(^!?|/)\*{3,}(?=/|\s*$)")
"""Three stars and more, all of a name: git takes them for two (wildmatch), pathspec for one."""

_ANY_DIRECTORY = re.compile(r"(^!?|/)\*\*/(?=\s*$)")
"""Any directory below, for git; pathspec takes any file, too."""

_CLASSES = {
    "alnum": "A-Za-z0-9",
    "alpha": "A-Za-z",
    "blank": " \t",
    "digit": "0-9",
    "lower": "a-z",
    "space": " \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def _without_classes(brackets: re.Match[str]) -> str:
    """A bracket expression as pathspec understands it: it knows no classes. Raises `ValueError`.

    What is escaped stays so, but for spaces, which pathspec 0.11 takes off the end even then.
    """
    text = brackets[0]
    if text[1:].isspace():
        return f"[{text[1]}]"
    if text[0] == "[" and r"\-" in text:
        raise ValueError(f"{text!r} escapes a '-'; write it last in the brackets")
    if text[0] == "[" and "[:" in text:
        try:
            return re.sub(r"\[:([a-z]*):\]", lambda found: _CLASSES[found[1]], text)
        except KeyError as unknown:
            raise ValueError(f"the class {unknown} in {text!r} is not known") from None
    return text


# Expressions that try one way only ---------------------------------------------------------------

_STAR, _WHOLE, _ANY = "[^/]*", "[^/]+", "[^/]"
"""What pathspec makes of a star in a name, of one that is all of it, and of a question mark."""

_DEEP = {"(?:.+/)?": "(?:.+?/)??", "(?:/.+)?": "(?:/.+?)??"}
"""What it makes of ``**``, first and later on: any names. And the same, but as few as will do."""

_ONE = re.compile(r"\\.|\[\^?\]?[^\]]*\]|[^]\\[(){}.*+?^$|/]", re.DOTALL)
"""What stands for one character: an escaped one, a bracket expression, or itself."""

_NAME = re.compile(rf"(?:\[\^/\][*+]|{_ONE.pattern})+", re.DOTALL)


def straightened(expression: str) -> str:
    """An expression of pathspec's that matches the same, without trying what is no use.

    Between two stars a pattern has a fixed length. So where that fits first, most is left for what
    comes after it, and if that does not fit then, it never will. The same goes for the names
    between two ``**``. Only the last ``**`` is for all that it can be, the longest first: it tells
    whether a pattern matches a path itself, or a directory above it.
    """
    deep = "|".join(map(re.escape, _DEEP))
    begin, *others = re.split(f"({deep})", expression)
    found = _straight_names(begin)
    for at in range(0, len(others), 2):
        any_names, names = others[at], _straight_names(others[at + 1])
        is_last = at + 2 == len(others)
        found += any_names + names if is_last else f"(?>{_DEEP[any_names]}{names}(?=/))"
    return found


def _straight_names(expression: str) -> str:
    return _NAME.sub(lambda found: _straight_name(found[0]), expression)


def _straight_name(name: str) -> str:
    if name == _WHOLE:
        return f"{_WHOLE}+"
    begin, *others = (_ONE.sub(_in_name, part) for part in name.split(_STAR))
    if not others:
        return begin
    *middle, last = others
    fits = "".join(f"(?>{_STAR}?{part})" for part in middle if part)
    return begin + fits + (f"(?>{_STAR}?{last}(?=/|$))" if last else f"{_STAR}+")


def _in_name(one: re.Match[str]) -> str:
    """What stands for one character, which is no slash; git's bracket expressions have none."""
    return f"(?!/){one[0]}" if one[0][0] == "[" and one[0] != _ANY else one[0]
