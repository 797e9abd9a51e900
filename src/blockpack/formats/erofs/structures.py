"""EROFS on disk (Linux: Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h).

An image is blocks. The superblock is at byte 1024; an inode is where its number (nid) says:
32 × nid bytes behind the metadata area's start. What follows an inode may be the tail of its
content. The structures are here, once: the writer packs by them, the reader unpacks by them, and
docs/format/erofs.md shows them. All numbers are little-endian.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping

from ..reader import Kind
from ..structure import Structure

SUPERBLOCK_OFFSET = 1024
"""Byte of the image at which the superblock begins (EROFS_SUPER_OFFSET)."""

MAGIC = 0xE0F5E1E2
"""The superblock's `magic` (EROFS_SUPER_MAGIC_V1, linux/magic.h)."""

SUPERBLOCK = Structure(
    ("magic", "I"),
    ("checksum", "I"),
    ("feature_compat", "I"),
    ("blkszbits", "B"),
    ("sb_extslots", "B"),
    ("root_nid", "H"),
    ("inos", "Q"),
    ("build_time", "Q"),
    ("build_time_nsec", "I"),
    ("blocks", "I"),
    ("meta_blkaddr", "I"),
    ("xattr_blkaddr", "I"),
    ("uuid", "16s"),
    ("volume_name", "16s"),
    ("feature_incompat", "I"),
    ("available_compr_algs", "H"),
    ("extra_devices", "H"),
    ("devt_slotoff", "H"),
    ("dirblkbits", "B"),
    ("xattr_prefix_count", "B"),
    ("xattr_prefix_start", "I"),
    ("packed_nid", "Q"),
    ("reserved", "24s"),
)
"""struct erofs_super_block, 128 bytes."""

COMPACT = Structure(
    ("format", "H"),
    ("xattr_icount", "H"),
    ("mode", "H"),
    ("nlink", "H"),
    ("size", "I"),
    ("reserved", "I"),
    ("address", "I"),
    ("ino", "I"),
    ("uid", "H"),
    ("gid", "H"),
    ("reserved_2", "I"),
)
"""struct erofs_inode_compact, 32 bytes; its time is the superblock's. `address` is i_u."""

EXTENDED = Structure(
    ("format", "H"),
    ("xattr_icount", "H"),
    ("mode", "H"),
    ("reserved", "H"),
    ("size", "Q"),
    ("address", "I"),
    ("ino", "I"),
    ("uid", "I"),
    ("gid", "I"),
    ("mtime", "Q"),
    ("mtime_nsec", "I"),
    ("nlink", "I"),
    ("reserved_2", "16s"),
)
"""struct erofs_inode_extended, 64 bytes. `mtime` is a signed number, as Linux takes it."""

DIRENT = Structure(
    ("nid", "Q"),
    ("nameoff", "H"),
    ("file_type", "B"),
    ("reserved", "B"),
)
"""struct erofs_dirent, 12 bytes; `nameoff` counts from the block's first byte."""

CHUNK_INDEX = Structure(
    ("advise", "H"),
    ("device_id", "H"),
    ("blkaddr", "I"),
)
"""struct erofs_inode_chunk_index, 8 bytes; without `CHUNK_INDEXES` there is a `blkaddr` alone."""

CHUNK_ADDRESS = Structure(("blkaddr", "I"))

SLOT = 32
"""Bytes between the places of two inode numbers."""

# The superblock's `feature_compat`: what a reader may ignore.
COMPAT_CHECKSUM = 0x1
"""`checksum` is there: see the function (EROFS_FEATURE_COMPAT_SB_CHKSUM)."""
COMPAT_MTIME = 0x2
"""Times of inodes are those of their last change, not of their status'."""

# The superblock's `feature_incompat`: what a reader must know.
INCOMPAT_CHUNKED_FILE = 0x4
"""There are files in chunks (Linux 5.15)."""

INCOMPAT_48BIT = 0x80
"""Addresses of blocks may have 48 bits (Linux 6.15)."""

