"""FatFs, GRUB, The Sleuth Kit and Debian's pax read our images as we do."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

import blockpack
from judges.fatfs import fatfs_read
from judges.grub import grub_fat_spelling, grub_read
from judges.pax import pax_list, pax_read
from judges.sleuthkit import sleuthkit_facts, sleuthkit_label, sleuthkit_read
from judges_selftest.real_images import CONTENTS, FILES, make_tree

FAT_TYPES = ("12", "16", "32")
SECTOR_SIZES = (512, 4096)
LONG = f"{'long' * 30}/{'longer' * 20}"


def packed(volume: blockpack.Volume, tree: Path, image: Path) -> Path:
    blockpack.write(volume.plan(blockpack.scan(make_tree(tree))), image)
    return image


@pytest.fixture(name="fat", params=FAT_TYPES)
def fixture_fat(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    volume = blockpack.FatVolume(fat_type=request.param, sector_size=512, label="A LABEL")
    return packed(volume, tmp_path / "tree", tmp_path / "fat.img")


@pytest.mark.parametrize("sector_size", SECTOR_SIZES)
@pytest.mark.parametrize("fat_type", FAT_TYPES)
def test_fatfs_reads_fat(fat_type: str, sector_size: int, tmp_path: Path) -> None:
    # FatFs mounts nothing of fewer than 128 sectors, as our smallest volumes are.
    volume = blockpack.FatVolume(fat_type=fat_type, sector_size=sector_size, free=256 * sector_size)
    image = packed(volume, tmp_path / "tree", tmp_path / "fat.img")
    assert fatfs_read(image, sector_size=sector_size, names=["Größe.txt"]) == CONTENTS


def test_grub_reads_fat(fat: Path) -> None:
    spelled = {grub_fat_spelling(path): data for path, data in CONTENTS.items()}
    assert grub_read(fat, "fat") == spelled


def test_the_sleuth_kit_reads_fat(fat: Path) -> None:
    assert sleuthkit_read(fat) == CONTENTS
    assert sleuthkit_label(fat) == "A LABEL"
    assert sleuthkit_facts(fat)["Volume Label (Boot Sector)"] == "A LABEL"


@pytest.mark.parametrize("align", SECTOR_SIZES)
def test_grub_reads_tar(align: int, tmp_path: Path) -> None:
    volume = blockpack.TarVolume(dialect="gnu", align=align)
    tree = tmp_path / "tree"
    (tree / LONG).mkdir(parents=True)
    image = packed(volume, tree, tmp_path / "x.tar")
    assert grub_read(image, "tarfs") == CONTENTS | {LONG.split("/")[0]: None, LONG: None}


@pytest.mark.parametrize("align", SECTOR_SIZES)
@pytest.mark.parametrize("dialect", ["gnu", "pax"])
def test_pax_reads_tar(dialect: Literal["gnu", "pax"], align: int, tmp_path: Path) -> None:
    volume = blockpack.TarVolume(dialect=dialect, align=align)
    tree = tmp_path / "tree"
    (tree / LONG).mkdir(parents=True)
    image = packed(volume, tree, tmp_path / "x.tar")
    listed = {name.decode().removeprefix("./").rstrip("/") for name in pax_list(image)} - {""}
    assert listed == {*CONTENTS, LONG.split("/")[0], LONG}
    read = {path.decode(): member.content for path, member in pax_read(image).items()}
    assert {path: data for path, data in read.items() if path in FILES} == FILES
