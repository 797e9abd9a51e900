"""The pages of the documentation, taken apart."""

from __future__ import annotations

import os
import re
import sys
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

import pytest

import blockpack

ROOT = Path(__file__).parents[1]


DOCS = ROOT / "docs"


PAGES = sorted(DOCS.rglob("*.md"))


Table = list[list[str]]


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def sections(page: Path) -> dict[str, str]:
    """The text under each heading, up to the next one."""
    found: dict[str, str] = {}
    heading = ""
    fenced = False
    for line in page.read_text("utf-8").splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            heading = line.lstrip("#").strip().replace("`", "")
            assert heading not in found, f"{page}: two headings {heading!r}"
        found[heading] = found.get(heading, "") + line
    return found


def tables(text: str) -> list[Table]:
    """The tables in `text`, each with its first row, without the line below that."""
    found: list[Table] = []
    rows: Table = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip() for cell in cells])
        elif rows:
            found.append([rows[0], *rows[2:]])
            rows = []
    return found


def table_under(page: Path, heading: str, first: str) -> Table:
    """The rows of the table under `heading` whose first column is headed `first`."""
    (found,) = [table for table in tables(sections(page)[heading]) if table[0][0] == first]
    return found[1:]


class Block(NamedTuple):
    """A fenced block; one with a title is the file of that name."""

    language: str
    title: str
    text: str


def fenced(text: str) -> list[Block]:
    """The blocks of `text` that have a language, in order."""
    found = re.findall(r'^```(\w+)(?: title="([^"\n]*)")?\n(.*?)^```$', text, re.M | re.S)
    return list(starmap(Block, found))


def blocks(text: str, language: str) -> list[str]:
    """What is in the blocks of that language."""
    return [block.text for block in fenced(text) if block.language == language]


def code(cell: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", cell))


def install_command(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command ``blockpack`` at hand, in the new directory `programs`."""
    programs.mkdir()
    program = programs / "blockpack"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m blockpack \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(Path(blockpack.__file__).parents[1]))
