"""EROFS images made by hand: sound ones, and what lies."""

from __future__ import annotations

import stat
import struct
from functools import cache

SUPER, SLOT = 1024, 32
PLAIN, FULL, INLINE, COMPACT, CHUNKS = range(5)
"""The layouts of contents."""
HOLE = 0xFFFFFFFF
CHUNKED = 4
"""The feature that files in chunks need."""
_META = 64 << 10
"""Bytes for inodes."""
_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


def crc32c(data: bytes) -> int:
    """CRC-32C from ones, not inverted at the end."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    return crc


def block_of(entries: list[tuple[bytes, int, int]]) -> bytes:
    """A block of a directory: (name, nid, file type), as they are given."""
    at = 12 * len(entries)
    slots = b""
    for name, nid, kind in entries:
        slots += struct.pack("<QHBx", nid, at & 0xFFFF, kind)
        at += len(name)
    return slots + b"".join(name for name, _, _ in entries)


class Erofs:
    """An image that grows inode by inode, and is changed afterwards; `room` is for inodes."""

    def __init__(self, bits: int = 12, label: bytes = b"", room: int = _META) -> None:
        self.bits = bits
        self.block = 1 << bits
        self.data = bytearray(room)
        self.nids: dict[str, int] = {}
        self._free = SUPER + 128
        self.put(SUPER, 0xE0F5E1E2, 4).put(SUPER + 8, 3, 4).put(SUPER + 12, bits, 1)
        self.put(SUPER + 24, 1_700_000_000, 8).put(SUPER + 32, 5, 4)
        self.put(SUPER + 48, bytes(range(16))).put(SUPER + 64, label)

    def put(self, at: int, value: bytes | int, size: int = 0) -> Erofs:
        """Put bytes, or a number of `size` bytes."""
        if isinstance(value, int):
            value = value.to_bytes(size, "little")
        self.data[at : at + len(value)] = value
        return self

    def number(self, at: int, size: int) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.data[at : at + size], "little")

    def at(self, name: str) -> int:
        """The byte at which the inode called `name` begins."""
        return self.nids[name] * SLOT

    def reserve(self, name: str, size: int, inline: int = 0) -> int:
        """Room for an inode of `size` bytes and `inline` more in one block; its nid."""
        need = size + inline
        if self._free % self.block + need > self.block and need <= self.block:
            self._free += -self._free % self.block
        self.nids[name] = self._free // SLOT
        self._free += need + -need % SLOT
        return self.nids[name]

    def blocks(self, data: bytes) -> int:
        """Put `data` into blocks of its own; the first one's address."""
        self.data += bytes(-len(self.data) % self.block)
        address = len(self.data) >> self.bits
        self.data += data + bytes(-len(data) % self.block)
        return address

    def inode(
        self,
        name: str,
        mode: int = FILE,
        data: bytes = b"",
        layout: int = INLINE,
        *,
        extended: bool = False,
        attributes: bytes = b"",
        nlink: int = 1,
        address: int | None = None,
        size: int | None = None,
        map: bytes = b"",
        times: tuple[int, int] = (1_600_000_000, 7),
    ) -> int:
        """An inode with its content; its nid.

        `attributes` are what stands between the two, a header and multiples of 4; `map` is what
        stands there for chunks.
        """
        tail = data[len(data) // self.block * self.block :] if layout == INLINE else map
        length = 64 if extended else 32
        nid = self.nids.get(name)
        if nid is None:
            nid = self.reserve(name, length + len(attributes), len(tail))
        if address is None:
            whole = data[: len(data) - len(tail)] if layout == INLINE else data
            address = self.blocks(whole) if whole else HOLE
        size = len(data) if size is None else size
        icount = (len(attributes) - 12) // 4 + 1 if attributes else 0
        form = int(extended) | layout << 1
        if extended:
            seconds, nanoseconds = times
            record = struct.pack(
                "<HHHHQIIIIqII16x",
                *(form, icount, mode, 0, size, address, nid, 70_000, 70_001),
                *(seconds, nanoseconds, nlink),
            )
        else:
            record = struct.pack(
                "<HHHHIIIIHHI", form, icount, mode, nlink, size, 0, address, nid, 1000, 1001, 0
            )
        self.put(nid * SLOT, record + attributes + tail)
        return nid

    def directory(
        self,
        name: str,
        entries: dict[bytes, str],
        parent: str = "",
        layout: int = INLINE,
        *,
        nlink: int = 2,
    ) -> int:
        """A directory of names, and what the inodes are called, after `reserve`."""
        own = self.nids.get(name)
        listed = [(b".", self.nids[name] if own is not None else -1, 2)]
        listed.append((b"..", self.nids.get(parent or name, -1), 2))
        for each, inode in entries.items():
            nid = self.nids[inode]
            mode = self.number(nid * SLOT + 4, 2)
            listed.append((each, nid, _TYPES.get(stat.S_IFMT(mode), 2)))
        listed.sort()
        data, first, length = b"", 0, 0
        for at, (each, _, _) in enumerate(listed):
            if length + 12 + len(each) > self.block:
                data += block_of(listed[first:at]).ljust(self.block, b"\0")
                first, length = at, 0
            length += 12 + len(each)
        data += block_of(listed[first:])
        return self.inode(name, stat.S_IFDIR | 0o755, data, layout, nlink=nlink)

    def root(self, name: str) -> Erofs:
        """Make the inode the root."""
        return self.put(SUPER + 14, self.nids[name], 2)

    def made(self, features: int = 0) -> bytes:
        """The whole image, with the counts and the checksum right."""
        self.data += bytes(-len(self.data) % self.block)
        self.put(SUPER + 16, len(self.nids), 8).put(SUPER + 36, len(self.data) >> self.bits, 4)
        self.put(SUPER + 80, features, 4)
        return self.mend()

    def mend(self) -> bytes:
        """The image with the right checksum."""
        length = self.block - SUPER if self.block > SUPER else self.block
        self.put(SUPER + 4, 0, 4)
        self.put(SUPER + 4, crc32c(bytes(self.data[SUPER : SUPER + length])), 4)
        return bytes(self.data)


TEXT = bytes(range(256)) * 64
"""Contents."""


def sample(bits: int = 12) -> Erofs:
    """Something of all that the reader knows; called by name, and not yet made."""
    image = Erofs(bits, b"label")
    block = image.block
    image.reserve("root", 32, 400)
    image.reserve("dir", 32, 150)
    image.inode("small", data=b"small\n", nlink=2)
    image.inode("tail", data=TEXT[: 2 * block + 100], extended=True)
    image.inode("plain", data=TEXT[: 2 * block + 7], layout=PLAIN)
    image.inode("empty", layout=PLAIN)
    image.inode("attributes", data=b"behind attributes", attributes=bytes(12) + b"\1\1\1\0xy\0\0")
    first = image.blocks(TEXT[: 3 * block])
    image.inode(
        *("chunks", FILE, b"", CHUNKS),
        size=3 * block + 5,
        address=0,
        map=struct.pack("<4I", first, HOLE, first + 1, first + 2),
    )
    indexed = struct.pack("<HHIHHI", 0, 0, first, 0, 0, HOLE)
    size = 3 * block
    image.inode(
        *("indexed", FILE, b"", CHUNKS), size=size, address=0x21, map=indexed, extended=True
    )
    image.inode("link", LINK, b"dir/same")
    image.inode("device", stat.S_IFCHR | 0o600, address=0x103, layout=PLAIN)
    image.directory("dir", {b"same": "small", b"inner": "tail"}, "root")
    names = ("small", "plain", "empty", "attributes", "chunks", "indexed", "link", "device", "dir")
    image.directory("root", {name.encode(): name for name in names}, nlink=3)
    return image.root("root")


@cache
def sound(bits: int = 12) -> bytes:
    """An image of all that the reader knows, and nothing is wrong with it."""
    return sample(bits).made(CHUNKED)
