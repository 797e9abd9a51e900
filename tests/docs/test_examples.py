"""Examples do what the pages show.

Blocks marked ``console`` are run, and must print what they show; blocks marked ``python`` are run,
and print their lines that begin with ``#``. Both go page by page, in a directory with the site that
docs/getting-started.md makes. Other blocks are not run.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from deploy.attach.builds import documented
from pages import DOCS, PAGES, ROOT, blocks, install_command, page_id, sections

SITE = "/home/you"  # where the pages show the examples to be run


COMMITTING = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_NAME": "You" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "you@example.org" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}
"""What has git make the same commits each time."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, with the command ``blockpack`` at hand."""
    install_command(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for name, value in COMMITTING.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command in the ``console`` blocks of `text`, with what it is said to print."""
    for block in blocks(text, "console"):
        for command in re.split(r"^\$ ", block, flags=re.M)[1:]:
            line, _, output = command.partition("\n")
            yield line, output


def run_command(line: str, place: Path) -> str:
    """What `line` prints; it must succeed."""
    process = subprocess.run(
        ["sh", "-c", line],
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, f"{line}: {process.stdout}"
    return process.stdout.replace(str(place), SITE)


def steady(output: str) -> str:
    """`output` without what differs between runs and file systems."""
    output = re.sub(r" in \d+\.\d\d s(, [\d.]+ \w+ cloned)?$", " in … s", output, flags=re.M)
    output = re.sub(r'"seconds": [\d.e-]+', '"seconds": 0.01', output)
    output = re.sub(r"live since \S+Z$", "live since 2026-01-01T00:00:00Z", output, flags=re.M)
    output = re.sub(r"all take \S+ \w+ on", "all take 176.0 KiB on", output)
    output = re.sub(r" +$", "", output, flags=re.M)  # git ends what a hook prints with spaces
    # Where the file system clones, what is not cloned is copied.
    return re.sub(
        r'"copied": (\d+),(\s+)"cloned": (\d+)',
        lambda found: f'"copied": {int(found[1]) + int(found[3])},{found[2]}"cloned": 0',
        output,
    )


def make_site(place: Path) -> None:
    """The site that all examples use."""
    for line, output in commands(sections(DOCS / "getting-started.md")["A site"]):
        assert run_command(line, place) == output


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```console" in page.read_text("utf-8")], ids=page_id
)
def test_commands_print_what_is_shown(page: Path, place: Path) -> None:
    if page.name != "getting-started.md":
        make_site(place)
    if page.parent.name == "deploy":
        documented(place)
        (place / "examples").symlink_to(ROOT / "examples")
    for line, output in commands(page.read_text("utf-8")):
        assert steady(run_command(line, place)) == steady(output), line


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "```python" in page.read_text("utf-8")], ids=page_id
)
def test_python_runs_and_prints_what_is_shown(page: Path, place: Path) -> None:
    make_site(place)
    if page.parent.name == "deploy":
        documented(place)
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(page.read_text("utf-8"), "python"), 1):
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block, f"{page.name}, block {number}", "exec"), names)
        told = re.findall(r"^# (.*\n)", block, re.M)
        if told:
            assert printed.getvalue() == "".join(told)


def test_type_checkers_accept_every_example(tmp_path: Path) -> None:
    """The blocks of a page follow one another, so they are one program."""
    programs = []
    for page in PAGES:
        found = blocks(page.read_text("utf-8"), "python")
        if found:
            program = tmp_path / f"{page.stem.replace('-', '_')}.py"
            program.write_text("\n".join(found), "utf-8")
            programs.append(program)
    command = [sys.executable, "-m", "mypy", "--config-file", os.devnull]
    paths = {"MYPYPATH": str(ROOT / "src"), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [*command, "--cache-dir", tmp_path / "cache", "--follow-imports", "silent", *programs],
        capture_output=True,
        text=True,
        env={**os.environ, **paths},
        check=False,
    )
    assert not done.returncode, done.stdout
