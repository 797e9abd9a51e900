"""Man pages and completion scripts are those of the parser, and readers of man pages take them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.running import environment
from judges.programs import run_silent
from pages import ROOT

PLACES = ("man", "src/blockpack/cli/completions")
PAGES = sorted((ROOT / "man").iterdir())


def test_they_are_what_the_parser_gives(tmp_path: Path) -> None:
    script = ROOT / "scripts/reference.py"
    subprocess.run([sys.executable, script, tmp_path], env=environment(), check=True)
    for place in PLACES:
        kept, made = (
            {path.name: path.read_text("utf-8") for path in (root / place).iterdir()}
            for root in (ROOT, tmp_path)
        )
        assert kept == made, "run 'make reference'"


@pytest.mark.parametrize("reader", ["mandoc -T lint -W warning", "groff -ww -man -Tutf8 -z"])
def test_readers_of_man_pages_have_nothing_to_say(reader: str) -> None:
    program, *options = reader.split()
    assert run_silent(program, [*options, *PAGES]) == b""


def test_man_shows_a_page() -> None:
    shown = run_silent("man", ["-l", ROOT / "man/blockpack-pack.1"]).decode()
    assert "blockpack-pack - pack a tree into an image" in shown
