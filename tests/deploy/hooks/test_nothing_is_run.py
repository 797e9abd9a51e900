"""Nothing of the repository is run, and hooks are sound scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.pushing import BAD, HOOKS, REFUSED, Host
from judges.programs import on_ci
from repositories import EXECUTABLE, LINK


def test_nothing_that_is_pushed_is_run(deployed: Host, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {ran}\n".encode()
    config = f'[filter "x"]\n\tsmudge = touch {ran}\n\tclean = touch {ran}\n'.encode()
    names = (
        "hooks/post-receive",
        ".githooks/pre-receive",
        "site/deploy",
        "on-activate",
        "blockpack",
    )
    deployed.commit(
        {
            **dict.fromkeys(names, (EXECUTABLE, script)),
            "sitecustomize.py": f"open({str(ran)!r}, 'w')".encode(),
            "attrs.py": b"1/0",
            ".gitattributes": b"* filter=x diff=x\n",
            ".gitconfig": config,
            "config": config,
        }
    )
    assert deployed.push().code == 0
    assert deployed.live is not None and deployed.live.startswith("0002-")
    assert not ran.exists()


def test_links_out_of_the_tree_are_refused(deployed: Host) -> None:
    deployed.commit({"site/link": (LINK, b"../../../../etc/passwd")})
    with deployed.unchanged():
        assert REFUSED in deployed.push().told


def test_the_command_sees_nothing_of_git(deployed: Host) -> None:
    deployed.settings(on_activate="env >seen")
    deployed.commit({"site/new": b"new"})
    deployed.push()
    seen = (deployed.root / "seen").read_text().splitlines()
    assert any(line.startswith("BLOCKPACK_COMMIT=") for line in seen)
    names = {line.partition("=")[0] for line in seen}
    assert not names & {"GIT_DIR", "GIT_OBJECT_DIRECTORY", "GIT_QUARANTINE_PATH", "GIT_WORK_TREE"}


def test_nothing_is_left_in_temporary_directories(
    deployed: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for changes in ({"site/new": b"new"}, BAD):
        deployed.commit(changes)
        deployed.push(environment={"TMPDIR": str(scratch)})
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("name", ["pre-receive", "post-receive"])
def test_hooks_are_sound_scripts(name: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        reason = "shellcheck is not installed (Debian: apt install shellcheck)"
        (pytest.fail if on_ci() else pytest.skip)(reason)
    done = subprocess.run(
        [shellcheck, "--shell=sh", HOOKS / name], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert os.access(HOOKS / name, os.X_OK)
