"""The checker of FAT invariants accepts real images, and rejects each damage by its name."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from judges.fat_invariants import Node, check
from judges.fat_volume import STRICT, Rules

from .real_images import CONTENTS, TIME, make_fat, make_tree
from .test_fat_tools import VOLUMES

MTOOLS = Rules(alignment=512, lower_case_bits=True, fs_info_backup=False)
"""What mkfs.fat and mcopy need to be forgiven."""


@pytest.fixture(name="images", scope="module")
def fixture_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    directory = tmp_path_factory.mktemp("images")
    tree = make_tree(directory / "tree")
    return {
        name: make_fat(directory / name, size, *options, "-n", "LABEL", tree=tree).read_bytes()
        for name, (size, *options) in VOLUMES.items()
    }


class Damaged:
    """A copy of an image with what its damage is described by."""

    def __init__(self, image: bytes) -> None:
        self.data = bytearray(image)
        small, large = self.get(22), self.get(36, 4)
        self.fat = self.get(14) * 512
        self.fat_length = (small or large) * 512
        self.width = 2 if small else 4
        self.ones = 0xFFFF if small else 0xFFFFFFF
        self.first_cluster = self.fat + 2 * self.fat_length + self.get(17) * 32

    def get(self, offset: int, width: int = 2) -> int:
        """A number."""
        return int.from_bytes(self.data[offset : offset + width], "little")

    def entry(self, short_name: bytes) -> int:
        """The offset of a directory entry."""
        return self.data.index(short_name)

    def cluster(self, short_name: bytes) -> int:
        """The first cluster of a file or directory."""
        return self.get(self.entry(short_name) + 26)

    def offset(self, short_name: bytes) -> int:
        """The offset of a file's or directory's data."""
        return self.first_cluster + (self.cluster(short_name) - 2) * 512

    def set(self, offset: int, value: int, width: int = 1) -> None:
        """Overwrite a number."""
        self.data[offset : offset + width] = value.to_bytes(width, "little")

    def link(self, cluster: int, value: int) -> None:
        """Overwrite an entry of both FATs (FAT16 and FAT32)."""
        for fat in (self.fat, self.fat + self.fat_length):
            self.set(fat + cluster * self.width, value, self.width)

    def last_cluster(self) -> int:
        """A free cluster: the last one."""
        return (len(self.data) - self.first_cluster) // 512 + 1


TWO = b"TWOCLU~1BIN"
UPPER = b"UPPER   TXT"
NOTHING = b"NOTHING    "
DEEP = b"DEEP       "
LONG = "xactly".encode("utf-16-le")[:8]

Damage = Callable[[Damaged], None]
ANY_TYPE: dict[str, tuple[str, Damage]] = {
    "signature": ("no signature", lambda d: d.set(510, 0)),
    "jump": ("BS_jmpBoot", lambda d: d.set(0, 0x90)),
    "sector size": ("BPB_BytsPerSec", lambda d: d.set(11, 513, 2)),
    "cluster size": ("BPB_SecPerClus", lambda d: d.set(13, 3)),
    "cluster count": ("are not .* bytes", lambda d: d.data.extend(bytes(512))),
    "media": ("the media", lambda d: d.set(21, 0xF0)),
    "partition": ("BPB_HiddSec", lambda d: d.set(28, 63, 4)),
    "one FAT": ("FATs differ", lambda d: d.set(d.fat + d.fat_length + 9, 0x77)),
    "slack": ("slack is not zero", lambda d: d.set(d.offset(TWO) + 3 * 256, 1)),
    "free cluster": ("free cluster is not zero", lambda d: d.set(len(d.data) - 1, 1)),
    "size too small": ("2 clusters for 512", lambda d: d.set(d.entry(TWO) + 28, 512, 4)),
    "size too large": ("2 clusters for 1025", lambda d: d.set(d.entry(TWO) + 28, 1025, 4)),
    "shared": ("used twice", lambda d: d.set(d.entry(TWO) + 26, d.cluster(UPPER), 2)),
    "empty": ("empty file with a", lambda d: d.set(d.entry(NOTHING) + 26, d.cluster(UPPER), 2)),
    "dot": (r"b'\.' leads", lambda d: d.set(d.offset(DEEP) + 26, 9, 2)),
    "dotdot": (r"b'\.\.' leads", lambda d: d.set(d.offset(DEEP) + 58, 0, 2)),
    "checksum": ("LDIR_Chksum", lambda d: d.set(d.data.index(LONG) + 10, 0)),
    "order": ("LDIR_Ord", lambda d: d.set(d.data.index(LONG) - 3, 0x42)),
    "padding": ("padding is not", lambda d: d.set(d.entry(TWO) - 96 + 30, 0x41, 2)),
    "illegal": ("illegal character", lambda d: d.set(d.data.index(LONG), ord("?"))),
    "surrogate": ("illegal UTF|unexpected end", lambda d: d.set(d.data.index(LONG), 0xD83D, 2)),
    "lower case": ("illegal short", lambda d: d.set(d.entry(UPPER), ord("u"))),
    "collision": ("collide", lambda d: d.data.__setitem__(slice(*span(d, NOTHING)), UPPER)),
    "deleted": ("deleted entry", lambda d: d.set(d.entry(NOTHING), 0xE5)),
    "date": ("date", lambda d: d.set(d.entry(NOTHING) + 24, 0, 2)),
    "attributes": ("attributes", lambda d: d.set(d.entry(NOTHING) + 11, 0x60)),
    "label": ("labels", lambda d: d.set(d.data.rindex(b"LABEL"), ord("B"))),
    "end mark": ("behind the end mark", lambda d: d.set(d.entry(NOTHING), 0)),
    "dir size": ("directory with a size", lambda d: d.set(d.entry(DEEP) + 28, 512, 4)),
}
FAT16_AND_32: dict[str, tuple[str, Damage]] = {
    "lost": ("is lost|FSI_Free", lambda d: d.link(d.last_cluster(), d.ones)),
    "loop": ("is followed by", lambda d: d.link(d.cluster(TWO) + 1, d.cluster(TWO))),
    "freed": ("followed by 0|FSI_Free", lambda d: d.link(d.cluster(UPPER), 0)),
    "reserved": ("FAT.* is 0x1", lambda d: d.link(d.cluster(UPPER), 1)),
    "dirty": ("not clean", lambda d: d.link(1, d.ones >> 1)),
}
FAT32: dict[str, tuple[str, Damage]] = {
    "free count": ("FSI_Free_Count", lambda d: d.set(512 + 488, 5, 4)),
    "next free": ("FSI_Nxt_Free", lambda d: d.set(512 + 492, 60000, 4)),
    "FSInfo signature": ("FSI_StrucSig", lambda d: d.set(512 + 484, 0)),
    "backup": ("backup differs", lambda d: d.set(6 * 512 + 3, 0)),
    "reserved sector": ("reserved sector 3", lambda d: d.set(3 * 512, 1)),
    "mirroring": ("BPB_ExtFlags", lambda d: d.set(40, 0x80, 2)),
}
CASES = [
    (volume, name)
    for volume, tables in {
        "FAT12": [ANY_TYPE],
        "FAT16": [ANY_TYPE, FAT16_AND_32],
        "FAT32": [ANY_TYPE, FAT16_AND_32, FAT32],
    }.items()
    for table in tables
    for name in table
]


def span(damaged: Damaged, short_name: bytes) -> tuple[int, int]:
    """Where a short name is."""
    offset = damaged.entry(short_name)
    return offset, offset + len(short_name)


@pytest.mark.parametrize("volume", VOLUMES)
def test_what_mtools_wrote_is_sound(images: dict[str, bytes], volume: str) -> None:
    expected = {
        path: Node("directory" if data is None else "file", data or b"", TIME)
        for path, data in CONTENTS.items()
    }
    assert check(images[volume], MTOOLS) == expected


@pytest.mark.parametrize(("volume", "damage"), CASES)
def test_damage_is_rejected(images: dict[str, bytes], volume: str, damage: str) -> None:
    message, do_damage = {**ANY_TYPE, **FAT16_AND_32, **FAT32}[damage]
    damaged = Damaged(images[volume])
    do_damage(damaged)
    assert damaged.data != images[volume]
    with pytest.raises(AssertionError, match=message):
        check(bytes(damaged.data), MTOOLS)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("alignment", "data area begins|bytes long"),
        ("lower_case_bits", "lower-case bits"),
        ("fs_info_backup", "backup of FSInfo"),
    ],
)
def test_each_leniency_is_needed_for_mtools(
    images: dict[str, bytes], rule: str, message: str
) -> None:
    rules = dataclasses.replace(MTOOLS, **{rule: getattr(STRICT, rule)})
    with pytest.raises(AssertionError, match=message):
        check(images["FAT32"], rules)


def test_a_count_near_a_boundary_is_rejected(tmp_path: Path) -> None:
    image = make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1")
    check(resized(image, 4085 + 16), MTOOLS)
    with pytest.raises(AssertionError, match="are near 4085"):
        check(resized(image, 4085 + 15), MTOOLS)


def resized(image: Path, clusters: int) -> bytes:
    """An empty `image` of one-sector clusters, cut off behind `clusters` of them."""
    data = image.read_bytes()
    (reserved, fats, entries, _, _, length) = struct.unpack_from("<HBHHBH", data, 14)
    sectors = reserved + fats * length + entries // 16 + clusters
    return data[:19] + struct.pack("<H", sectors) + data[21 : sectors * 512]


def test_mirage_asks_for_the_other_padding_and_no_label(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    image = make_fat(tmp_path / "fat.img", 1 << 22, "-F16", "-s1", tree=tree)
    check(image, MTOOLS)
    with pytest.raises(AssertionError, match="1 entries for 13 units"):
        check(image, dataclasses.replace(MTOOLS, mirage=True))


def test_contents_can_be_left_out(images: dict[str, bytes]) -> None:
    tree = check(images["FAT16"], MTOOLS, contents=False)
    assert tree["UPPER.TXT"] == Node("file", b"", TIME)
