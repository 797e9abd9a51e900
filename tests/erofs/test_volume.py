"""EROFS images: what EROFS and its reader in Linux can hold, each limit where it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

import blockpack
from blockpack.formats.erofs import structures
from blockpack.model.entry import MEMORY
from judges.erofs_tools import dump, fsck, mounted, seen

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

BLOCK_SIZES = (4096, 2048, 1024, 512)


def packed(tree: blockpack.Tree, image: Path, **options: Any) -> blockpack.Layout:
    """The layout of `tree`, of which `image` is written."""
    layout = blockpack.ErofsVolume(**options).plan(tree)
    blockpack.write(layout, image)
    return layout


def refusals(tree: blockpack.Tree, **options: Any) -> list[tuple[str, str]]:
    """The path and the rule of each problem."""
    with pytest.raises(blockpack.Problems) as problems:
        blockpack.ErofsVolume(**options).plan(tree)
    return [(error.path, error.rule) for error in problems.value.errors]


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_ten_thousand_names_are_found_one_by_one(tmp_path: Path, block_size: int) -> None:
    tree = blockpack.Tree()
    names = [f"{'n' * (number % 240)}{number}" for number in range(10_000)]
    for name in names:
        tree.add(f"many/{name}", name.encode())
    packed(tree, tmp_path / "image", block_size=block_size)
    with mounted(tmp_path / "image") as point:
        assert sorted(os.listdir(point / "many")) == sorted(names)
        for name in names[::7]:
            assert (point / "many" / name).read_bytes() == name.encode()
        assert not (point / "many" / "none").exists()


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_a_name_may_have_every_byte(tmp_path: Path, block_size: int) -> None:
    tree = blockpack.Tree()
    allowed = [byte for byte in range(1, 256) if byte not in (0x2E, 0x2F)]
    names = [bytes([byte]) for byte in allowed] + [bytes([byte]) * 255 for byte in allowed]
    names += [b"." + bytes([byte]) for byte in allowed] + [b"..a", b"..."]
    for name in names:
        tree.add(os.fsdecode(name), name)
    packed(tree, tmp_path / "image", block_size=block_size)
    with mounted(tmp_path / "image") as point:
        found = seen(point)
    del found[b""]
    assert {path: each.content for path, each in found.items()} == {name: name for name in names}


def test_what_linux_has_not_is_refused(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("n" * 256, b"")
    tree.add("d/" + "é" * 128, b"")
    tree.add("d/" + "n" * 255, b"")
    tree.symlink("d/link", "t" * 4096)
    tree.symlink("d/longest", "t" * 4095)
    assert refusals(tree) == [
        ("d/" + "é" * 128, "its name has 256 bytes, and 255 are the most"),
        ("n" * 256, "its name has 256 bytes, and 255 are the most"),
        ("d/link", "its target has 4,096 bytes, and Linux reads 4,095"),
    ]
    too_many = blockpack.Tree()
    too_many.put(blockpack.File("huge", 3 << 40, MEMORY, None))
    rule = "the image has more than 4,294,967,295 blocks of 512 bytes"
    assert refusals(too_many, block_size=512) == [("", rule)]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"label": "x" * 16}, "invalid label 'xxxxxxxxxxxxxxxx'"),
        ({"label": "é" * 8}, "invalid label 'éééééééé'"),
        ({"label": "a\0b"}, r"invalid label 'a\\x00b'"),
        ({"label": "a\nb"}, r"'a\\nb'; give a text in UTF-8, of characters that can be printed"),
        ({"block_size": 8192}, "invalid block size 8192"),
        ({"block_size": 512, "sector_size": 4096}, "no device of 4096-byte sectors"),
        ({"block_size": 2048, "profile": "linux-5.10"}, "profile linux-5.10 reads blocks of 4096"),
        ({"inline": "on"}, "inline: is 'on'; give 'auto' or 'off'"),
        ({"profile": "nocloud"}, "profile nocloud reads fat, not erofs"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(blockpack.UsageError, match=rule):
        blockpack.ErofsVolume(**options)


def test_small_blocks_are_warned_of() -> None:
    (warning,) = blockpack.ErofsVolume(block_size=512).plan(blockpack.Tree()).warnings
    assert warning.code == "small-blocks"
    linux = blockpack.ErofsVolume(block_size=512, profile="linux")
    assert not linux.plan(blockpack.Tree()).warnings


def test_the_superblock_says_what_was_asked_for(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("a/b", b"c")
    layout = packed(tree, tmp_path / "image", label="fifteen byte é", epoch=1_700_000_000)
    told = dump(tmp_path / "image")
    assert told["magic number"] == "0xE0F5E1E2"
    # erofs-utils 1.9 tells compatible ones apart.
    assert told.get("features", told.get("compatible features")) == "sb_csum mtime"
    assert told["inode count"] == "3"
    assert told["created"] == "Tue Nov 14 22:13:20 2023"
    assert told["UUID"] == layout.geometry["uuid"]
    assert int(told["blocks"]) * 4096 == layout.size == (tmp_path / "image").stat().st_size
    with mounted(tmp_path / "image"):
        pass
    assert b"fifteen byte \xc3\xa9\0" in (tmp_path / "image").read_bytes()[1024:1152]


def test_the_uuid_follows_from_what_is_planned() -> None:
    def uuid(tree: blockpack.Tree, **options: Any) -> object:
        return blockpack.ErofsVolume(**options).plan(tree).geometry["uuid"]

    tree, other = blockpack.Tree(), blockpack.Tree()
    tree.add("a", b"content")
    other.add("b", b"content")
    found = [uuid(tree), uuid(other), uuid(tree, label="x"), uuid(tree, epoch=1)]
    found += [uuid(tree, mtime="keep"), uuid(tree, owner="0:1"), uuid(tree, block_size=1024)]
    other.remove("b")
    other.add("a", b"changed", mode=0o600)
    assert uuid(other) == found[0]
    found += [uuid(other, mode="keep")]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_no_content_is_in_the_block_of_the_checksum(tmp_path: Path, block_size: int) -> None:
    tree, other = blockpack.Tree(), blockpack.Tree()
    for number in range(40):
        tree.add(f"{number}", b"%d" % number * 9)
        other.add(f"{number}", b"x" * len(b"%d" % number * 9))
    images = tmp_path / "one", tmp_path / "two"
    for each, image in zip((tree, other), images, strict=True):
        packed(each, image, block_size=block_size)
    one, two = (image.read_bytes() for image in images)
    covered = 1024 + (block_size - 1024 if block_size > 1024 else block_size)
    assert one[:covered] == two[:covered] and one != two


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_large_files_begin_where_they_can_be_cloned(block_size: int) -> None:
    tree = blockpack.Tree()
    for number, size in enumerate((1, 65_535, 65_536, 70_001, 513, MIB, MIB + 1, 5000, 2 * MIB)):
        tree.add(f"{number}", bytes(size))
    layout = blockpack.ErofsVolume(block_size=block_size, profile="linux").plan(tree)
    placed = {each.entry.path: each.offset for each in layout.placements()}
    for whole in "2568":  # the others are small, or have their tails elsewhere
        offset = placed[whole]
        assert offset is not None and not offset % 4096


def test_the_record_has_a_file_whose_tail_is_elsewhere(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    tree.add("two pieces", bytes(range(256)) * 17)
    layout = blockpack.ErofsVolume().plan(tree)
    blockpack.write(layout, tmp_path / "image")
    (told,) = blockpack.contents(layout)["entries"]
    with blockpack.open_image(tmp_path / "image") as image:
        (read,) = blockpack.contents(image)["entries"]
    assert told["offset"] is None and told["sha256"] == read["sha256"]


def test_all_of_each_file_is_in_blocks_for_dax() -> None:
    tree = blockpack.Tree()
    for size in (1, 100, 4095, 4097, 70_000):
        tree.add(f"{size}", bytes(size))
    layout = blockpack.ErofsVolume(inline="off").plan(tree)
    assert all(each.offset is not None and not each.offset % 4096 for each in layout.placements())


def test_a_sparse_file_of_6_gib_takes_no_room(tmp_path: Path) -> None:
    source, image = tmp_path / "source", tmp_path / "image"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        for at in (0, 5 * GIB, 6 * GIB - 3):
            os.pwrite(file.fileno(), b"end", at)
    report = blockpack.write(blockpack.ErofsVolume().plan(blockpack.scan(source)), image)
    assert report.holes > 6 * GIB - MIB and image.stat().st_blocks * 512 < MIB
    with mounted(image) as point, open(point / "sparse", "rb") as file:
        assert os.fstat(file.fileno()).st_size == 6 * GIB
        for at in (0, 5 * GIB, 6 * GIB - 3):
            assert os.pread(file.fileno(), 6, at).rstrip(b"\0") == b"end"
        assert os.pread(file.fileno(), MIB, 4 * GIB) == bytes(MIB)
    fsck(image)


def test_numbers_of_more_than_16_bits_are_kept(tmp_path: Path) -> None:
    """Links and owners that a compact inode does not hold, and times before 1970."""
    many = range(66_000)
    links: list[blockpack.Entry] = [
        blockpack.File(f"links/{number}", 5, MEMORY, b"bytes", inode=(1, 1)) for number in many
    ]
    below: list[blockpack.Entry] = [blockpack.Directory(f"directories/{number}") for number in many]
    tree = blockpack.Tree.of(
        [[blockpack.Directory("links"), blockpack.Directory("directories")], links, below]
    )
    before = -1_000_000_001
    tree.put(blockpack.File("before", 0, MEMORY, b"", mtime_ns=before, uid=70_000, gid=1 << 31))
    packed(tree, tmp_path / "image", mtime="keep", owner="keep")
    with mounted(tmp_path / "image") as point:
        link, directories, early = (
            os.lstat(point / path) for path in ("links/65999", "directories", "before")
        )
        assert (point / "links" / "65999").read_bytes() == b"bytes"
    assert link.st_nlink == 66_000
    assert directories.st_nlink == 66_002 and stat.S_ISDIR(directories.st_mode)
    assert (early.st_mtime_ns, early.st_uid, early.st_gid) == (before, 70_000, 1 << 31)


def test_no_inode_is_larger_than_it_has_to_be(tmp_path: Path) -> None:
    tree = blockpack.Tree()
    for number in range(1000):
        tree.add(f"{number:03}", b"", mtime_ns=number)
    volumes = (
        blockpack.ErofsVolume(owner="65535:65535"),
        blockpack.ErofsVolume(owner="0:65536"),
        blockpack.ErofsVolume(mtime="keep"),
    )
    sizes = [volume.plan(tree).geometry["metadata"] for volume in volumes]
    compact, *extended = (int(size) for size in sizes)
    inodes = 1000 * structures.COMPACT.size
    assert all(inodes - 4096 <= size - compact <= inodes + 4096 for size in extended)
