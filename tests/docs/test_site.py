"""The site is built without a warning, and is whole in itself: pages, search, no other host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import blockpack
from blockpack import deploy
from pages import DOCS, PAGES, ROOT

ELSEWHERE = re.compile(r"\s*(https?:)?//", re.I)


class Loaded(HTMLParser):
    """The addresses that a browser asks for by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":  # asked for by the reader alone
            return
        self.found += [
            value or ""
            for name, value in attrs
            if name in ("src", "srcset", "href", "poster", "data", "action")
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; links and anchors that lead nowhere are warnings, and these are errors."""
    directory = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", directory],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return directory


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert loaded.found, page
        assert not [found for found in loaded.found if ELSEWHERE.match(found)], page
        # The theme would fetch the program for such diagrams.
        assert 'class="mermaid"' not in page.read_text("utf-8"), page
    for styled in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        asked = re.findall(
            r"url\(['\"]?([^)]*)|@import\s+['\"]([^'\"]*)", styled.read_text("utf-8")
        )
        assert not [each for each in asked if ELSEWHERE.match("".join(each))], styled


def test_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert found == {str(page.relative_to(DOCS).with_suffix(".html")) for page in PAGES}


def test_every_public_name_is_told_of_once(site: Path) -> None:
    public = {f"blockpack.{name}" for name in dir(blockpack) if name[0] != "_"}
    public |= {f"blockpack.deploy.{name}" for name in dir(deploy) if name[0] != "_"}
    asked = [
        name
        for page in sorted((DOCS / "reference").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.M)
    ]
    assert sorted(asked) == sorted(public)
    shown = "".join(page.read_text("utf-8") for page in (site / "reference").glob("*.html"))
    for name in public:
        assert f'id="{name}"' in shown, name
    for name, argument in (("TarVolume", "dialect"), ("Profile", "erofs")):
        signature = re.search(rf'id="blockpack.{name}".*?</code>', shown, re.S)
        assert signature and argument in signature[0], name  # which is made for the class
