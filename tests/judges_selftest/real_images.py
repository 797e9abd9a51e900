"""Images made by real tools, for the judges to accept, and ways to damage them."""

from __future__ import annotations

import os
from pathlib import Path

from judges.fat_tools import Contents
from judges.programs import run, run_silent

TIME = 1_577_934_246
"""2020-01-02 03:04:06 UTC: even, as FAT counts in steps of two seconds."""

FILES: dict[str, bytes] = {
    "UPPER.TXT": b"upper case\n",
    "nothing": b"",
    "two clusters, not quite.bin": bytes(range(256)) * 3,
    "exactly13.txt": b"thirteen\n",
    "dir/UPPER.TXT": b"another\n",
    "dir/deep/Größe.txt": b"beyond ASCII\n",
}
DIRECTORIES = ("dir", "dir/deep", "dir/empty")
CONTENTS: Contents = {**FILES, **dict.fromkeys(DIRECTORIES)}


def make_tree(root: Path) -> Path:
    """The files and directories of `CONTENTS` below `root`, all from `TIME`."""
    for directory in DIRECTORIES:
        (root / directory).mkdir(parents=True)
    for path, data in FILES.items():
        (root / path).write_bytes(data)
        (root / path).chmod(0o644)
    for path in CONTENTS:
        os.utime(root / path, (TIME, TIME))
    return root


def make_fat(image: Path, size: int, *options: str, tree: Path | None = None) -> Path:
    """A FAT image of `size` bytes by mkfs.fat, given `options`, and mcopy."""
    with image.open("wb") as file:
        file.truncate(size)
    # The geometry keeps mkfs.fat from rounding the size down to whole tracks.
    run("mkfs.fat", ["-g", "64/32", "--invariant", *options, image])
    if tree:
        children = sorted(tree.iterdir())
        run_silent("mcopy", ["-s", "-m", "-i", image, *children, "::/"])
    return image


def make_tar(image: Path, tree: Path, program: str, *options: str) -> Path:
    """A tar image of `tree` by `program`, in the order of a sorted depth-first walk."""
    names = [os.fsencode(path.relative_to(tree)) for path in tree.rglob("*")]
    names.sort(key=lambda name: name.split(b"/"))
    run_silent(program, ["--no-recursion", *options, "-cf", image, "-C", tree, *names])
    return image


def patch(image: Path, offset: int, data: bytes) -> None:
    """Overwrite the bytes at `offset`."""
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(data)
