"""Each key and element of a TOML document is found on its line, however oddly it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockpack.deploy.manifest import line_numbers
from blockpack.deploy.manifest.line_numbers import MOST_LEVELS, Lines, Path
from blockpack.errors import ManifestError
from hostile.ordeal import in_time

SCALARS = (
    "1",
    "0x1F",
    "1_000.5e-3",
    "true",
    "inf",
    "1979-05-27 07:32:00Z",
    "1979-05-27T07:32:00.999-07:00",
    "07:32:00",
    '""',
    '"[fake]"',
    r'"a \"quoted\" # no = comment \\"',
    "'C:\\dir\\'",
    "'''\n[fake]\nkey = 1\n'''",
    '"""\n[fake]\nkey = """""',
    '"""a ""quoted"" \\""" end"""',
    '"""\n\n\\\n   folded"""',
    "''''two''quotes'''''",
    '"ü🎉\\u00e9"',
)
KEYS = (
    "key",
    "key-1_X",
    "1979",
    '"quoted"',
    '"a.b"',
    '"# = [x]"',
    r'"tab\t\"quote\" \u00e9 \\"',
    '""',
    "'lit\\eral'",
    "'a \" b'",
)
GAPS = ("", " ", "\n", "\n\n", "# ] } , \"\"\" '''\n", "\n  # comment\n\t", "\r\n")
ENDS = ("\n", "\r\n", ' # [no] = "header\n', "\n\n", "\n# x = 1\n\n", "   \n")


class Writer:
    """A document in the making, and the line of all that is in it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.expected: dict[Path, int] = {}
        self.number = 0
        self.elements = 0  # of the one array of tables

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def choose(self, *choices: str) -> None:
        self.text += self.draw(st.sampled_from(choices))

    def key(self) -> str:
        """Write a key that is not used yet; what it stands for."""
        self.number += 1
        written = self.draw(st.sampled_from(KEYS))
        number = f"n{self.number}"
        # within its quotes, if any
        written = (
            f"{written[:-1]}{number}{written[-1]}" if written[-1] in "\"'" else written + number
        )
        self.text += written
        (found,) = tomllib.loads(f"{written} = 1")
        return found

    def value(self, path: Path, depth: int) -> None:
        kind = self.draw(st.sampled_from(("scalar", "scalar", "array", "table")))
        if kind == "scalar" or not depth:
            self.choose(*SCALARS)
        elif kind == "array":
            self.array(path, depth)
        else:
            self.inline_table(path, depth)

    def array(self, path: Path, depth: int) -> None:
        self.text += "["
        count = self.draw(st.integers(0, 3))
        for number in range(count):
            self.choose(*GAPS)
            self.expected[*path, number] = self.line
            self.value((*path, number), depth - 1)
            self.choose(*GAPS)
            if number + 1 < count or self.draw(st.booleans()):
                self.text += ","
        self.choose(*GAPS)
        self.text += "]"

    def inline_table(self, path: Path, depth: int) -> None:
        self.text += "{"
        count = self.draw(st.integers(0, 3))
        for number in range(count):
            self.choose("", " ", "\t")
            self.pair(path, depth - 1)
            self.choose("", " ")
            self.text += "," if number + 1 < count else ""
        self.text += "}"

    def pair(self, path: Path, depth: int) -> None:
        line = self.line
        for part in range(self.draw(st.integers(1, 3))):
            if part:
                self.choose(".", " . ", "\t.")
            path = (*path, self.key())
            self.expected[path] = line
        self.choose("=", " = ", "\t=")
        self.value(path, depth)

    def header(self) -> Path:
        """Open a table, one more element of the array of tables, or a table in its last one."""
        line = self.line
        kind = self.draw(st.sampled_from(("table", "element", "below")))
        if kind == "element":
            self.text += "[[ array\t]]"
            self.expected.setdefault(("array",), line)
            path: Path = ("array", self.elements)
            self.elements += 1
        else:
            self.text += "["
            path = ()
            if kind == "below" and self.elements:
                self.text += "array . "
                path = ("array", self.elements - 1)
            path = (*path, self.key())
            if self.draw(st.booleans()):
                self.expected[path] = line
                self.choose(".", " .\t")
                path = (*path, self.key())
            self.text += "]"
        self.expected[path] = line
        self.choose(*ENDS)
        return path


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[Path, int]]:
    """A TOML document, and the line of each key and element."""
    writer = Writer(draw)
    table: Path = ()
    writer.choose("", *ENDS)
    for _ in range(draw(st.integers(0, 8))):
        writer.choose("", "  ", "\t")
        if draw(st.booleans()):
            table = writer.header()
        else:
            writer.pair(table, 3)
            writer.choose(*ENDS)
    return writer.text, writer.expected


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of everything in a parsed document."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@given(documents())
def test_everything_is_found_on_its_line(document: tuple[str, dict[Path, int]]) -> None:
    text, expected = document
    assert set(paths(tomllib.loads(text))) == set(expected), "the test's own writer"
    assert Lines(text).known == expected


TOKENS = (
    *("[", "]", "[[", "]]", "{", "}", "=", ",", ".", "#", "\\"),
    *("\n", "\r\n", " ", "\0", "\\\n", '"', "'", '"""', "'''"),
    *("a", "b", "1", "true", "é", "\\u00e9"),
)


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join) | st.text())
def test_nothing_makes_it_fail(text: str) -> None:
    known = Lines(text).known
    assert all(1 <= line <= text.count("\n") + 1 for line in known.values())
    try:
        values = tomllib.loads(text)
    except ValueError:
        return
    assert set(known) == set(paths(values))


