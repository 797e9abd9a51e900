"""UEFI firmware reads every name and byte of our FAT volumes, and of mkfs.fat's.

The one boot is for all. A damaged volume is among them, or nobody would know that it can be seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import blockpack
from judges.fat_tools import Contents
from judges_selftest.real_images import CONTENTS, make_fat, make_tree, patch
from vm.firmware import firmware_read

TYPES = (12, 16, 32)
PROFILES = ("uefi", "raspberrypi")
NAMES = ("漢字 and ASCII.txt", "Mixed.Txt", "n" * 13, "N" * 26, "lower.txt", "a.b.c", "x" * 200)
MORE: Contents = {
    **CONTENTS,
    "large": bytes(range(251)) * 2000,
    **{name: name.encode() for name in NAMES},
}


@pytest.fixture(name="read", scope="module")
def fixture_read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Contents]:
    """What the firmware reads in each image."""
    scratch = tmp_path_factory.mktemp("firmware")
    tree = make_tree(scratch / "tree")
    for path, data in MORE.items():
        if path not in CONTENTS and data is not None:
            (tree / path).write_bytes(data)
    images = {f"FAT{bits}": _packed(scratch / f"{bits}.img", tree, fat_type=bits) for bits in TYPES}
    for profile in PROFILES:
        images[profile] = _packed(scratch / f"{profile}.img", tree, profile=profile, size="34M")
    images["mkfs.fat"] = make_fat(scratch / "theirs.img", 1 << 24, "-F16", tree=tree)
    images["damaged"] = make_fat(scratch / "damaged.img", 1 << 24, "-F16", tree=tree)
    patch(images["damaged"], images["damaged"].read_bytes().index(b"thirteen"), b"T")
    return dict(zip(images, firmware_read(list(images.values()), scratch), strict=True))


def _packed(image: Path, tree: Path, **options: Any) -> Path:
    volume = blockpack.FatVolume(**options)
    blockpack.write(volume.plan(blockpack.scan(tree)), image)
    return image


@pytest.mark.parametrize("bits", TYPES)
def test_our_volumes_are_read(read: dict[str, Contents], bits: int) -> None:
    assert read[f"FAT{bits}"] == MORE


@pytest.mark.parametrize("profile", PROFILES)
def test_volumes_of_profiles_of_firmware_are_read(read: dict[str, Contents], profile: str) -> None:
    """FAT32 by preference, and bits for lower case beside long names."""
    assert read[profile] == MORE


def test_the_volumes_of_others_are_read(read: dict[str, Contents]) -> None:
    assert read["mkfs.fat"] == MORE


def test_one_changed_byte_is_seen(read: dict[str, Contents]) -> None:
    assert read["damaged"] == MORE | {"exactly13.txt": b"Thirteen\n"}
