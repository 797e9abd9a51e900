"""FAT images to damage: a sound one of each type, and a way to lay hands on its structures.

Offsets are worked out here from the boot sector, by the specification and not by the code that is
tested.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Self

from attrs import define

import blockpack

LONG_NAME = "a name that takes three long-name entries"


def tree() -> blockpack.Tree:
    """Files of several clusters, directories in directories, long names, an empty file."""
    found = blockpack.Tree()
    found.add("ONE.BIN", bytes(range(256)) * 10)
    found.add("TWO.BIN", b"two" * 700)
    found.add("EMPTY", b"")
    found.add(f"{LONG_NAME}.html", b"<p>long</p>" * 100)
    found.add("DIR/INNER.TXT", b"inner")
    found.add("DIR/SUB/LAST.TXT", b"last" * 300)
    found.mkdir("HOLLOW")
    return found


@cache
def sound(bits: int) -> bytes:
    """A sound image of FAT`bits` with clusters of 512 bytes."""
    volume = blockpack.FatVolume(fat_type=bits, cluster_size=512, label="DAMAGE", free=4096)
    with volume.plan(tree()).open() as file:
        return file.read()


@define
class Fat:
    """An image that can be changed."""

    data: bytearray
    bits: int

    @classmethod
    def of(cls, bits: int) -> Self:
        """A copy of the sound image of FAT`bits`."""
        return cls(bytearray(sound(bits)), bits)

    def number(self, offset: int, size: int) -> int:
        """The little-endian number of `size` bytes at `offset`."""
        return int.from_bytes(self.data[offset : offset + size], "little")

    def put(self, offset: int, value: int | bytes, size: int = 0) -> Self:
        """Put bytes, or a number of `size` bytes, at `offset`."""
        raw = value.to_bytes(size, "little") if isinstance(value, int) else value
        self.data[offset : offset + len(raw)] = raw
        return self

    @property
    def fat_offset(self) -> int:
        """Where the first copy of the table begins."""
        return self.number(14, 2) * self.number(11, 2)

    @property
    def fat_size(self) -> int:
        """The bytes of a copy of the table."""
        return (self.number(22, 2) or self.number(36, 4)) * self.number(11, 2)

    @property
    def root_offset(self) -> int:
        """Where the root directory begins."""
        after_tables = self.fat_offset + self.number(16, 1) * self.fat_size
        return self.cluster(self.number(44, 4)) if self.bits == 32 else after_tables

    @property
    def data_offset(self) -> int:
        """Where cluster 2 begins."""
        after_tables = self.fat_offset + self.number(16, 1) * self.fat_size
        return after_tables + 32 * self.number(17, 2)

    @property
    def clusters(self) -> int:
        """The number of data clusters."""
        total = self.number(19, 2) or self.number(32, 4)
        return (total * self.number(11, 2) - self.data_offset) // self.cluster_size

    @property
    def cluster_size(self) -> int:
        """The bytes of a cluster."""
        return self.number(11, 2) * self.number(13, 1)

    def cluster(self, number: int) -> int:
        """Where the cluster `number` begins."""
        return self.data_offset + (number - 2) * self.cluster_size

    def cell(self, number: int) -> int:
        """The table's entry for the cluster `number`."""
        at = self.fat_offset + number * self.bits // 8
        if self.bits != 12:
            return self.number(at, self.bits // 8)
        pair = self.number(at, 2)
        return pair >> 4 if number & 1 else pair & 0xFFF

    def set_cell(self, number: int, value: int) -> Self:
        """Change the table's entry for the cluster `number`, in every copy."""
        for copy in range(self.number(16, 1)):
            at = self.fat_offset + copy * self.fat_size + number * self.bits // 8
            if self.bits == 12:
                pair = self.number(at, 2)
                raw = pair & 0xF | value << 4 if number & 1 else pair & 0xF000 | value & 0xFFF
                self.put(at, raw & 0xFFFF, 2)
            else:
                self.put(at, value, self.bits // 8)
        return self

    def entry(self, short: bytes) -> int:
        """Where the short entry with this name of 11 bytes is."""
        start = min(self.root_offset, self.data_offset)
        for at in range(start, len(self.data) - 31, 32):
            if self.data[at : at + 11] == short:
                return at
        raise AssertionError(f"no entry {short!r}")

    def first(self, short: bytes) -> int:
        """The first cluster of the entry with this short name."""
        at = self.entry(short)
        return self.number(at + 20, 2) << 16 | self.number(at + 26, 2)

    def set_first(self, short: bytes, cluster: int) -> Self:
        """Change the first cluster of the entry with this short name."""
        at = self.entry(short)
        return self.put(at + 20, cluster >> 16, 2).put(at + 26, cluster & 0xFFFF, 2)

    def set_size(self, short: bytes, size: int) -> Self:
        """Change the size of the entry with this short name."""
        return self.put(self.entry(short) + 28, size, 4)


def short_entry(
    name: bytes, *, directory: bool = False, cluster: int = 0, size: int = 0, attributes: int = 0
) -> bytes:
    """A short entry of a directory, of 1980-01-01."""
    return struct.pack(
        "<11sB8xHHHHI",
        name.ljust(11)[:11],
        0x10 if directory else attributes or 0x20,
        cluster >> 16,
        0,
        0x21,
        cluster & 0xFFFF,
        size,
    )


def volume(clusters: int, root: bytes, chains: dict[int, int], contents: dict[int, bytes]) -> bytes:
    """A FAT16 image with clusters of 512 bytes, made by hand: what no writer would make.

    `root` is the root directory, `chains` the table's entries, `contents` clusters' bytes. There
    are at least `clusters` of them, and as many as make it FAT16.
    """
    clusters = max(clusters, 4085)
    per_fat = -(-(clusters + 2) * 2 // 512)
    root_entries = max(512, -(-len(root) // 512) * 16)
    total = 1 + per_fat + root_entries * 32 // 512 + clusters
    boot = bytearray(512)
    struct.pack_into(
        "<3s8sHBHBHHBHHHII", boot, 0,
        b"\xeb\x3c\x90", b"HOSTILE ", 512, 1, 1, 1, root_entries,
        total if total < 65536 else 0, 0xF8, per_fat, 1, 1, 0,
        0 if total < 65536 else total,
    )  # fmt: skip
    boot[510:] = b"\x55\xaa"
    table = bytearray(per_fat * 512)
    table[:4] = b"\xf8\xff\xff\xff"
    for number, value in chains.items():
        struct.pack_into("<H", table, 2 * number, value)
    data = bytearray(clusters * 512)
    for number, content in contents.items():
        data[(number - 2) * 512 : (number - 2) * 512 + len(content)] = content
    return bytes(boot + table + root.ljust(root_entries * 32, b"\0") + data)