def test_a_table_is_where_its_own_header_is() -> None:
    lines = Lines("[a.b]\nx = 1\n[a]\ny = 1\n")
    assert lines.known == {
        ("a",): 3,
        ("a", "b"): 1,
        ("a", "b", "x"): 2,
        ("a", "y"): 4,
    }


def test_what_is_not_there_is_where_its_table_is() -> None:
    lines = Lines("\n[a]\n\nb = [1,\n2]\n")
    assert lines.line(("a", "c", "d")) == 2
    assert lines.line(("a", "b", 7)) == 4
    assert lines.line(("a", "b", 1)) == 5
    assert lines.line(("z",)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 100_000,
        "x = " + "{a=" * 100_000,
        "a." * 100_000 + "a = 1",
        "[" + "a." * 100_000 + "a]",
        "[[" + "a ." * 100_000 + "a]]",
    ],
    ids=["arrays", "inline tables", "dotted key", "table", "array of tables"],
)
def test_deep_nesting_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Lines(f"# first\n{text}\n")
    assert caught.value.line == 2


def test_nesting_has_one_limit_however_it_is_written() -> None:
    deepest = ".".join("a" * (MOST_LEVELS - 1)) + " = [1]"
    assert Lines(deepest).line(("a",) * (MOST_LEVELS - 1)) == 1
    for deeper in (f"b.{deepest}", f"[b]\n{deepest}", deepest.replace("[1]", "[[1]]")):
        with pytest.raises(ManifestError):
            Lines(deeper)


def test_items_have_a_limit_and_it_tells_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a lower one, for the real one takes seconds."""
    assert line_numbers.MOST_ITEMS <= 100_000
    monkeypatch.setattr(line_numbers, "MOST_ITEMS", 1000)
    most = "\n".join(f"k{number} = 1" for number in range(1000))
    assert len(Lines(most).known) == 1000
    with pytest.raises(ManifestError) as caught:
        Lines(f"{most}\nlast = 1\n")
    assert caught.value.line == 1001


@pytest.mark.parametrize(
    "text",
    (
        *('"', '"""', "'''", "x = " + '"' * 500_000, '"' + "\\" * 900_000),
        *("x = '''" + "''" * 400_000, "\\" * 900_000, "#" * 900_000),
        *("[a]\n" * 30_000, "[[a]]\n" * 30_000, "x = [" + "1," * 120_000 + "]"),
    ),
    ids=range(11),
)
def test_time_is_linear(text: str) -> None:
    with in_time(), suppress(ManifestError):
        Lines(text)
