"""What these tests commit, and how they look at trees."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import blockpack
from blockpack import File, Tree
from repositories import EXECUTABLE, LINK, GitRepository

SITE: dict[str, bytes | tuple[str, bytes]] = {
    "index.html": b"<h1>Hello</h1>\n",
    "media/a.bin": bytes(range(256)) * 40,
    "media/deep/er/b": b"",
    "run.sh": (EXECUTABLE, b"#!/bin/sh\n"),
    "media/link": (LINK, b"../index.html"),
    "media.txt": b"sorts between media and media/\n",
    "\udcff\udcfe/\xe9": b"names are bytes",
}


def paths(tree: Tree) -> set[str]:
    return {entry.path for entry in tree}


def content(tree: Tree, path: str) -> bytes:
    entry = tree[path]
    assert isinstance(entry, File)
    extent = entry.extent()
    if isinstance(extent, blockpack.FileRange):
        return Path(os.fsdecode(extent.path)).read_bytes()
    assert isinstance(extent, blockpack.Stream) and extent.length == entry.size
    with closing(extent.store.open(extent.key, extent.name)) as stream:
        return stream.read(entry.size + 1)


def image(tree: Tree, volume: blockpack.Volume | None = None) -> bytes:
    with (volume or blockpack.TarVolume()).plan(tree).open() as file:
        return file.read()


def checked_out(repository: GitRepository, directory: Path, revision: str = "HEAD") -> Path:
    """What ``git archive`` gives of a revision, as files."""
    directory.mkdir()
    with tarfile.open(fileobj=io.BytesIO(repository.archive(revision))) as archive:
        archive.extractall(directory, filter="tar")
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():  # git archive has a umask of its own
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    return directory


def problems(raised: pytest.ExceptionInfo[blockpack.Problems]) -> dict[str, str]:
    return {error.path: error.rule for error in raised.value.exceptions}  # type: ignore[union-attr]


@contextmanager
def refused(text: str) -> Iterator[None]:
    """`Problems` come about, and one of them says so."""
    with pytest.raises(blockpack.Problems) as raised:
        yield
    assert text in str(raised.value)
