"""Trees for archives, made of what a format can hold: `plain` fits into the oldest, `long` needs
extensions.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from judges.tar_tools import read_members

from .item import Expected, Kind

TIME = 1_577_934_246
"""2020-01-02 03:04:06 UTC."""

BLOCK = 512


def plain(root: Path) -> None:
    """Short ASCII names, sizes around a block, and every kind of link."""
    for directory in ("dir/deep", "dir/empty"):
        (root / directory).mkdir(parents=True)
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK, 12345):
        (root / f"{size} bytes").write_bytes(bytes(number % 251 for number in range(size)))
    (root / "dir/deep/file").write_bytes(b"deep\n")
    (root / "executable").write_bytes(b"#!/bin/sh\n")
    (root / "executable").chmod(0o755)
    (root / " spaces ").write_bytes(b"before and after\n")
    (root / "dir/link").symlink_to("../executable")
    (root / "dir/nowhere").symlink_to("no/such/file")
    (root / "absolute").symlink_to("/etc/hostname")
    (root / "to a directory").symlink_to("dir")
    os.link(root / "12345 bytes", root / "dir/the same")
    os.link(root / "12345 bytes", root / "zzz, the same again")


def unicode(root: Path) -> None:
    """Names beyond ASCII, still short."""
    plain(root)
    for name in ("Größe.txt", "漢字", "\N{GRINNING FACE}", "e\u0301 in two", "Ω/Ж"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(name.encode())


def prefixed(root: Path) -> None:
    """Paths of more than 100 bytes that ustar holds in two parts."""
    plain(root)
    far = root / "/".join(["directory" * 5] * 4)
    far.mkdir(parents=True)
    (far / "file").write_bytes(b"far away\n")
    edge = root / ("p" * 60) / ("q" * 60) / ("n" * 99)
    edge.parent.mkdir(parents=True)
    edge.write_bytes(b"nearly all of both fields\n")


def long(root: Path) -> None:
    """Names, paths and targets that need an extension."""
    unicode(root)
    (root / ("n" * 101)).write_bytes(b"one byte too long\n")
    (root / ("Ä" * 127)).write_bytes(b"254 bytes\n")
    far = root / "/".join(["a long directory" * 10] * 6)
    far.mkdir(parents=True)
    (far / "file").write_bytes(b"very far away\n")
    os.link(far / "file", root / "to far away")
    (root / "long target").symlink_to("target/" * 43)
    (root / ("l" * 150)).symlink_to("n" * 101)


def bytes_names(root: Path) -> None:
    """Names that are no UTF-8, and control characters."""
    plain(root)
    for name in (b"caf\xe9", b"\xff\xfe", b"new\nline", b"tab\there", b"back\\slash", b"\x01\x7f"):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:
            file.write(name)


def special(root: Path) -> None:
    """A named pipe."""
    plain(root)
    os.mkfifo(root / "pipe")


def sparse(root: Path) -> None:
    """Files with holes: at the beginning, at the end, all of it, many, and none."""
    plain(root)
    for name, size, pieces in (
        ("hole first", 100_000, [(90_000, b"end" * 3000)]),
        ("hole last", 1_000_000, [(0, b"start" * 1000)]),
        ("one in the middle", 300_000, [(100_000, b"middle" * 5000)]),
        ("all hole", 500_000, []),
        ("five", 500_000, [(at * 100_000, b"five" * 100) for at in range(5)]),
        ("sixty", 6_000_000, [(at * 100_000, b"sixty%d" % at * 700) for at in range(60)]),
        ("odd size", 123_457, [(70_001, b"odd" * 5), (123_456, b"!")]),
    ):
        with (root / name).open("wb") as file:
            for at, data in pieces:
                file.seek(at)
                file.write(data)
            file.truncate(size)


Tree = Callable[[Path], None]
"""Fills a directory."""


def made(scratch: Path, make: Tree) -> Path:
    """A tree in a new directory, all of it from `TIME`."""
    tree = scratch / "tree"
    tree.mkdir()
    make(tree)
    for path in tree.rglob("*"):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    os.utime(tree, (TIME, TIME))
    return tree


def names_in(tree: Path) -> list[bytes]:
    """All paths in `tree`, sorted."""
    return sorted(os.fsencode(path.relative_to(tree)) for path in tree.rglob("*"))


def expected(root: Path) -> Expected:
    """What is in the directory `root`."""
    found: Expected = {}
    pipes = [path for path in root.rglob("*") if path.is_fifo()]
    for pipe in pipes:
        found[str(pipe.relative_to(root))] = "other", b""
        pipe.unlink()
    for path, member in read_members(os.fsencode(root)).items():
        kind: Kind = "file" if member.kind == "hardlink" else member.kind
        content = member.linkname if kind == "symlink" else member.content
        found[os.fsdecode(path)] = kind, content
    return found
