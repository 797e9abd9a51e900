"""A file system of its own, in a sparse file, for as long as a ``with`` block lasts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAKE = {"btrfs": ("mkfs.btrfs", "-q"), "xfs": ("mkfs.xfs", "-q", "-m", "reflink=1")}
UNMOUNT_TRIES = 50
UNMOUNT_PAUSE = 0.1


class CannotMount(Exception):
    """This machine or this user cannot mount it; says why."""


def lacking(kind: str) -> str | None:
    """Why `kind` cannot be mounted here, as far as can be told; None if it should work."""
    if os.geteuid():
        return "needs root, to mount a file system"
    for program in (MAKE[kind][0], "losetup", "filefrag"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


@contextmanager
def mounted(kind: str, directory: Path, size: int) -> Iterator[Path]:
    """Make a file system of `kind` and `size` in `directory`, mount it, and take it down.

    Raises `CannotMount`.
    """
    backing, mount_point = directory / f"{kind}.img", directory / kind
    mount_point.mkdir()
    with open(backing, "wb") as file:
        os.truncate(file.fileno(), size)
    try:
        _run(*MAKE[kind], str(backing))
        # Direct, or every byte would be in the page cache twice.
        device = _run("losetup", "--find", "--show", "--direct-io=on", str(backing))
        try:
            _run("mount", "-t", kind, "-o", "noatime", device, str(mount_point))
        finally:
            # Once mounted, this only marks the device to go away with the mount, so that even
            # if this process is killed, unmounting is all that is left to do.
            _run("losetup", "--detach", device)
        try:
            yield mount_point
        finally:
            _unmount(mount_point)
    finally:
        backing.unlink()
        mount_point.rmdir()


def _unmount(mount_point: Path) -> None:
    for _ in range(UNMOUNT_TRIES):
        # A contestant that was just killed may still be on its way out.
        done = subprocess.run(["umount", mount_point], check=False, capture_output=True)
        if done.returncode == 0:
            return
        time.sleep(UNMOUNT_PAUSE)
    subprocess.run(["umount", "--lazy", mount_point], check=True)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise CannotMount(f"{command[0]}: {error.stderr.strip()}") from error
    return done.stdout.strip()
