"""The Sleuth Kit reads what mkfs.fat and mcopy wrote, and notices what was lost or deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from judges.programs import run_silent
from judges.sleuthkit import sleuthkit_facts, sleuthkit_label, sleuthkit_read

from .real_images import CONTENTS, make_fat, make_tree, patch

VOLUMES = {
    "FAT12": (1 << 20, "-F12", "-s1"),
    "FAT16": (1 << 22, "-F16", "-s1"),
    "FAT32": (40 << 20, "-F32", "-s1"),
}


@pytest.fixture(name="image", params=VOLUMES)
def fixture_image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    size, *options = VOLUMES[request.param]
    options += ["-n", "A LABEL", "-i", "0badcafe"]
    return make_fat(tmp_path / "fat.img", size, *options, tree=make_tree(tmp_path / "tree"))


def test_every_name_and_byte_is_read(image: Path) -> None:
    assert sleuthkit_read(image) == CONTENTS


def test_the_facts_are_told(image: Path) -> None:
    facts = sleuthkit_facts(image)
    assert facts["File System Type"] in VOLUMES
    assert (facts["Sector Size"], facts["Cluster Size"]) == ("512", "512")
    assert facts["Volume ID"] == "0xbadcafe"
    assert facts["Volume Label (Boot Sector)"] == "A LABEL"
    assert sleuthkit_label(image) == "A LABEL"


def test_a_label_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert sleuthkit_label(make_fat(tmp_path / "fat.img", 1 << 20, "-F12", "-s1")) is None


def test_one_changed_byte_is_seen(image: Path) -> None:
    patch(image, image.read_bytes().index(b"thirteen"), b"T")
    assert sleuthkit_read(image)["exactly13.txt"] == b"Thirteen\n"


def test_a_changed_name_is_seen(image: Path) -> None:
    patch(image, image.read_bytes().index("xact".encode("utf-16-le")), b"X")
    assert sleuthkit_read(image).keys() != CONTENTS.keys()


def test_a_deleted_file_is_seen(image: Path) -> None:
    run_silent("mdel", ["-i", image, "::exactly13.txt"])
    with pytest.raises(AssertionError, match="exactly13"):
        sleuthkit_read(image)


def test_an_orphan_is_seen(image: Path) -> None:
    # The short entry of the directory is marked deleted, and what is in it has no way to it.
    patch(image, image.read_bytes().index(b"DIR        \x10"), b"\xe5")
    with pytest.raises(AssertionError, match="The Sleuth Kit found"):
        sleuthkit_read(image)


def test_what_is_no_fat_is_rejected(tmp_path: Path) -> None:
    image = tmp_path / "fat.img"
    image.write_bytes(bytes(1 << 20))
    with pytest.raises(AssertionError, match="fls"):
        sleuthkit_read(image)
