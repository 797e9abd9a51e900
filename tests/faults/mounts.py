"""File systems and block devices of a test's own; they take root, and a kernel that has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from judges.programs import SYSTEM_PATHS, on_ci

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATHS))

_MAKE = {
    "btrfs": ("mkfs.btrfs", "-q"),
    "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1"),
    "ext4": ("mkfs.ext4", "-q"),
    "vfat": ("mkfs.vfat",),
}


class Refused(Exception):
    """A program failed; says how."""


def tool(name: str) -> str:
    """The path of a program. Where it is missing the test is skipped, or fails on CI."""
    found = shutil.which(name, path=_PATH)
    if found is not None:
        return found
    if on_ci():
        pytest.fail(f"{name} is not installed, which CI does not allow")
    pytest.skip(f"{name} is not installed")


def run(name: str, *arguments: str | Path) -> str:
    """Run a program; its output. Raises `Refused`."""
    done = subprocess.run(
        [tool(name), *arguments], capture_output=True, text=True, env={"PATH": _PATH, "LC_ALL": "C"}
    )
    if done.returncode:
        raise Refused(f"{name}: {done.stderr.strip()}")
    return done.stdout.strip()


def require_root() -> None:
    """Skip the test unless this is root."""
    if os.geteuid():
        pytest.skip("needs root, for devices and mounts")


def _not_here(error: Refused) -> NoReturn:
    pytest.skip(f"root may not do that here: {error}")


@contextmanager
def loop_device(backing: Path, size: int, *options: str) -> Iterator[Path]:
    """A block device of `size` bytes whose bytes are those of the file `backing`."""
    require_root()
    with open(backing, "ab") as file:
        file.truncate(size)
    try:
        device = Path(run("losetup", "--find", "--show", *options, backing))
    except Refused as error:
        _not_here(error)
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(*arguments: str | Path, at: Path) -> Iterator[Path]:
    """Mount as `mount` with `arguments` does, in a new directory `at`."""
    at.mkdir()
    try:
        run("mount", *arguments, at)
    except Refused as error:
        _not_here(error)
    try:
        yield at
    finally:
        _unmount(at)


@contextmanager
def file_system(kind: str, directory: Path, size: int) -> Iterator[Path]:
    """A new file system of `kind` and `size` bytes, mounted below `directory`."""
    require_root()
    point = directory / kind
    if kind == "tmpfs":
        with mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at=point) as mount:
            yield mount
        return
    with loop_device(directory / f"{kind}.img", size) as device:
        try:
            run(*_MAKE[kind], device)
        except Refused as error:
            _not_here(error)
        with mounted("-t", kind, device, at=point) as mount:
            yield mount


def _unmount(point: Path) -> None:
    for _ in range(50):
        try:
            run("umount", point)
            return
        except Refused:  # a process that was just killed may hold it a little longer
            time.sleep(0.1)
    run("umount", "--lazy", point)
