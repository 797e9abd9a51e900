"""A git that fails as it is told to, and what it leaves behind in the process that it works for."""

from __future__ import annotations

import gc
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

GIT = shutil.which("git") or "git"

WRAPPER = """#!/bin/sh
for word; do
    if [ "$word" = --batch ] && [ -n "$FAULT" ]; then
        . "$FAULT"
    fi
done
exec {git} "$@"
"""
"""A git on PATH that runs the shell text in the file $FAULT in place of its long-lived process."""


class Faulty:
    """A git that fails as it is told to, from then on."""

    def __init__(self, place: Path, patch: pytest.MonkeyPatch) -> None:
        self._place = place
        self._patch = patch
        place.mkdir()
        (place / "git").write_text(WRAPPER.format(git=GIT))
        (place / "git").chmod(0o755)
        patch.setenv("PATH", str(place), prepend=os.pathsep)

    def set(self, fault: str) -> None:
        (self._place / "fault").write_text(fault.replace("GIT", GIT))
        self._patch.setenv("FAULT", str(self._place / "fault"))


def descriptors() -> set[str]:
    gc.collect()  # what earlier tests left behind in cycles is not what this one is about
    return set(os.listdir("/proc/self/fd"))


def held() -> set[str]:
    """What this process has open."""
    found = set()
    for descriptor in descriptors():
        with suppress(FileNotFoundError):  # the one that listed them
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


def no_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False
