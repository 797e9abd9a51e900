"""Masses in EROFS file systems are read in bounded time and memory."""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path

import pytest

import blockpack
from hostile.erofs_images import CHUNKED, CHUNKS, FILE, PLAIN, Erofs, block_of
from hostile.ordeal import in_memory, in_time, undergo

DIRECTORY = stat.S_IFDIR | 0o755


def nested(depth: int, name: bytes) -> bytes:
    """Each directory in the one before."""
    image = Erofs(room=128 * depth + (64 << 10))
    size = len(block_of([(b".", 0, 2), (b"..", 0, 2), (name, 0, 2)]))
    for number in range(depth):
        image.reserve(f"{number}", 32, size)
    for number in range(depth):
        inside = {name: f"{number + 1}"} if number + 1 < depth else {}
        parent = f"{max(number - 1, 0)}"
        image.directory(f"{number}", inside, parent, nlink=3 if inside else 2)
    return image.root("0").made()


def test_deep_nesting_is_no_recursion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = undergo(nested(300, b"d"), tmp_path, capsys)
    assert verdict.problems == []
    assert verdict.extracted


def test_paths_longer_than_any_are_told() -> None:
    found = walked(nested(2100, b"d"))
    assert any("a path of 4,0" in problem for problem in found)


def walked(data: bytes) -> list[str]:
    """What is wrong with an image, found in bounded time and memory."""
    with in_time(), in_memory(), blockpack.open_image(io.BytesIO(data)) as image:
        return list(map(str, image.verify()))


def many(count: int, inode: bytes) -> bytes:
    """A root directory of `count` entries that lead to inodes one behind the other, all alike."""
    image = Erofs(room=(64 << 10) + 32 * count)
    image.reserve("root", 32)
    first = 2048 // 32
    start = (first + 1) * 32
    image.data[start : start + 32 * count] = inode * count
    names = sorted(b"%x" % number for number in range(count))
    listed = [(b".", image.nids["root"], 2), (b"..", image.nids["root"], 2)]
    listed += [(name, first + 1 + number, 0) for number, name in enumerate(names)]
    blocks = [block_of(listed[at : at + 200]) for at in range(0, len(listed), 200)]
    data = b"".join(block.ljust(4096, b"\0") for block in blocks)
    image.inode("root", DIRECTORY, data, PLAIN)
    return image.root("root").made(CHUNKED)


def compact(mode: int, layout: int, size: int, address: int) -> bytes:
    return struct.pack("<HHHHIIIIHHI", layout << 1, 0, mode, 1, size, 0, address, 0, 0, 0, 0)


def test_maps_of_chunks_that_overlap_are_counted() -> None:
    """Each file's map is the inodes behind it: all of them together would be the square."""
    count = 3000
    data = many(count, compact(FILE, CHUNKS, count * 32 // 4 * 4096, 0))
    found = walked(data)
    assert sum("more chunks than the image has addresses for" in each for each in found) > 100


def test_directories_that_share_their_blocks_are_counted() -> None:
    """Each directory holds all others, and more of the image than there is."""
    count = 500
    image = Erofs(room=(64 << 10) + 32 * count)
    image.reserve("root", 32)
    first = image.nids["root"] + 1
    names = sorted(b"%x" % number for number in range(count))
    listed = [(name, first + number, 2) for number, name in enumerate(names)]
    blocks = [block_of(listed[at : at + 200]).ljust(4096, b"\0") for at in range(0, count, 200)]
    data = b"".join(blocks)
    image.inode("root", DIRECTORY, data, PLAIN)
    address = image.number(image.at("root") + 16, 4)
    for number in range(count):
        image.put((first + number) * 32, compact(DIRECTORY, PLAIN, len(data), address))
    found = walked(image.root("root").made())
    assert any("directories have more bytes than the image" in each for each in found)


def test_links_that_share_their_targets_are_counted() -> None:
    """Thousands of links of 4,095 bytes each, to what stands once in the image."""
    image = many(8000, compact(stat.S_IFLNK | 0o777, PLAIN, 4095, 1))
    with in_time(), blockpack.open_image(io.BytesIO(image)) as opened:
        assert "far more characters than it has bytes" in str(opened.problems[-1])


def test_many_names_for_one_file_are_read() -> None:
    image = Erofs()
    image.reserve("root", 32)
    names = {b"%05d" % number: "file" for number in range(5000)}
    image.inode("file", data=b"x", nlink=len(names), extended=True)
    image.directory("root", names, layout=PLAIN)
    with in_time(), blockpack.open_image(io.BytesIO(image.root("root").made())) as opened:
        assert list(map(str, opened.verify())) == []
        assert len(opened) == len(names)
        assert opened.read("04999") == b"x"
