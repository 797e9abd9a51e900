"""``blockpack pack``: symbolic links are kept, followed, left out or errors."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from cli.conftest import settle
from cli.packing import contents, paths, tree_of
from cli.running import FORMATS, Command


@pytest.fixture(name="linked")
def fixture_linked(source: Path, tmp_path: Path) -> Path:
    """The source with links: to a file, to a directory, and to a file outside."""
    (tmp_path / "outside").write_bytes(b"from outside")
    (source / "link").symlink_to("index.html")
    (source / "pages/up").symlink_to("../hollow")
    (source / "out").symlink_to("../outside")
    settle(source)
    return source


LINKS = {"link", "pages/up", "out"}


def test_kept_symlinks_are_links_in_tar(command: Command, linked: Path, tmp_path: Path) -> None:
    command("pack", linked, tmp_path / "x.tar")  # keep is the default
    with blockpack.open_image(tmp_path / "x.tar") as image:
        found = {entry.path: entry.target for entry in image.walk() if entry.kind == "symlink"}
    assert found == {"link": "index.html", "pages/up": "../hollow", "out": "../outside"}


@pytest.mark.parametrize("form", FORMATS)
def test_followed_symlinks_are_what_they_lead_to(
    command: Command, linked: Path, tmp_path: Path, form: str
) -> None:
    options = ("--format", form, "--symlinks", "follow")
    command("pack", linked, tmp_path / "image", *options)
    found = contents(tmp_path / "image")
    assert found["link"] == b"<h1>hello</h1>\n"
    assert found["out"] == b"from outside"
    assert found["pages/up"] is None


@pytest.mark.parametrize("form", FORMATS)
def test_skipped_symlinks_are_left_out(
    command: Command, linked: Path, tmp_path: Path, form: str
) -> None:
    options = ("--format", form, "--symlinks", "skip")
    command("pack", linked, tmp_path / "image", *options)
    assert set(paths(tmp_path / "image")) == set(tree_of(linked)) - LINKS


@pytest.mark.parametrize(("form", "option"), [("tar", "error"), ("fat", "error"), ("fat", "keep")])
def test_symlinks_that_cannot_be_are_all_named(
    command: Command, linked: Path, tmp_path: Path, form: str, option: str
) -> None:
    options = ("--format", form, "--symlinks", option)
    result = command("pack", linked, tmp_path / "image", *options, code=3)
    named = {message.strip().partition(":")[0] for message in result.messages[1:]}
    assert named == LINKS
    assert all("symbolic link" in message for message in result.messages[1:])
    assert not (tmp_path / "image").exists()


def test_a_link_that_leads_nowhere_or_in_a_circle_is_named_when_followed(
    command: Command, source: Path, tmp_path: Path
) -> None:
    (source / "nowhere").symlink_to("missing")
    (source / "pages/circle").symlink_to("..")
    result = command("pack", source, tmp_path / "x.tar", "--symlinks", "follow", code=4)
    assert any("nowhere: is a link that leads nowhere" in line for line in result.messages)
    assert any("pages/circle: is a link to a directory" in line for line in result.messages)
