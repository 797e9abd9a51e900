"""Sparse images that claim as many clusters as can be, and more: nothing of that is in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import blockpack
from hostile.fat_images import Fat
from hostile.ordeal import in_memory, in_time

MOST_CLUSTERS = 0x0FFFFFF5
"""What FAT32 can number."""


def gigantic(path: Path, clusters: int) -> Path:
    """A FAT32 of `clusters` sectors, free but for the root directory's, and a table to match."""
    fat = Fat.of(32)
    per_fat = -(-(clusters + 2) * 4 // 512)
    total = fat.number(14, 2) + per_fat + clusters
    fat.put(13, 1, 1).put(16, 1, 1).put(32, total, 4).put(36, per_fat, 4).put(44, 2, 4)
    with open(path, "wb") as file:
        file.write(fat.data[:512])
        file.seek(fat.fat_offset)
        file.write(b"\xf8\xff\xff\x0f" + b"\xff\xff\xff\x0f" * 2)
        file.truncate(total * 512)
    return path


@pytest.mark.parametrize("clusters", [4_000_000_000, MOST_CLUSTERS + 1])
def test_more_clusters_than_fat32_can_number_are_refused_at_once(
    tmp_path: Path, clusters: int
) -> None:
    path = gigantic(tmp_path / "image", clusters)
    with (
        in_time(),
        in_memory(),
        pytest.raises(blockpack.ImageError, match=f"tells of {clusters:,} clusters; it is damaged"),
        blockpack.open_image(path) as image,
    ):
        image.verify()


def test_as_many_clusters_as_fat32_can_number_cost_nothing_to_list(tmp_path: Path) -> None:
    path = gigantic(tmp_path / "image", MOST_CLUSTERS)
    with in_time(), in_memory(), blockpack.open_image(path) as image:
        assert list(image.walk()) == []
