"""What another user of the machine may do to files of ours, and what is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from blockpack import BlockpackError
from users import MALLORY, plant


def give(path: Path, owner: int) -> None:
    """Give all that is at a path to a user."""
    for each in (path, *path.rglob("*")):
        os.chown(each, owner, owner, follow_symlinks=False)


def refusal(work: Callable[[], object]) -> tuple[int, str]:
    """How the command would end, and the error; 0 if there is none."""
    try:
        work()
    except BlockpackError as error:
        return error.exit_code, str(error)
    return 0, ""


def dist(path: Path, owner: int, bits: int) -> Path:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(bits)
    return path


def facts(path: Path) -> list[object]:
    found = path.lstat()
    values: list[object] = [found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns]
    return [*values, os.readlink(path) if path.is_symlink() else found.st_ino]


def plant_all(kind: str, out: Path, planted: Iterable[str], target: Path) -> None:
    target.write_bytes(b"before")
    target.chmod(0o600)
    for name in planted:
        plant(kind, out / name, target)
        os.chown(out / name, MALLORY, MALLORY, follow_symlinks=False)
