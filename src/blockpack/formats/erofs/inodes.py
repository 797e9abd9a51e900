"""Inodes and where their contents lie, none of it trusted.

What a number or an address leads to is checked against the image's real size. Chunks' addresses are
behind their inode, so those of honest inodes lie apart: all that are read are counted against the
image, or inodes that overlap would take the square of its size.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ...errors import ImageError
from ..reader import Pieces
from . import structures as disk

if TYPE_CHECKING:
    from .reader import ErofsReader

_NEAR = 4096
"""Bytes of metadata that are read at once, and kept for the inodes beside."""
_MOST_KEPT = 1024
_CHUNKS_AT_ONCE = 1 << 16
_SOME_CHUNKS = 1 << 16
"""Addresses of chunks that any image may have; a larger one more."""

_INSTEAD = "mount it, or make the image without compression"
_COMPRESSED = "is compressed, which blockpack does not read", _INSTEAD
_BOXED = "is in a compressed box of metadata, which blockpack does not read", _INSTEAD
_ELSEWHERE = (
    "has bytes on another device, which blockpack does not read",
    "mount it with all of its devices",
)

_WIDE = 0x40
"""The bit of a chunk format that addresses have 48 bits (Linux 6.15)."""
_NULL_48 = (1 << 48) - 1
_LINKS_OF_ONE = 0x10
"""The bit of a compact inode's format that it has one link, and of a directory's that there is no
``.`` (Linux 6.15)."""


class Inode(NamedTuple):
    """An inode. `end` is the byte of the image behind it and its extended attributes."""

    layout: int
    mode: int
    nlink: int
    size: int
    address: int
    mtime: int
    nanoseconds: int
    uid: int
    gid: int
    end: int
    dot_omitted: bool = False

    @property
    def kind(self) -> int:
        """What it is, as stat(2) has it."""
        return stat.S_IFMT(self.mode)


class Inodes:
    """The inodes of the image that `reader` reads, and their contents."""

    def __init__(self, reader: ErofsReader) -> None:
        superblock = reader.superblock
        self._reader = reader
        self._block_size = reader.block_size
        self._start = superblock["meta_blkaddr"] * reader.block_size
        """The byte of the image that numbers count from."""
        self._time = superblock["build_time"], superblock["build_time_nsec"]
        """That of compact inodes: seconds and nanoseconds."""
        self._most_chunks = _SOME_CHUNKS + reader.size // 4
        self._near = lru_cache(maxsize=_MOST_KEPT)(
            lambda offset: reader.read_at(offset, min(_NEAR, reader.size - offset))
        )

    def read(self, nid: int) -> Inode:
        """The inode of that number. Raises `ImageError`."""
        if nid >> 63:
            raise ImageError("", *_BOXED)
        at = self._start + nid * disk.SLOT
        data = self._metadata(at, disk.COMPACT.size)
        form = data[0] | data[1] << 8
        layout = form >> disk.LAYOUT_SHIFT & disk.LAYOUT_MASK
        if form & ~(disk.FORMAT_MASK | _LINKS_OF_ONE) or layout > disk.CHUNK_BASED:
            raise ImageError("", f"its inode {nid:,} has the unknown format {form:#06x}")
        if form & disk.VERSION_MASK == disk.EXTENDED_VERSION:
            data = self._metadata(at, disk.EXTENDED.size)
            (_, icount, mode, high, size, address, _, uid, gid, mtime, nanoseconds, nlink, _) = (
                disk.EXTENDED.values(data)
            )
            mtime -= (mtime >> 63) << 64  # it is signed
            length = disk.EXTENDED.size
        else:
            _, icount, mode, nlink, size, mtime, address, _, uid, gid, _ = disk.COMPACT.values(data)
            mtime, nanoseconds = self._time[0] + mtime, self._time[1]
            length = disk.COMPACT.size
            high = 0
            if form & _LINKS_OF_ONE and not stat.S_ISDIR(mode):
                nlink, high = 1, nlink
        if layout in (disk.FLAT_PLAIN, disk.FLAT_INLINE):
            address |= high << 32
        return Inode(
            *(layout, mode, nlink, size, address, mtime, nanoseconds, uid, gid),
            at + length + disk.xattr_size(icount),
            bool(form & _LINKS_OF_ONE),
        )

    def content(self, inode: Inode) -> Pieces:
        """Where the content lies, as long as its size. Raises `ImageError`."""
        layout, size = inode.layout, inode.size
        if layout in (disk.COMPRESSED_FULL, disk.COMPRESSED_COMPACT):
            raise ImageError("", *_COMPRESSED)
        if size >> 63:
            raise ImageError("", f"claims {size:,} bytes, more than any file can have")
        if not size:
            return ()
        if layout == disk.CHUNK_BASED:
            return tuple(self._chunks(inode))
        if layout == disk.FLAT_PLAIN:
            if inode.address in (disk.NULL_ADDRESS, _NULL_48):
                return ((None, size),)
            return (self._piece(inode.address, size),)
        block = self._block_size
        whole = (size - 1) // block * block
        tail = size - whole
        if inode.end % block + tail > block:
            raise ImageError("", "its inline tail goes beyond a block's end")
        self._reader.require(inode.end, tail)
        pieces = ((inode.end, tail),)
        return (self._piece(inode.address, whole), *pieces) if whole else pieces

    def _piece(self, address: int, length: int) -> tuple[int, int]:
        offset = address * self._block_size
        self._reader.require(offset, length)
        return offset, length

    def _chunks(self, inode: Inode) -> Iterator[tuple[int | None, int]]:
        """The pieces of a file in chunks; those that lie end to end are one."""
        form = inode.address & 0xFFFF
        if form & ~(disk.CHUNK_FORMAT_MASK | _WIDE):
            raise ImageError("", f"its chunks have the unknown format {form:#06x}")
        chunk = self._block_size << (form & disk.CHUNK_BITS_MASK)
        last = self._block_size << 31  # beyond any address
        start: int | None = None
        length, left = 0, inode.size
        for offset in self._addresses(inode, form, -(-inode.size // chunk)):
            step = min(chunk, left)
            left -= step
            follows = start is None if offset is None else start is not None and offset == last
            if length and not follows:
                yield start, length
                length = 0
            if not length:
                start = offset
            if offset is not None:
                self._reader.require(offset, step)
                last = offset + step
            length += step
        yield start, length

    def _addresses(self, inode: Inode, form: int, count: int) -> Iterator[int | None]:
        """Where each of `count` chunks lies in the image; None for a hole."""
        self._most_chunks -= count
        indexed = form & disk.CHUNK_INDEXES
        unit = disk.CHUNK_INDEX.size if indexed else 4
        at = inode.end + -inode.end % unit
        if self._most_chunks < 0 or at + count * unit > self._reader.size:
            raise ImageError("", "has more chunks than the image has addresses for")
        null = _NULL_48 if form & _WIDE else disk.NULL_ADDRESS
        for first in range(0, count, _CHUNKS_AT_ONCE):
            number = min(_CHUNKS_AT_ONCE, count - first)
            data = self._reader.read_at(at + first * unit, number * unit)
            if not indexed:
                for (address,) in disk.CHUNK_ADDRESS.all_of(data):
                    yield None if address == null else address * self._block_size
                continue
            for high, device, address in disk.CHUNK_INDEX.all_of(data):
                if form & _WIDE:
                    address |= high << 32
                if address != null and device:
                    raise ImageError("", *_ELSEWHERE)
                yield None if address == null else address * self._block_size

    def _metadata(self, offset: int, length: int) -> bytes:
        """`length` bytes, of which those around have been read already or will be."""
        skip = offset % _NEAR
        if skip + length > _NEAR or offset + length > self._reader.size:
            return self._reader.read_at(offset, length)
        return self._near(offset - skip)[skip : skip + length]
