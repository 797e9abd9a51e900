"""What other programs' images hold is read as those programs read it.

A path that is in an image only above others counts as the directory that it stands for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

import blockpack
from blockpack import Image, ImageEntry
from corpora import fat, tar
from corpora.item import Expected, Item, Kind

_DIRECTORY: tuple[Kind, bytes] = "directory", b""


def read(path: Path) -> Expected:
    """All that is in an image, hard links as the files that they lead to."""
    with blockpack.open_image(path) as image:
        found: Expected = {entry.path: _entry(image, entry) for entry in image.walk()}
    return dict.fromkeys(_above(found), _DIRECTORY) | found


def _entry(image: Image, entry: ImageEntry) -> tuple[Kind, bytes]:
    if entry.kind == "symlink":
        return "symlink", os.fsencode(entry.target)
    if entry.kind == "file" or entry.kind == "hardlink":
        with image.open(entry.path) as file:
            return "file", file.read()
    return entry.kind, b""


def _above(paths: Expected) -> Iterator[str]:
    for path in paths:
        yield from (str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")


def assert_read(item: Item) -> None:
    """Assert that all of `item` is read, and that there is nothing else."""
    found, wanted = read(item.image), item.expected
    assert found.keys() == wanted.keys()
    differing = {path: found[path][0] for path in wanted if found[path] != wanted[path]}
    assert not differing, f"other kinds or bytes: {differing}"


@pytest.mark.parametrize("name", fat.MAKERS)
def test_fat_volumes(name: str, tmp_path: Path) -> None:
    assert_read(fat.MAKERS[name](tmp_path))


@pytest.mark.parametrize("name", tar.MAKERS)
def test_tar_archives(name: str, tmp_path: Path) -> None:
    assert_read(tar.MAKERS[name](tmp_path))


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("executable", ("file", b"other bytes")),
        ("executable", ("symlink", b"#!/bin/sh\n")),
        ("dir/link", ("symlink", b"elsewhere")),
        ("dir/empty", ("file", b"")),
        ("no such file", ("file", b"")),
    ],
)
def test_the_comparison_notices_what_differs(
    path: str, other: tuple[Kind, bytes], tmp_path: Path
) -> None:
    item = tar.MAKERS["GNU tar, gnu"](tmp_path)
    assert_read(item)
    with pytest.raises(AssertionError):
        assert_read(item._replace(expected=item.expected | {path: other}))
    item.expected.pop("executable")
    with pytest.raises(AssertionError):
        assert_read(item)
