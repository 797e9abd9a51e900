"""Images of mkfs.erofs are read as what they were made of, in all layouts but compressed ones."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

import blockpack
from judges.programs import run

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "inline": (),
    "plain": ("-E", "noinline_data"),
    "extended": ("-E", "force-inode-extended"),
    "compact": ("-E", "force-inode-compact", "--all-root", "-T", "1234567890"),
    "no checksum": ("-E", "nosbcrc"),
    "chunks": ("--chunksize", "4096"),
    "long chunks": ("--chunksize", "65536"),
    "indexes": ("--chunksize", "4096", "-E", "force-chunk-indexes"),
    "attributes": ("-x", "1"),
    "label and id": ("-U", "01234567-89ab-cdef-0123-456789abcdef"),
}
COMPRESSED = {"lz4": ("-zlz4",), "lz4hc": ("-zlz4hc", "-C", "65536")}
LINK = "l" * 4095


def make_source(source: Path) -> None:
    (source / "dir/below").mkdir(parents=True)
    (source / "empty").mkdir()
    sizes = (0, 1, 4095, 4096, 4097, 8192, 100_000)
    for size in sizes:
        (source / f"dir/{size}").write_bytes(os.urandom(size))
    (source / "dir/zeros").write_bytes(b"x" + bytes(300_000) + b"y")
    (source / "text").write_bytes(b"the same line\n" * 20_000)
    os.link(source / "text", source / "dir/below/text")
    os.mkdir(os.fsencode(source / "names"))
    for byte in {*range(1, 256)} - {ord("/"), ord(".")}:
        Path(os.fsdecode(os.fsencode(source / "names/") + b"/" + bytes([byte]))).touch()
    (source / "names" / ("n" * 254)).touch()  # of which 1.5 takes no more
    os.mkfifo(source / "pipe")
    os.chmod(source / "dir/1", 0o4751)
    os.symlink("dir/1", source / "link")
    os.symlink(LINK, source / "long link")
    if hasattr(os, "setxattr"):
        for name in ("text", "dir"):
            os.setxattr(source / name, "user.colour", b"blue" * 10)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(source / "socket"))
    many = source / "many"
    many.mkdir()
    for number in range(1000):
        (many / f"{number}-{'x' * (number % 60)}").write_bytes(b"%d" % number)
    for number, path in enumerate(sorted(source.rglob("*"))):
        time = 1_000_000_000_123_456_789 + number * 10**9
        os.utime(path, ns=(time, time), follow_symlinks=False)


@pytest.fixture(name="source", scope="module")
def _source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("erofs") / "source"
    source.mkdir()
    make_source(source)
    return source


def made(source: Path, image: Path, *options: str) -> Path:
    run("mkfs.erofs", ["--quiet", *options, image, source])
    return image


@pytest.mark.parametrize("name", OPTIONS)
def test_all_layouts_are_read(source: Path, tmp_path: Path, name: str) -> None:
    options = OPTIONS[name]
    path = made(source, tmp_path / "x.erofs", *options)
    with blockpack.open_image(path) as image:
        assert image.verify() == []
        same_time = "-T" in options
        seen = {}
        for found in source.rglob("*"):
            at = os.path.relpath(found, source)
            status, entry = found.lstat(), image[at]
            if entry.kind == "hardlink":
                entry = image[entry.target]
            seen[at] = entry
            assert entry.mode == stat.S_IMODE(status.st_mode), at
            owner = (0, 0) if "--all-root" in options else (status.st_uid, status.st_gid)
            assert (entry.uid, entry.gid) == owner
            assert entry.mtime_ns == (1234567890 * 10**9 if same_time else status.st_mtime_ns), at
            if found.is_symlink():
                assert (entry.kind, entry.target) == ("symlink", os.readlink(found))
            elif found.is_dir():
                assert entry.kind == "directory"
            elif found.is_file():
                assert image.read(at) == found.read_bytes(), at
            else:
                assert entry.kind == "other", at
        assert len(image) == len(seen)
        assert {image["text"].kind, image["dir/below/text"].kind} == {"file", "hardlink"}


@pytest.mark.parametrize("name", COMPRESSED)
def test_what_is_compressed_is_told_and_all_else_is_read(
    source: Path, tmp_path: Path, name: str
) -> None:
    path = made(source, tmp_path / "x.erofs", *COMPRESSED[name])
    told: list[blockpack.ImageError] = []
    with blockpack.open_image(path, report=told.append) as image:
        damaged = {entry.path for entry in image if entry.damage and entry.kind == "file"}
        assert {error.path for error in told} == damaged
        assert "dir/zeros" in damaged
        [error] = [error for error in told if error.path == "dir/zeros"]
        assert "is compressed, which blockpack does not read" in error.rule
        assert "mount it" in error.remedy
        with pytest.raises(blockpack.ImageError, match="is compressed"):
            image.read("dir/zeros")
        for size in (1, 100_000):  # nothing makes random bytes smaller
            assert image.read(f"dir/{size}") == (source / f"dir/{size}").read_bytes()


def test_facts_are_those_of_the_superblock(source: Path, tmp_path: Path) -> None:
    path = made(source, tmp_path / "x.erofs", *OPTIONS["label and id"], "--chunksize", "4096")
    with blockpack.open_image(path) as image:
        facts = dict(image.info())
    assert str(facts["uuid"]).lower() == "01234567-89ab-cdef-0123-456789abcdef"
    assert (facts["block_size"], facts["checksum"]) == (4096, "right")
    assert facts["features"] == "chunks"
    said = run("dump.erofs", ["-s", path]).stdout.decode()
    for line in said.splitlines():
        name, _, value = line.partition(":")
        fact = {"Filesystem blocks": "blocks", "Filesystem inode count": "inodes"}.get(name)
        assert fact is None or str(facts[fact]) == value.strip()
