"""FatFs reads what mkfs.fat and mcopy wrote, and notices when it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges.fat_tools import Contents
from judges.fatfs import fatfs_read, fatfs_spelling

from .real_images import CONTENTS, FILES, make_fat, make_tree, patch

NAMES = ("Größe.txt",)
VOLUMES = {
    "FAT12": (1 << 20, "-F12", "-s1"),
    "FAT16": (1 << 22, "-F16", "-s1"),
    "FAT32": (40 << 20, "-F32", "-s1"),
}


@pytest.fixture(name="image", params=VOLUMES)
def fixture_image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    size, *options = VOLUMES[request.param]
    return make_fat(tmp_path / "fat.img", size, *options, tree=make_tree(tmp_path / "tree"))


def test_every_name_and_byte_is_read(image: Path) -> None:
    assert fatfs_read(image, names=NAMES) == CONTENTS
    assert fatfs_read(image.read_bytes(), names=NAMES) == CONTENTS


def test_large_sectors_are_read_by_a_device_that_has_them(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    image = make_fat(tmp_path / "fat.img", 32 << 20, "-F16", "-S4096", "-s1", tree=tree)
    assert fatfs_read(image, sector_size=4096, names=NAMES) == CONTENTS
    with pytest.raises(AssertionError, match="does not mount"):
        fatfs_read(image)


def test_one_changed_byte_is_seen(image: Path) -> None:
    patch(image, image.read_bytes().index(b"thirteen"), b"T")
    assert differing(fatfs_read(image, names=NAMES)) == {"exactly13.txt"}


def test_a_changed_name_is_seen(image: Path) -> None:
    patch(image, image.read_bytes().index("xact".encode("utf-16-le")), b"X")
    assert fatfs_read(image, names=NAMES).keys() != CONTENTS.keys()


def test_a_name_that_was_not_told_of_is_no_verdict(image: Path) -> None:
    with pytest.raises(AssertionError, match="nobody told of"):
        fatfs_read(image)
    with pytest.raises(UnicodeEncodeError):
        fatfs_spelling("漢")


def test_a_chain_that_ends_early_is_rejected(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    image = make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1", tree=tree)
    data = image.read_bytes()
    # The first cluster of the one file of two clusters says that the second is free.
    start = data.index(FILES["two clusters, not quite.bin"])
    cluster = 2 + (start - data_area(data)) // 512
    patch(image, 512 + 2 * cluster, b"\0\0")
    with pytest.raises(AssertionError, match="read the file"):
        fatfs_read(image, names=NAMES)


def test_a_truncated_volume_is_rejected(image: Path) -> None:
    data = image.read_bytes()
    image.write_bytes(data[: data.index(b"thirteen") // 512 * 512])
    with pytest.raises(AssertionError, match="outside of the device"):
        fatfs_read(image, names=NAMES)


def test_what_is_no_fat_is_rejected_again_and_again() -> None:
    for _ in range(12):  # there are ten drives at most, and each is given back
        with pytest.raises(AssertionError, match="does not mount"):
            fatfs_read(bytes(1 << 20))


def data_area(data: bytes) -> int:
    """Where the clusters of a FAT16 volume with sectors of 512 bytes begin."""
    reserved, tables, roots, size = (
        int.from_bytes(data[at : at + length], "little")
        for at, length in ((14, 2), (16, 1), (17, 2), (22, 2))
    )
    return 512 * (reserved + tables * size) + 32 * roots


def differing(contents: Contents) -> set[str]:
    """The paths that are not in `CONTENTS` with the same bytes."""
    return {path for path, data in contents.items() if CONTENTS.get(path, b"?") != data}
