"""A deployment with a disk of two volumes, and what is on a disk.

That is told by programs that know nothing of blockpack: sfdisk reads the table, mtools and GNU tar
what is in the partitions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from blockpack import Problems
from deploy.deployments import manifest
from judges.fat_tools import mtools_read
from judges.partition_tables import Told, sfdisk_table
from judges.programs import run

VOLUMES = """
[volumes.boot]
source = "boot"
format = "fat"

[volumes.site]
source = "site"
format = "tar"
"""

DISK = """
[disks.card]
entries = 56
raw = [{ path = "u-boot.bin", offset = "8K" }]

[[disks.card.partitions]]
volume = "boot"
type = "esp"
name = "EFI"

[[disks.card.partitions]]
volume = "site"
size = "4M"
flags = ["read-only"]

[[disks.card.partitions]]
type = "swap"
name = "swap"
size = "2M"
"""

LOADER = b"U-Boot " * 1000
FILES = {
    "blockpack.toml": manifest(VOLUMES + DISK),
    "boot/EFI/BOOT/BOOTX64.EFI": b"MZ" + bytes(5000),
    "site/index.html": b"<h1>hello</h1>\n",
    "site/pages/about.html": b"about\n" * 1000,
    "u-boot.bin": LOADER,
}


class Found(NamedTuple):
    """A partition, as sfdisk tells of it, and its bytes."""

    told: Told
    data: bytes


def partitions(image: Path) -> list[Found]:
    """All partitions of a disk."""
    with image.open("rb") as file:
        found = []
        for each in sfdisk_table(image).partitions:
            file.seek(each.start)
            found.append(Found(each, file.read(each.size)))
        return found


def in_tar(data: bytes, place: Path) -> dict[str, bytes]:
    """The files in a partition, by GNU tar."""
    (place / "partition.tar").write_bytes(data)
    (place / "extracted").mkdir()
    run("tar", ["-xf", place / "partition.tar", "-C", place / "extracted"])
    below = place / "extracted"
    return {
        str(path.relative_to(below)): path.read_bytes()
        for path in below.rglob("*")
        if path.is_file()
    }


def in_fat(data: bytes, place: Path) -> dict[str, bytes]:
    """The files in a partition, by mtools."""
    (place / "partition.fat").write_bytes(data)
    found = mtools_read(place / "partition.fat")
    return {path: data for path, data in found.items() if data is not None}


def refusal(work: Callable[[], object]) -> str:
    """All that is said of what cannot be done."""
    with pytest.raises(Problems) as caught:
        work()
    return str(caught.value)
