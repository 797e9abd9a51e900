"""What archives are made of in these tests, by whom, and what a tree of them has."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blockpack
from blockpack import File, Symlink, Tree
from blockpack.reading.extents import read_extent
from judges.programs import run

TIME = 1_000_000_000
"""2001-09-09 01:46:40 UTC, an even second, as zip's own times are."""


def make_site(site: Path) -> None:
    """A directory with what archives hold."""
    files = {
        "index.html": (b"<h1>hello</h1>\n", 0o644),
        "bin/run": (b"#!/bin/sh\n" * 3_000, 0o755),
        "private": (b"for one", 0o600),
        "empty": (b"", 0o644),
        "Größe €/ein Name.txt": (b"size", 0o644),
        "big": (os.urandom(300_000), 0o644),
    }
    for name, (content, mode) in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)
        (site / name).chmod(mode)
    (site / "hollow").mkdir(mode=0o700)
    (site / "home").symlink_to("index.html")
    (site / "bin/up").symlink_to("../Größe €")
    os.link(site / "index.html", site / "again.html")
    for path in (*site.rglob("*"), site):
        os.utime(path, (TIME, TIME), follow_symlinks=False)


def content(file: File) -> bytes:
    data = bytearray(file.size)
    read_extent(file.extent(0), memoryview(data))
    return bytes(data)


def facts(tree: Tree, *, owner: bool = True) -> dict[str, Any]:
    """All that an archive tells of its entries."""
    found: dict[str, Any] = {}
    for entry in tree:
        what: object = None
        if isinstance(entry, File):
            what = content(entry)
        elif isinstance(entry, Symlink):
            what = entry.target
        mode = None if isinstance(entry, Symlink) else entry.mode
        ids = (entry.uid, entry.gid) if owner else None
        found[entry.path] = entry.kind, what, mode, entry.mtime_ns // 10**9, ids
    return found


def links(tree: Tree) -> set[frozenset[str]]:
    """Which files are hard links to one another."""
    names: dict[object, set[str]] = {}
    for entry in tree:
        if isinstance(entry, File) and entry.inode is not None:
            names.setdefault(entry.inode, set()).add(entry.path)
    return {frozenset(linked) for linked in names.values() if len(linked) > 1}


def rendered(volume: blockpack.Volume, tree: Tree) -> bytes:
    with volume.plan(tree).open() as device:
        return device.read()


def by_tar(*options: str) -> Callable[[Path, Path], object]:
    return lambda site, archive: run("tar", ["-C", site, *options, "-cf", archive, "."])


def by_python_tar(site: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as tar:
        tar.add(site, ".")


def info_zip(*options: str) -> Callable[[Path, Path], object]:
    return lambda site, archive: run("zip", ["-qry", *options, archive, "."], cwd=site)


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def tar_of(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """A tar of members: name, type, target."""
    with tarfile.open(path, "w") as archive:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 4 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"data"))
    return path
