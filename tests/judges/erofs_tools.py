"""What Linux and erofs-utils make of an EROFS image.

A kernel mounts it from a loop device, which takes root; where that cannot be, the test is skipped.
An image that the kernel refuses is no reason to skip: whether it mounts any is found by one that
mkfs.erofs made.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from .programs import on_ci, require, run, run_silent

FSCK_BLOCK = 4096
"""Bytes of a block that fsck.erofs 1.5 reads, and no others."""


class Seen(NamedTuple):
    """What a file system tells of an entry. `mode` has its kind, `mtime` is in nanoseconds, `same`
    the first name, byte by byte, of the same file."""

    mode: int
    owner: tuple[int, int]
    mtime: int
    links: int
    content: bytes
    same: bytes


def seen(root: Path | bytes) -> dict[bytes, Seen]:
    """All entries below `root` by their paths, and itself as nothing; each found by its name."""
    top = os.fsencode(root)
    found: dict[bytes, Seen] = {}
    first: dict[int, bytes] = {}
    for path in sorted(_paths(top), key=lambda path: path.split(b"/")):
        at = os.path.join(top, path) if path else top
        status = os.lstat(at)
        content = b""
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(at)
        elif stat.S_ISREG(status.st_mode):
            with open(at, "rb") as file:
                content = file.read()
        found[path] = Seen(
            status.st_mode,
            (status.st_uid, status.st_gid),
            status.st_mtime_ns,
            status.st_nlink,
            content,
            path if stat.S_ISDIR(status.st_mode) else first.setdefault(status.st_ino, path),
        )
    return found


def _paths(top: bytes) -> Iterator[bytes]:
    for directory, directories, files in os.walk(top):
        above = os.path.relpath(directory, top)
        above = b"" if above == b"." else above
        yield above
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        yield from (os.path.join(above, name) for name in (*links, *files))


def fsck(image: Path) -> None:
    """Assert that fsck.erofs finds nothing to say about `image`."""
    output = run("fsck.erofs", ["-d2", image])
    assert not output.stderr and not output.stdout, output


def dump(image: Path) -> dict[str, str]:
    """What dump.erofs tells of the superblock."""
    lines = run_silent("dump.erofs", ["-s", image]).decode().splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.removeprefix("Filesystem "): value.strip() for name, _, value in pairs}


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    """The image as a kernel has it. Fails if it refuses to mount it."""
    require_mounts()
    with TemporaryDirectory() as directory:
        complaint = _mount(image, directory)
        assert complaint is None, complaint
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


def require_mounts() -> None:
    """Skip the test, or fail on CI, where nobody mounts an EROFS."""
    if reason := _unmountable():
        (pytest.fail if on_ci() and not os.geteuid() else pytest.skip)(reason)


@cache
def _unmountable() -> str:
    """Why no EROFS is mounted here; empty if one is."""
    if os.geteuid():
        return "needs root, for mounts"
    require("mkfs.erofs")
    with TemporaryDirectory() as directory:
        image, point = Path(directory, "image"), Path(directory, "point")
        point.mkdir()
        run("mkfs.erofs", [image, point])
        complaint = _mount(image, point)
        if complaint is None:
            subprocess.run(["umount", point], check=True)
    return f"this kernel mounts no EROFS: {complaint}" if complaint else ""


def _mount(image: Path, point: str | Path) -> str | None:
    """Mount an image; what is said against it, if it cannot be."""
    command = ["mount", "-t", "erofs", "-o", "loop,ro", str(image), str(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() if done.returncode else None
