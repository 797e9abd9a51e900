"""Extracting an image into a directory, without trusting it.

Everything is made in a new directory beside the target, which takes the target's name when it is
whole. An empty directory that is there already may be a mount point, or where somebody is, and so
is filled in place. Paths must be as sound as those of a tree; links are made last, so that nothing
is ever written through one. Images nest as deep as they like, so nothing here is recursive.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import BlockpackError, ImageError, TargetError, printable, raise_problems
from ..formats.reader import ImageEntry
from ..model.entry import encode
from ..writing.files import temporary_beside
from .image import Image
from .soundness import unsound


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
        there = target.is_symlink() or target.exists()
        if there and (target.is_symlink() or not target.is_dir() or any(target.iterdir())):
            raise TargetError(str(target), "is there already", "give a new or an empty directory")
        work = target if there else Path(temporary_beside(str(target.absolute())))
        if not there:
            work.mkdir()
        try:
            _fill(image, entries, os.fsencode(work))
            if not there:
                os.replace(work, target)
        except BaseException:
            _empty(os.fsencode(work))
            if not there:
                with suppress(OSError):
                    work.rmdir()
            raise
    except OSError as error:
        raise TargetError.of(str(target), "cannot be written", error) from None
    return len(entries)


def _unsafe(entries: list[ImageEntry]) -> Iterator[BlockpackError]:
    """What keeps entries from being extracted, all of it."""
    by_path = {entry.path: entry for entry in entries}
    yield from unsound(by_path)
    for entry in entries:
        if entry.kind == "other":
            rule = "is a device or a pipe, and such are not extracted"
            yield ImageError(entry.path, rule)
        if entry.kind == "hardlink":
            target = by_path.get(entry.target)
            if target is None or target.kind != "file":
                rule = f"links to {printable(entry.target)}, which is no file in the image"
                yield ImageError(entry.path, rule)


def _fill(image: Image, entries: list[ImageEntry], root: bytes) -> None:
    def place(path: str) -> bytes:
        return os.path.join(root, encode(path))

    for entry in entries:
        with _naming(entry):
            if entry.kind == "directory":
                _make_directory(place(entry.path))
            elif entry.kind == "file":
                _make_file(image, entry, place(entry.path))
    for entry in entries:
        with _naming(entry):
            if entry.kind in ("hardlink", "symlink"):
                _make_link(entry, place)
    for entry in reversed(entries):  # a directory's time last, for what is made in it changes it
        if entry.kind == "directory":
            with _naming(entry):
                path = place(entry.path)
                os.chmod(path, entry.mode & 0o777)
                os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


@contextmanager
def _naming(entry: ImageEntry) -> Iterator[None]:
    """Turn an operating system's error while making `entry` into a `TargetError`."""
    try:
        yield
    except OSError as error:
        raise TargetError.of(entry.path, "cannot be written there", error) from None


def _make_file(image: Image, entry: ImageEntry, path: bytes) -> None:
    _make_directory(os.path.dirname(path))
    with image.open(entry.path) as source, open(path, "xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    os.chmod(path, entry.mode & 0o777)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def _make_link(entry: ImageEntry, place: Callable[[str], bytes]) -> None:
    path = place(entry.path)
    _make_directory(os.path.dirname(path))
    if entry.kind == "hardlink":
        os.link(place(entry.target), path)
    else:
        os.symlink(encode(entry.target), path)
        os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _make_directory(path: bytes) -> None:
    """Make the directory `path` and those above it, as far as they are missing."""
    missing = [path]
    while missing:
        try:
            os.mkdir(missing[-1])
        except FileExistsError:
            pass
        except FileNotFoundError:
            missing.append(os.path.dirname(missing[-1]))
            continue
        missing.pop()


def _empty(root: bytes) -> None:
    """Remove everything in the directory `root`, as far as that can be."""
    directories = [root]
    for directory in directories:  # grows meanwhile
        with suppress(OSError):
            if directory != root:
                os.chmod(directory, 0o700)  # extracted ones may be read-only
            with os.scandir(directory) as listing:
                for item in listing:
                    if item.is_dir(follow_symlinks=False):
                        directories.append(item.path)
                    else:
                        with suppress(OSError):
                            os.unlink(item.path)
    for directory in reversed(directories[1:]):
        with suppress(OSError):
            os.rmdir(directory)