INCOMPAT_FEATURES = {
    0x1: "zero padding of LZ4",
    0x2: "big clusters, or settings of compression",
    INCOMPAT_CHUNKED_FILE: "chunks",
    0x8: "several devices, or a second algorithm",
    0x10: "inline tails of compressed files",
    0x20: "fragments, or data that is shared",
    0x40: "prefixes of extended attributes",
    INCOMPAT_48BIT: "block addresses of 48 bits",
    0x100: "a metadata box",
}
"""All of these by their bits (EROFS_FEATURE_INCOMPAT_*)."""

# An inode's `format`: bit 0 is its version, bits 1 to 3 the layout of its content.
COMPACT_VERSION, EXTENDED_VERSION = 0, 1
VERSION_MASK = 0x1
LAYOUT_SHIFT, LAYOUT_MASK = 1, 0x7
FORMAT_MASK = 0xF
"""The bits of a format that Linux knew until 6.15; others mean what no earlier reader knows."""

FLAT_PLAIN = 0
"""The content is in blocks end to end from block `address` on."""
COMPRESSED_FULL = 1
FLAT_INLINE = 2
"""The same, but the last, not full, block's bytes are right behind the inode and its attributes."""
COMPRESSED_COMPACT = 3
CHUNK_BASED = 4
"""The content is in chunks, whose addresses are behind the inode; `address` tells of them. It is
the last layout that there is."""

# `address` of a file in chunks: its lower half is the format of these.
CHUNK_BITS_MASK = 0x1F
"""A chunk has the block size ≪ these bits."""
CHUNK_INDEXES = 0x20
"""Chunks have indexes of 8 bytes, and not addresses of 4."""
CHUNK_FORMAT_MASK = CHUNK_BITS_MASK | CHUNK_INDEXES

NULL_ADDRESS = 0xFFFFFFFF
"""The block address of a chunk that is a hole (EROFS_NULL_ADDR)."""

# A dirent's `file_type` (Linux: FT_*, fs_types.h).
UNKNOWN, REGULAR, DIRECTORY, CHARACTER, BLOCK, FIFO, SOCKET, SYMLINK = range(8)

KINDS: Mapping[int, tuple[Kind, int]] = {
    stat.S_IFREG: ("file", REGULAR),
    stat.S_IFDIR: ("directory", DIRECTORY),
    stat.S_IFLNK: ("symlink", SYMLINK),
    stat.S_IFCHR: ("other", CHARACTER),
    stat.S_IFBLK: ("other", BLOCK),
    stat.S_IFIFO: ("other", FIFO),
    stat.S_IFSOCK: ("other", SOCKET),
}
"""What an inode is by its mode, and which file type its directory says."""

NAME_MAX = 255
"""Bytes of the longest name (EROFS_NAME_LEN)."""

SYMLINK_MAX = 4095
"""Bytes of the longest target that Linux does not cut: a page, and a NUL (page_get_link)."""

BLOCK_SIZES = (512, 1024, 2048, 4096)
"""Bytes of a block: 4096 alone before Linux 6.4 (and 6.1.y), more on machines of larger pages."""

XATTR_HEADER, XATTR_UNIT = 12, 4
"""Bytes of the header of an inode's attributes, and of each unit. `xattr_icount` is 0, or one for
the header and as many units more."""


def xattr_size(icount: int) -> int:
    """Bytes of the attributes behind an inode whose `xattr_icount` is that."""
    return XATTR_HEADER + XATTR_UNIT * (icount - 1) if icount else 0


def _crc32c_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()


def checksum(data: bytes, block_size: int) -> int:
    """The superblock's checksum; `data` is the image's bytes from there on. It covers one block, or
    what of one is behind byte 1024, with itself as zeros (erofs_superblock_csum_verify).
    """
    length = block_size - SUPERBLOCK_OFFSET if block_size > SUPERBLOCK_OFFSET else block_size
    crc = 0xFFFFFFFF  # of CRC-32C (Castagnoli), which is not inverted here
    for byte in data[:4] + bytes(4) + data[8:length]:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc
