"""``map``: as wide as the terminal, colour for people alone, a page where it is asked for."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from cli.running import Command, environment, python

FORMATS = ("tar", "fat", "git", "erofs")


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("form", FORMATS)
def test_lines_fit_the_terminal(
    command: Command, source: Path, monkeypatch: pytest.MonkeyPatch, form: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    if form != "git":
        lines = command("map", source, "--format", form, "--size", "8M").lines
    else:
        (source / "video.bin").write_bytes(os.urandom(8 << 20))
        lines = command("map", source, "--format", form).lines
    assert max(map(len, lines)) <= width
    assert 16 < len(lines) < 26
    rows = [line[11:] for line in lines if line[10:11] == " " and line[:1] == " "]
    assert {len(row) for row in rows[:-1]} == {width - 11}
    assert {"c", "f"} & set("".join(rows))


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_and_its_plan_have_the_same_legend(
    command: Command, source: Path, tmp_path: Path, form: str
) -> None:
    image = tmp_path / "image"
    command("pack", source, image, "-q", "--format", form)
    found = [
        {
            line.split()[1]: line.split()[2]
            for line in command("map", *words).lines
            if line[:2] in ("# ", "f ", "c ", "- ")
        }
        for words in ([image], [source, "--format", form])
    ]
    assert found[0]["metadata"] and found[0].keys() <= found[1].keys()


def painted(source: Path, changes: dict[str, str]) -> str:
    """What is shown on a terminal."""
    leader, follower = pty.openpty()
    words = python("map", source, "--format", "tar")
    env = environment({"TERM": "xterm-256color", "NO_COLOR": None, **changes})
    with subprocess.Popen(words, env=env, stdout=follower) as process:
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 65536):
                shown += data
        except OSError:
            pass  # the terminal's other end is closed
    os.close(leader)
    assert process.returncode == 0
    return shown.decode()


def test_colour_is_for_terminals_alone(command: Command, source: Path) -> None:
    plain = command("map", source, "--format", "tar").out
    assert b"\033" not in plain
    assert "\033" not in painted(source, {"NO_COLOR": "1"})
    shown = painted(source, {"COLUMNS": "80"})
    assert "\033[0;" in shown
    assert re.sub("\033[^m]*m", "", shown).splitlines() == plain.decode().splitlines()


def test_two_are_compared(command: Command, source: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    command("pack", source, image, "-q", "--format", "fat")
    changed = bytearray(image.read_bytes())
    changed[-5000] ^= 1
    (tmp_path / "other").write_bytes(changed)
    lines = command("map", image, tmp_path / "other").lines
    assert lines[0].startswith("differences: ")
    assert any(re.match(r"! differs +512 B", line) for line in lines)
    text = command("map", image, image).lines
    assert not any(line.startswith("!") for line in text)


def test_a_page_is_written_and_nothing_printed(
    command: Command, source: Path, tmp_path: Path
) -> None:
    result = command("map", source, "--format", "git", "--html", tmp_path / "map.html")
    assert result.out == b""
    page = (tmp_path / "map.html").read_text("ascii")
    assert page.startswith("<!DOCTYPE html>") and "video.bin" in page


def test_a_source_needs_a_format(command: Command, source: Path) -> None:
    assert "--format" in command("map", source, code=2).err


def test_a_damaged_image_is_drawn_as_far_as_it_is_there(
    command: Command, source: Path, tmp_path: Path
) -> None:
    image = tmp_path / "image"
    command("pack", source, image, "-q", "--format", "fat")
    os.truncate(image, image.stat().st_size // 2)
    result = command("map", image)
    assert any(line.startswith("# metadata") for line in result.lines)
    (message,) = result.messages
    assert "cannot be read" in message
