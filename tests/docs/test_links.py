"""Links lead somewhere, and what pages name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pages import DOCS, PAGES, ROOT, blocks, page_id, sections


def anchors(page: Path) -> set[str]:
    """What a link into `page` may lead to, as the site and GitHub name it."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in sections(page)
    }


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name}: {target}"
        if page.is_relative_to(DOCS):  # a site has no files outside
            assert linked.is_relative_to(DOCS), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    for name, test in re.findall(r"`((?:tests|src|docs|examples)/[\w/.-]+)(?:::(\w+))?`", text):
        path = ROOT / name
        assert path.exists(), f"{page.name}: {name}"
        if test:
            functions = re.findall(r"^def (\w+)\(", path.read_text("utf-8"), re.M)
            assert test in functions, f"{page.name}: {name}::{test}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_examples_say_where_their_site_comes_from(page: Path) -> None:
    """A reader may begin with any page."""
    text = page.read_text("utf-8")
    examples = "".join(blocks(text, "console"))
    made = page.parent.name == "ways" or page.name in {"getting-started.md", "index.md"}
    used = re.search(r"(?<![\w/])site(/|\s[^=])", examples) and not made
    assert not used or "getting-started.md#a-site" in text
