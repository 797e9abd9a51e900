"""Damage to an EROFS file system is found and named, and all else is read."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

import blockpack
from hostile.erofs_images import (
    CHUNKED,
    FULL,
    HOLE,
    LINK,
    PLAIN,
    SUPER,
    TEXT,
    Erofs,
    sample,
    sound,
)
from hostile.ordeal import undergo

BITS = (9, 10, 11, 12)
MODE, NLINK, SIZE, ADDRESS = 4, 6, 8, 16
"""Where a compact inode has these."""


def slot(image: Erofs, name: bytes, directory: str = "root") -> int:
    """The byte at which the entry of that name begins."""
    start = image.at(directory) + 32
    for at in range(start, start + image.number(start + 8, 2), 12):
        begin = start + image.number(at + 8, 2)
        if image.data[begin : begin + len(name)] == name:
            return at
    raise KeyError(name)


def rename(image: Erofs, name: bytes, other: bytes) -> None:
    at = slot(image, name)
    image.put(image.at("root") + 32 + image.number(at + 8, 2), other)


def lead(image: Erofs, name: bytes, nid: int) -> None:
    image.put(slot(image, name), nid, 8)


@pytest.mark.parametrize("bits", BITS)
def test_a_sound_image_passes_the_ordeal(
    bits: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(sound(bits), tmp_path, capsys)
    assert verdict.problems == []
    assert not verdict.extracted  # for there is a device
    out = tmp_path / "sandbox/below/out"
    block = 1 << bits
    chunks = TEXT[:block] + bytes(block) + TEXT[block : 2 * block] + TEXT[2 * block :][:5]
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == {
        "small": b"small\n",
        "link": b"small\n",
        "plain": TEXT[: 2 * block + 7],
        "empty": b"",
        "attributes": b"behind attributes",
        "chunks": chunks,
        "indexed": TEXT[: 2 * block] + bytes(block),
    }
    assert (out / "dir/inner").read_bytes() == TEXT[: 2 * block + 100]
    assert (out / "dir/same").samefile(out / "small")


DAMAGES: dict[str, tuple[Callable[[Erofs], object], str]] = {
    "a file beyond the end": (
        lambda image: image.put(image.at("plain") + ADDRESS, 0xFFFFFFF0, 4),
        "plain: the image ends at byte",
    ),
    "a file that is too long": (
        lambda image: image.put(image.at("plain") + SIZE, 0x7FFFFFFF, 4),
        "plain: the image ends at byte",
    ),
    "a size that no file has": (
        lambda image: image.put(image.at("tail") + SIZE, 1 << 63, 8),
        "dir/inner: claims 9,223,372,036,854,775,808 bytes",
    ),
    "a tail beyond its block": (
        lambda image: image.put(image.at("small") + SIZE, image.block - 1, 4),
        "its inline tail goes beyond a block's end",
    ),
    "attributes that point away": (
        lambda image: image.put(image.at("attributes") + 2, 0xFFFF, 2),
        "attributes: the image ends at byte",
    ),
    "a compressed file": (
        lambda image: image.put(image.at("plain"), FULL << 1, 2),
        "plain: is compressed, which blockpack does not read; mount it",
    ),
    "a format that nobody knows": (
        lambda image: image.put(image.at("plain"), 0x20, 2),
        "has the unknown format 0x0020",
    ),
    "a layout that nobody knows": (
        lambda image: image.put(image.at("plain"), 5 << 1, 2),
        "has the unknown format 0x000a",
    ),
    "a mode that nobody knows": (
        lambda image: image.put(image.at("plain") + MODE, 0o170644, 2),
        "plain: its mode 0o170644 is of nothing",
    ),
    "a chunk beyond the end": (
        lambda image: image.put(image.at("chunks") + 32 + 8, 0xFFFFFF, 4),
        "chunks: the image ends at byte",
    ),
    "more chunks than there is room for": (
        lambda image: image.put(image.at("chunks") + SIZE, 0xFFFFFFFF, 4),
        "chunks: has more chunks than the image has addresses for",
    ),
    "a chunk format that nobody knows": (
        lambda image: image.put(image.at("chunks") + ADDRESS, 0x80, 4),
        "chunks: its chunks have the unknown format 0x0080",
    ),
    "a chunk on another device": (
        lambda image: image.put(image.at("indexed") + 64 + 2, 1, 2),
        "indexed: has bytes on another device",
    ),
    "an entry of the root that is the root": (
        lambda image: lead(image, b"dir", image.nids["root"]),
        "dir: is the same directory as the root directory",
    ),
    "an entry that is the directory that it is in": (
        lambda image: image.put(slot(image, b"inner", "dir"), image.nids["dir"], 8),
        "dir/inner: is the same directory as dir",
    ),
    "a directory twice": (
        lambda image: lead(image, b"empty", image.nids["dir"]),
        "empty: is the same directory as dir",
    ),
    "an inode beyond the end": (
        lambda image: lead(image, b"plain", 1 << 40),
        "plain: the image ends at byte",
    ),
    "an inode in a box": (
        lambda image: lead(image, b"plain", 1 << 63 | 5),
        "plain: is in a compressed box of metadata",
    ),
    "an inode that is none": (
        lambda image: lead(image, b"plain", 0),
        "plain: its mode 0o0 is of nothing",
    ),
    "a name with a slash": (
        lambda image: rename(image, b"empty", b"../.."),
        "has an entry '../..', which is not a valid name",
    ),
    "a name with a NUL": (
        lambda image: rename(image, b"empty", b"em\0ty"),
        "has an entry 'em\\x00ty', which is not a valid name",
    ),
    "a name twice": (
        lambda image: rename(image, b"plain", b"small"),
        "the root directory: holds small twice",
    ),
    "names in disorder": (
        lambda image: rename(image, b"empty", b"zmpty"),
        "its names are not in order, so that Linux does not find them all",
    ),
    "a name that begins before the names": (
        lambda image: image.put(slot(image, b"empty") + 8, 5, 2),
        "has an entry whose name lies elsewhere",
    ),
    "a name beyond its block": (
        lambda image: image.put(slot(image, b"small") + 8, 0xFFFF, 2),
        "has an entry whose name lies elsewhere",
    ),
    "a name of nothing": (
        lambda image: image.put(
            slot(image, b"plain") + 8, image.number(slot(image, b"small") + 8, 2), 2
        ),
        "has an entry whose name lies elsewhere",
    ),
    "names at a place between entries": (
        lambda image: image.put(image.at("root") + 32 + 8, 13, 2),
        "has a block that is not one of a directory",
    ),
    "names at the block's begin": (
        lambda image: image.put(image.at("dir") + 32 + 8, 0, 2),
        "dir: has a block that is not one of a directory",
    ),
    "a directory cut short": (
        lambda image: image.put(image.at("dir") + SIZE, 7, 4),
        "dir: has a block that is not one of a directory",
    ),
    "a directory of nothing": (
        lambda image: image.put(image.at("dir") + SIZE, 0, 4),
        "dir: its '.' or '..' leads elsewhere",
    ),
    "a directory with a hole": (
        lambda image: image.put(image.at("dir"), PLAIN << 1, 2).put(
            image.at("dir") + ADDRESS, HOLE, 4
        ),
        "dir: has a hole, and is no file",
    ),
    "a directory as large as no image": (
        lambda image: image.put(image.at("dir") + SIZE, 0xFFFFFFFF, 4),
        "dir: with it directories have more bytes than the image",
    ),
    "a directory's '.' that is another": (
        lambda image: image.put(image.at("dir") + 32, 3, 8),
        "dir: its '.' or '..' leads elsewhere",
    ),
    "a directory's '..' that is another": (
        lambda image: image.put(image.at("dir") + 44, 3, 8),
        "dir: its '.' or '..' leads elsewhere",
    ),
    "a directory's '..' that is called a file": (
        lambda image: image.put(image.at("dir") + 32 + 12 + 10, 1, 1),
        "dir: says that its '.' or '..' is no directory",
    ),
    "the root's '.' that is called a link": (
        lambda image: image.put(slot(image, b".") + 10, 7, 1),
        "the root directory: says that its '.' or '..' is no directory",
    ),
    "a file that is a directory's": (
        lambda image: image.put(slot(image, b"plain") + 10, 2, 1),
        "plain: is something else than its directory says",
    ),
    "fewer links than it says": (
        lambda image: image.put(image.at("plain") + NLINK, 3, 2),
        "plain: its number of links is 3, and should be 1",
    ),
    "more links than it says": (
        lambda image: image.put(image.at("small") + NLINK, 1, 2),
        "its number of links is 1, and should be 2",
    ),
    "a directory of more directories": (
        lambda image: image.put(image.at("dir") + NLINK, 7, 2),
        "dir: its number of links is 7, and should be 2",
    ),
    "a link to nothing": (
        lambda image: image.put(image.at("link") + SIZE, 0, 4),
        "link: links to ''",
    ),
    "a link with a NUL": (
        lambda image: image.put(image.at("link") + 32, 0, 1),
        "link: links to '\\x00ir/same'",
    ),
    "a link longer than any path": (
        lambda image: image.put(image.at("plain") + MODE, LINK, 2),
        "plain: leads to a path of",
    ),
    "a time that is none": (
        lambda image: image.put(image.at("tail") + 40, 1_000_000_000, 4),
        "dir/inner: has an invalid time",
    ),
    "an epoch that is none": (
        lambda image: image.put(SUPER + 24, (1 << 63) - 1, 8).put(image.at("plain") + 12, 1, 4),
        "plain: has an invalid time",
    ),
    "features of the future": (
        lambda image: image.put(SUPER + 80, 0x80000004, 4),
        "it needs features that are not known here (0x80000000)",
    ),
    "blocks that are not there": (
        lambda image: image.put(SUPER + 36, 0xFFFFFF, 4),
        "it is cut short",
    ),
    "a label without an end": (
        lambda image: image.put(SUPER + 64, b"sixteen letters!"),
        "its label has no NUL at its end",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, expected = DAMAGES[name]
    image = sample()
    image.made(CHUNKED)
    change(image)
    verdict = undergo(image.mend(), tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert verdict.codes["verify"] == 6


def test_a_wrong_checksum_is_told_by_all_that_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = bytearray(sound())
    image[SUPER + 4] ^= 1
    verdict = undergo(bytes(image), tmp_path, capsys)
    [problem] = verdict.problems
    assert "checksum is wrong, so that Linux does not mount it" in problem
    assert {verdict.codes[name] for name in ("ls", "verify", "extract")} == {6}


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (12, 0, "its blocks have 2^0 bytes"),
        (12, 200, "its blocks have 2^200 bytes"),
        (85 + 5, 1, "its directories have blocks of their own"),
        (14, 0xFFFF, "the root directory: "),
        (14, 1, "the root directory: its inode"),
        (40, 0xFFFFFFFF, "the root directory: the image ends"),
    ],
)
def test_a_superblock_that_leads_nowhere_ends_the_reading(
    offset: int, value: int, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = sample()
    image.made(CHUNKED)
    size = 4 if value > 0xFFFF else 2 if offset == 14 else 1
    image.put(SUPER + offset, value, size)
    data = image.mend() if 9 <= image.number(SUPER + 12, 1) <= 12 else bytes(image.data)
    verdict = undergo(data, tmp_path, capsys)
    assert any(expected in problem for problem in verdict.problems), verdict.problems
    assert set(verdict.codes.values()) == {6}


@pytest.mark.parametrize("length", [1, 1027, 1028, 1151, 1152, 2000, 4096, 70_000, -1])
def test_an_image_cut_short_anywhere_is_an_error(
    length: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = undergo(sound()[:length], tmp_path, capsys)
    assert verdict.codes["verify"] == 6


def test_the_root_may_be_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = sample()
    image.made(CHUNKED)
    verdict = undergo(image.root("plain").mend(), tmp_path, capsys)
    assert "the root directory: its inode is not that of a directory" in verdict.problems[0]


def test_what_linux_6_15_has_is_read() -> None:
    """Addresses of 48 bits, times of compact inodes, no '.', files that are holes."""
    image = sample()
    image.made(CHUNKED | 0x80)
    image.put(image.at("small") + 12, 100, 4)
    image.put(image.at("empty"), 0x10, 2).put(image.at("empty") + NLINK, 0xFFFF, 2)
    image.put(image.at("empty") + SIZE, 5000, 4).put(image.at("empty") + ADDRESS, HOLE, 4)
    image.put(image.at("dir"), 0x14, 2)
    high = image.at("plain")
    image.put(high, 0x10, 2).put(high + NLINK, 0, 2)
    image.put(SUPER + 112, image.nids["root"], 8).put(SUPER + 14, 0, 2)
    with blockpack.open_image(io.BytesIO(image.mend())) as opened:
        assert list(map(str, opened.verify())) == []
        assert opened["small"].mtime_ns == opened["plain"].mtime_ns + 100 * 10**9
        assert opened.read("empty") == bytes(5000)
        assert opened["empty"].extents == ((None, 5000),)
        assert opened.read("plain") == TEXT[: 2 * image.block + 7]
    image.put(high + NLINK, 1, 2)
    with blockpack.open_image(io.BytesIO(image.mend())) as opened:
        told = str(opened.problems[0])
        assert told.startswith("plain: the image ends at byte ") and "and bytes 17,592" in told


def test_names_of_all_bytes_are_read_as_they_are() -> None:
    image = Erofs()
    image.reserve("root", 32, 3700)
    names = {bytes([byte]) for byte in range(1, 256)} - {b"/", b"."} | {b"x" * 255}
    image.inode("file", data=b"y", nlink=len(names))
    image.directory("root", dict.fromkeys(names, "file"))
    with blockpack.open_image(io.BytesIO(image.root("root").made())) as opened:
        assert list(map(str, opened.verify())) == []
        assert {entry.path.encode("utf-8", "surrogateescape") for entry in opened} == names


def test_all_damage_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = sample()
    image.made(CHUNKED)
    image.put(image.at("plain") + ADDRESS, 0xFFFFFFF0, 4)
    image.put(image.at("chunks") + SIZE, 0xFFFFFFFF, 4)
    lead(image, b"empty", 1 << 40)
    verdict = undergo(image.mend(), tmp_path, capsys)
    for word in ("plain", "chunks", "empty"):
        assert any(word in problem for problem in verdict.problems)
    assert (tmp_path / "sandbox/below/out/dir/inner").is_file()
