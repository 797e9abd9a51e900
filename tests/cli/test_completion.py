"""Real shells complete what is typed at them, by the scripts that the command prints."""

from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from cli.running import TIMEOUT, Command, process
from judges.programs import require

START = {
    "bash": "bash --norc --noprofile -i",
    "zsh": "zsh --no-rcs -i",
    "fish": "fish --no-config --interactive",
}

LOAD = {
    "bash": "source ./_blockpack",
    "zsh": "fpath+=($PWD); autoload -Uz compinit; compinit -u -D",
    "fish": "source ./_blockpack",
}

TYPED = {
    "pa": ["pack"],
    "pack si": ["pack", "site"],
    r"cat my\ im": ["cat", "my image.tar"],
    "pack site x.tar --obj": ["pack", "site", "x.tar", "--object-format"],
    "pack site x.tar --format f": ["pack", "site", "x.tar", "--format", "fat"],
    "pack --profile ue": ["pack", "--profile", "uefi"],
    "pack site x.tar --format=f": ["pack", "site", "x.tar", "--format=fat"],
    "pack --format=fat --key-file=my": ["pack", "--format=fat", "--key-file=my image.tar"],
    "attach si": ["attach", "site"],
    "attach site --for fi": ["attach", "site", "--for", "firecracker"],
    "secrets re": ["secrets", "rekey"],
    "secrets edit a.age --identity my": ["secrets", "edit", "a.age", "--identity", "my image.tar"],
}
"""What is typed before Tab, and the arguments that then come to the command."""


class Terminal:
    """A terminal with a shell in it."""

    def __init__(self, command: str, place: Path) -> None:
        self._control, inner = pty.openpty()
        environment = {"PATH": f"{place}:{os.environ['PATH']}", "HOME": str(place), "TERM": "dumb"}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *shlex.split(command)],
            cwd=place,
            env={**environment, "LC_ALL": "C.UTF-8"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
        )
        os.close(inner)

    def type(self, text: str, until: str) -> str:
        """Type `text`; what the terminal shows up to `until`."""
        os.write(self._control, text.encode())
        seen, end = b"", time.monotonic() + TIMEOUT
        while until.encode() not in seen:
            ready, _, _ = select.select([self._control], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} gave {seen!r}"
            seen += os.read(self._control, 4096)
        return seen.decode()


@pytest.mark.parametrize("shell", START)
def test_shells_complete_commands_options_choices_and_paths(shell: str, tmp_path: Path) -> None:
    require(shell)
    (tmp_path / "_blockpack").write_bytes(process("completion", shell).out)
    (tmp_path / "site").mkdir()
    (tmp_path / "my image.tar").touch()
    program = tmp_path / "blockpack"
    program.write_text('#!/bin/sh\nprintf "got"\nprintf "<%s>" "$@"\necho "<end>"\n')
    program.chmod(0o755)
    terminal = Terminal(START[shell], tmp_path)
    try:
        terminal.type(f"{LOAD[shell]}\necho rea''dy\n", "ready")
        for typed, arguments in TYPED.items():
            shown = terminal.type(f"blockpack {typed}\t\r", "<end>")
            got = shown.rpartition("got<")[2].partition("><end>")[0].split("><")
            assert [each.rstrip("/") for each in got] == arguments, shown
    finally:
        terminal.process.kill()
        terminal.process.wait()


def test_only_known_shells(command: Command) -> None:
    assert command("completion", "tcsh", code=2).messages
