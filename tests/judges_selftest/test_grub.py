"""GRUB's drivers read what mcopy and GNU tar wrote, and notice when it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges.fat_tools import Contents
from judges.grub import grub_fat_spelling, grub_read

from .real_images import CONTENTS, make_fat, make_tar, make_tree, patch

SPELLED: Contents = {grub_fat_spelling(path): data for path, data in CONTENTS.items()}


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture(name="fat")
def fixture_fat(tree: Path, tmp_path: Path) -> Path:
    return make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1", tree=tree)


@pytest.fixture(name="tar")
def fixture_tar(tree: Path, tmp_path: Path) -> Path:
    return make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")


@pytest.mark.parametrize(
    ("size", "options"),
    [(1 << 20, ["-F12"]), (1 << 22, ["-F16", "-s1"]), (40 << 20, ["-F32", "-s1"])],
)
def test_every_name_and_byte_of_a_fat_is_read(
    tree: Path, tmp_path: Path, size: int, options: list[str]
) -> None:
    image = make_fat(tmp_path / "fat.img", size, *options, tree=tree)
    assert grub_read(image, "fat") == SPELLED


def test_every_name_and_byte_of_a_tar_is_read(tar: Path) -> None:
    assert grub_read(tar, "tarfs") == CONTENTS


def test_long_names_and_spaces_are_read(tree: Path, tmp_path: Path) -> None:
    long = f"{'long' * 30}/ two  spaces "
    (tree / long).parent.mkdir()
    (tree / long).write_bytes(b"far")
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    assert grub_read(image, "tarfs") == CONTENTS | {long: b"far", "long" * 30: None}


def test_the_short_names_are_lower_case() -> None:
    assert grub_fat_spelling("DIR/UPPER.TXT/Mixed.txt/A B") == "dir/upper.txt/Mixed.txt/A B"


def test_a_changed_byte_is_seen(fat: Path, tar: Path) -> None:
    for image in (fat, tar):
        patch(image, image.read_bytes().index(b"thirteen"), b"T")
    assert grub_read(fat, "fat")["exactly13.txt"] == b"Thirteen\n"
    assert grub_read(tar, "tarfs")["exactly13.txt"] == b"Thirteen\n"


def test_a_changed_name_is_seen(fat: Path) -> None:
    patch(fat, fat.read_bytes().index("xact".encode("utf-16-le")), b"X")
    assert grub_read(fat, "fat").keys() != SPELLED.keys()


def test_an_extended_header_is_seen(tree: Path, tmp_path: Path) -> None:
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=pax", "--pax-option=comment=x")
    with pytest.raises(AssertionError, match="'/PaxHeaders' twice"):
        grub_read(image, "tarfs")


def test_a_link_to_nowhere_is_not_passed_over(tree: Path, tmp_path: Path) -> None:
    (tree / "link").symlink_to("nowhere")
    image = make_tar(tmp_path / "x.tar", tree, "tar", "--format=gnu")
    with pytest.raises(AssertionError, match="opens of them"):
        grub_read(image, "tarfs")


@pytest.mark.parametrize("start", [b"thirteen", b"beyond ASCII"])
def test_a_truncated_image_is_rejected(fat: Path, start: bytes) -> None:
    data = fat.read_bytes()
    fat.write_bytes(data[: data.index(start) // 512 * 512])
    with pytest.raises(AssertionError, match="grub-fstest"):
        grub_read(fat, "fat")


def test_a_truncated_archive_is_not_read_whole(tar: Path) -> None:
    data = tar.read_bytes()
    tar.write_bytes(data[: data.index(b"exactly13.txt")])
    with pytest.raises(AssertionError):
        assert grub_read(tar, "tarfs") == CONTENTS


def test_what_is_of_another_kind_is_rejected(fat: Path, tar: Path, tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(1 << 20))
    for image in (zeros, tar):
        with pytest.raises(AssertionError, match="GRUB tells"):
            grub_read(image, "fat")
    with pytest.raises(AssertionError, match="GRUB tells"):
        grub_read(fat, "tarfs")
