"""Disks made by real tools: sfdisk, sgdisk and parted, with file systems by mkfs.fat and mtools and
archives by GNU tar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from judges.programs import run
from judges_selftest.real_images import make_fat, make_tar, make_tree

MIB = 1 << 20
SIZE = 24 * MIB


class RealDisk(NamedTuple):
    """A disk, and the numbers of its partitions that hold FAT, tar and nothing that is read."""

    path: Path
    fat: int
    tar: int
    swap: int


def sfdisk(image: Path, script: str, *options: str) -> None:
    """Partition a file by a script."""
    how = ("--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never")
    run("sfdisk", [*how, "--wipe-partitions", "never", *options, image], stdin=script.encode())


def fdisk(image: Path, partitions: Iterable[tuple[int, int, str]]) -> None:
    """Partition a file of sectors of 4096 bytes: first sector, sectors and name of each."""
    commands = ["g"]
    for number, (start, size, name) in enumerate(partitions, 1):
        commands += ["n", str(number), str(start), str(start + size - 1)]
        commands += ["x", "n", *([str(number)] if number > 1 else []), name, "r"]
    how = ["-b", "4096", "--wipe", "never", "--wipe-partitions", "never"]
    run("fdisk", [*how, image], stdin="\n".join([*commands, "w", ""]).encode())


def _sfdisk_gpt(image: Path) -> tuple[int, int, int]:
    sfdisk(
        image,
        """label: gpt
start=1MiB, size=8MiB, type=uefi, name="EFI"
start=9MiB, size=4MiB, type=linux, name="tar"
start=13MiB, size=4MiB, type=swap, name="swap"
""",
    )
    return 1, 9, 13


def _fdisk_4096(image: Path) -> tuple[int, int, int]:
    fdisk(image, [(256, 2048, "EFI"), (2304, 1024, "tar"), (3328, 1024, "swap")])
    return 1, 9, 13


def _sfdisk_mbr(image: Path) -> tuple[int, int, int]:
    sfdisk(
        image,
        """label: dos
start=1MiB, size=8MiB, type=c, bootable
start=9MiB, size=4MiB, type=83
start=13MiB, size=4MiB, type=82
""",
    )
    return 1, 9, 13


def _sfdisk_logical(image: Path) -> tuple[int, int, int]:
    sfdisk(
        image,
        """label: dos
1: start=1MiB, size=8MiB, type=c
2: start=9MiB, size=14MiB, type=5
5: start=10MiB, size=4MiB, type=83
6: start=15MiB, size=4MiB, type=82
""",
    )
    return 1, 10, 15


def _sgdisk(image: Path, *options: str) -> tuple[int, int, int]:
    run(
        "sgdisk",
        [
            *("--new=1:2048:+8M", "--typecode=1:ef00", "--change-name=1:EFI"),
            *("--new=2:18432:+4M", "--typecode=2:8300", "--change-name=2:tar"),
            *("--new=3:26624:+4M", "--typecode=3:8200", "--change-name=3:swap"),
            *options,
            image,
        ],
    )
    return 1, 9, 13


def _hybrid(image: Path) -> tuple[int, int, int]:
    return _sgdisk(image, "--hybrid=1:2")


def _parted(label: str) -> Callable[[Path], tuple[int, int, int]]:
    def make(image: Path) -> tuple[int, int, int]:
        names = ("EFI", "tar", "swap") if label == "gpt" else ("primary",) * 3
        commands = [
            *("mklabel", label, "mkpart", names[0], "fat32", "1MiB", "9MiB"),
            *("mkpart", names[1], "9MiB", "13MiB"),
            *("mkpart", names[2], "linux-swap", "13MiB", "17MiB"),
        ]
        run("parted", ["--script", image, *commands])
        return 1, 9, 13

    return make


MAKERS: dict[str, Callable[[Path], tuple[int, int, int]]] = {
    "sfdisk, GPT": _sfdisk_gpt,
    "fdisk, GPT, 4096 bytes a sector": _fdisk_4096,
    "sfdisk, MBR": _sfdisk_mbr,
    "sfdisk, logical partitions": _sfdisk_logical,
    "sgdisk": _sgdisk,
    "sgdisk, hybrid": _hybrid,
    "parted, GPT": _parted("gpt"),
    "parted, MBR": _parted("msdos"),
}
"""Who partitions: gives where the FAT, the tar and the swap begin (MiB)."""


def make_disk(maker: str, directory: Path) -> RealDisk:
    """A disk of the tree that `make_tree` makes: as FAT, as tar, and a swap beside them."""
    tree = make_tree(directory / "tree")
    fat = make_fat(directory / "fat.img", 8 * MIB, "-n", "BOOT", tree=tree)
    tar = make_tar(directory / "site.tar", tree, "tar")
    image = directory / "card.img"
    with image.open("wb") as file:
        file.truncate(SIZE)
    places = MAKERS[maker](image)
    swap = bytes(4086) + b"SWAPSPACE2"
    with image.open("r+b") as file:
        for at, data in zip(places, (fat.read_bytes(), tar.read_bytes(), swap), strict=True):
            file.seek(at * MIB)
            file.write(data)
    logical = "logical" in maker
    return RealDisk(image, 1, 5 if logical else 2, 6 if logical else 3)
