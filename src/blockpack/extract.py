"""Extracting an image into a directory, without trusting it.

Everything is made in a new directory beside the target, which takes the target's name when it is
whole. Paths must be as sound as those of a tree; links are made last, so that nothing is ever
written through one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .entry import check_path, encode, parent_of
from .errors import BlockpackError, EntryError, ImageError, TargetError, printable, raise_problems
from .image import Image, ImageEntry


def extract(image: Image, directory: str | os.PathLike[str]) -> int:
    """Copy everything in `image` to `directory`, which is new or empty; the number of entries.

    Times and permission bits are the image's (without set-id bits), owners are not.

    Raises `TargetError` if the directory has something in it or cannot be written, `ImageError`
    if the image is damaged, and `Problems` if it has paths that lead elsewhere. Whatever fails,
    nothing is left behind.
    """
    target = Path(directory)
    entries = list(image.walk())
    raise_problems("this image is not safe to extract", _unsafe(entries))
    try:
        if target.is_symlink() or (
            target.exists() and (not target.is_dir() or any(target.iterdir()))
        ):
            raise TargetError(f"{target}: is there already; give a new or an empty directory")
        work = target.absolute().parent / f".blockpack-{os.urandom(8).hex()}.tmp"
        work.mkdir()
        try:
            _fill(image, entries, os.fsencode(work))
            os.replace(work, target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TargetError(f"{target}: cannot be written: {reason}") from None
    return len(entries)


def _unsafe(entries: list[ImageEntry]) -> list[BlockpackError]:
    """What keeps entries from being extracted, all of it."""
    problems: list[BlockpackError] = []
    kinds = {entry.path: entry.kind for entry in entries}
    for entry in entries:
        error = check_path(entry.path)
        if error is None and entry.kind == "other":
            error = EntryError(entry.path, "is a device or a pipe", "extract it by other means")
        parent = parent_of(entry.path)
        if error is None and kinds.get(parent, "directory") != "directory":
            error = EntryError(entry.path, f"is in a {kinds[parent]}", "mend the image")
        if error is None and entry.kind == "hardlink" and kinds.get(entry.target) != "file":
            rule = f"links to {printable(entry.target)}, which is no file in the image"
            error = EntryError(entry.path, rule, "mend the image")
        if error is not None:
            problems.append(ImageError(str(error)))
    return problems


def _fill(image: Image, entries: list[ImageEntry], root: bytes) -> None:
    def place(path: str) -> bytes:
        return os.path.join(root, encode(path))

    for entry in entries:
        path = place(entry.path)
        if entry.kind == "directory":
            os.makedirs(path, exist_ok=True)
        elif entry.kind == "file":
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with image.open(entry.path) as source, open(path, "xb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            os.chmod(path, entry.mode & 0o777)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
    for entry in entries:
        path = place(entry.path)
        if entry.kind == "hardlink":
            os.link(place(entry.target), path)
        elif entry.kind == "symlink":
            os.symlink(encode(entry.target), path)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
    for entry in reversed(entries):  # a directory's time last, for what is made in it changes it
        if entry.kind == "directory":
            path = place(entry.path)
            os.chmod(path, entry.mode & 0o777)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
