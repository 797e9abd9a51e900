"""Examples do what the pages show.

Blocks marked ``console`` are run, and must print what they show; blocks marked ``python`` are run,
and print their lines that begin with ``#``. Both go page by page, in a directory with the site that
docs/getting-started.md makes; the pages of docs/ways begin with nothing. A block with a title is a
file of that name. Other blocks are not run.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from deploy.attach.builds import documented
from faults.mounts import loop_device
from judges.programs import require
from pages import DOCS, PAGES, ROOT, blocks, fenced, install_command, page_id, sections
from vm.machine import require_machine

READ = [*PAGES, ROOT / "README.md"]
"""The pages whose examples are run."""

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
    monkeypatch.setenv("PATH", str(ROOT / ".cache" / "solo5" / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    for name in ("SOURCE_DATE_EPOCH", "MAKEFLAGS", "MAKELEVEL"):  # of what runs the tests
        monkeypatch.delenv(name, raising=False)
    for name, value in COMMITTING.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command in a ``console`` block, with what it is said to print."""
    for command in re.split(r"^\$ ", block, flags=re.M)[1:]:
        line, _, output = command.partition("\n")
        yield line, output


Run = Callable[[str], str]
"""Runs a command, and gives what it prints."""


@pytest.fixture
def run_command(place: Path) -> Iterator[Run]:
    """Commands must succeed. What they leave in the background (``&``) ends with the test."""
    sessions = []

    def run(line: str) -> str:
        with (place.parent / "printed").open("w+") as printed:
            process = subprocess.Popen(
                ["sh", "-c", line],
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            sessions.append(process.pid)
            code = process.wait(timeout=60)
            if line.endswith("&"):
                wait_for_socket(place)
            printed.seek(0)
            text = printed.read()
        assert code == 0, f"{line}: {text}"
        return text.replace(str(place), SITE)

    yield run
    for session in sessions:
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)
    if (place / "card").exists():  # a test that failed left its loop device
        subprocess.run("losetup -nO NAME -j card | xargs -r losetup -d", shell=True, cwd=place)


def wait_for_socket(place: Path) -> None:
    for _ in range(400):
        if any(file.is_socket() for file in place.iterdir()):
            return
        time.sleep(0.05)
    raise AssertionError("nothing is served")


def steady(output: str) -> str:
    """`output` without what differs between runs and file systems."""
    output = re.sub(r" in \d+\.\d\d s(, [\d.]+ \w+ cloned)?$", " in … s", output, flags=re.M)
    output = re.sub(r'"seconds": [\d.e-]+', '"seconds": 0.01', output)
    output = re.sub(r"live since \S+Z$", "live since 2026-01-01T00:00:00Z", output, flags=re.M)
    output = re.sub(r"/dev/loop\d+", "/dev/loop0", output)
    output = re.sub(r"ssh-ed25519 \S+", "ssh-ed25519 …", output)
    output = re.sub(r"is on \w+, which is not a RAM", "is on ext4, which is not a RAM", output)
    output = re.sub(r"all take \S+ \w+ on", "all take 176.0 KiB on", output)
    output = re.sub(r" +$", "", output, flags=re.M)  # git ends what a hook prints with spaces
    # Where the file system clones, what is not cloned is copied.
    return re.sub(
        r'"copied": (\d+),(\s+)"cloned": (\d+)',
        lambda found: f'"copied": {int(found[1]) + int(found[3])},{found[2]}"cloned": 0',
        output,
    )


def make_site(run_command: Run) -> None:
    """The site that all examples use."""
    for block in blocks(sections(DOCS / "getting-started.md")["A site"], "console"):
        for line, output in commands(block):
            assert run_command(line) == output


def stand_in(place: Path, name: str, command: str) -> None:
    """Have a program called `name` that is `command`."""
    program = place.parent / "bin" / name
    program.write_text(f"#!/bin/sh\nexec {command}\n")
    program.chmod(0o755)


def prepare(page: Path, place: Path) -> None:
    """Have at hand what a page says that its reader has."""
    (place / "examples").symlink_to(ROOT / "examples")
    match page.name:
        case "unikernel.md":
            require("solo5-spt")
        case "machines.md":
            (place / "kernel").symlink_to(require_machine().kernel)
            require("cpio")
        case "boards.md":
            with loop_device(place.parent / "probe", 1 << 20):
                pass  # or the test is skipped
            stand_in(place, "sudo", '"$@"')
        case "serve.md":
            require("nbdcopy")
        case "script.md":
            stand_in(place, "python3", f"'{sys.executable}' \"$@\"")
            require("nbdcopy")
        case "build.md":
            require("make")
            require("nbdcopy")


@pytest.mark.parametrize(
    "page", [page for page in READ if "```console" in page.read_text("utf-8")], ids=page_id
)
def test_commands_print_what_is_shown(page: Path, place: Path, run_command: Run) -> None:
    if page.parent.name != "ways" and page.name not in {"getting-started.md", "README.md"}:
        make_site(run_command)
    if page.parent.name == "deploy":
        documented(place)
    prepare(page, place)
    for block in fenced(page.read_text("utf-8")):
        if block.title:
            file = place / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, "utf-8")
        elif block.language == "console":
            for line, output in commands(block.text):
                assert steady(run_command(line)) == steady(output), line


@pytest.mark.parametrize(
    "page", [page for page in READ if "```python\n" in page.read_text("utf-8")], ids=page_id
)
def test_python_runs_and_prints_what_is_shown(page: Path, place: Path, run_command: Run) -> None:
    make_site(run_command)
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
    """The blocks of a page follow one another, so they are one program. What is ours is checked
    when all is, and only looked up here.
    """
    programs = []
    for page in READ:
        found = blocks(page.read_text("utf-8"), "python")
        if found:
            program = tmp_path / f"{page.stem.replace('-', '_')}.py"
            program.write_text("\n".join(["# mypy: allow-untyped-defs", *found]), "utf-8")
            programs.append(program)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *programs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout
