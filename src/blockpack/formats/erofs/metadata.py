"""The metadata of an image: its superblock, inodes, directories and symbolic links.

    nothing | superblock, inodes | inodes, tails | … | directories and targets that are not inline
    to 1024   one block: the       each in one block   in whole blocks
              checksum covers it

Where the blocks of files are is told to it (`addresses`), and it needs no more than that to be
whole. So the metadata can describe files wherever they lie; it has its size, and every inode its
place, before any file has one. The checksum covers the superblock's block, so what is in files is
behind no inode there: planning opens none.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, chain

from ...model.entry import NANOSECONDS, Directory, File, Symlink, encode
from ...model.extent import Data, Extent, cut
from ...planning.layout import round_up
from ...planning.runs import Run, zeros
from . import structures
from .directory import DOT, DOTDOT, Name, packed
from .slots import Slots
from .structures import COMPACT, EXTENDED, FLAT_INLINE, FLAT_PLAIN, SLOT, SUPERBLOCK
from .survey import Survey

_KINDS = {kind: (bits, file_type) for bits, (kind, file_type) in structures.KINDS.items()}
"""The bits of an entry's mode that tell its kind, and its `file_type`, by that kind."""

_64_BITS = (1 << 64) - 1


class Metadata:
    """Gives every inode of a survey its place, and makes the extents of all metadata, which begins
    the image and ends at byte `end`. By the numbers of entries, `nids` are those of inodes,
    `addresses` the blocks of contents: of files, to be filled in before extents are made.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.uuid = survey.uuid().lower()
        self._block_size = survey.volume.block_size
        head = structures.SUPERBLOCK_OFFSET // self._block_size + 1
        self._head_end = head * self._block_size
        slots = Slots(self._block_size, head)
        self.nids = array("Q")
        self.addresses = array("I", bytes(4 * len(survey.entries)))
        self._place_inodes(slots)
        order = self._as_they_lie(slots.end)
        in_head = bisect_left(order, self._head_end // SLOT, key=self.nids.__getitem__)
        self._head, self._order = order[:in_head], order[in_head:]
        """The inodes as they lie, in the superblock's block and behind it."""
        ends = (self.nids[n] * SLOT + survey.widths[n] + survey.inline[n] for n in self._order)
        self._offsets = array("Q", chain([self._head_end], ends))
        """Where each ends, with what is inline behind it."""
        self._blocks_start = self.end = slots.end * self._block_size
        self._in_blocks = array("I", self._place_blocks())

    @property
    def inodes(self) -> int:
        """How many inodes there are."""
        return len(self._head) + len(self._order)

    def _place_inodes(self, slots: Slots) -> None:
        """Find the number of each inode; a further name of a file has the first one's."""
        survey, place, add = self.survey, slots.place, self.nids.append
        head = structures.SUPERBLOCK_OFFSET + SUPERBLOCK.size
        for entry, width, inline in zip(survey.entries, survey.widths, survey.inline, strict=True):
            size = width + inline
            if not width:
                add(self.nids[survey.first[len(self.nids)]])
            elif (inline and type(entry) is File) or head + size > self._head_end:
                add(place(size))
            else:
                add(head // SLOT)
                head += round_up(size, SLOT)

    def _as_they_lie(self, blocks: int) -> array[int]:
        """All inodes as they lie: by block, for each was filled in the order of the tree."""
        widths, in_block = self.survey.widths, self._block_size // SLOT
        starts = array("I", bytes(4 * (blocks + 1)))
        for nid, width in zip(self.nids, widths, strict=True):
            if width:
                starts[nid // in_block + 1] += 1
        starts = array("I", accumulate(starts))
        order = array("I", bytes(4 * starts[-1]))
        for number, nid in enumerate(self.nids):
            if widths[number]:
                block = nid // in_block
                order[starts[block]] = number
                starts[block] += 1
        return order

    def _place_blocks(self) -> Iterator[int]:
        """Place directories and targets that are not inline; the numbers of these."""
        survey = self.survey
        for number, entry in enumerate(survey.entries):
            if type(entry) is not File and (blocks := survey.blocks(number)):
                self.addresses[number] = self.end // self._block_size
                self.end += blocks * self._block_size
                yield number

    def runs(self, blocks: int) -> Iterator[Run]:
        """All of it from the superblock on, in an image of so many `blocks`."""
        head = self.head(blocks)
        at, end = self._head_end - len(head), self._head_end
        inodes = (self.survey.entries[number] for number in self._head)
        empty = [each.extent(end) for each in inodes if type(each) is File and not each.size]
        yield Run((at, end), lambda start, stop: (Data(at, head), *empty))
        yield Run(self._offsets, self._inodes, dense=True)
        yield zeros(self._offsets[-1], self._blocks_start)
        starts = (self.addresses[number] * self._block_size for number in self._in_blocks)
        yield Run(array("Q", [*starts, self.end]), self._contents, dense=True)

    def head(self, blocks: int) -> bytes:
        """The superblock, and what is behind it in its block, in an image of so many `blocks`."""
        volume = self.survey.volume
        at = structures.SUPERBLOCK_OFFSET + SUPERBLOCK.size
        inodes = bytearray(self._head_end - at)
        for number in self._head:
            inode = self._inode(number) + self._behind(number)
            start = self.nids[number] * SLOT - at
            inodes[start : start + len(inode)] = inode
        values = {
            "magic": structures.MAGIC,
            "feature_compat": structures.COMPAT_CHECKSUM | structures.COMPAT_MTIME,
            "blkszbits": self._block_size.bit_length() - 1,
            "root_nid": self.nids[0],
            "inos": self.inodes,
            "build_time": volume.epoch & _64_BITS,
            "blocks": blocks,
            "uuid": bytes.fromhex(self.uuid.replace("-", "")),
            "volume_name": volume.label.encode(),
        }
        clear = SUPERBLOCK.pack(**values) + inodes
        values["checksum"] = structures.checksum(clear, self._block_size)
        return SUPERBLOCK.pack(**values) + inodes

    def _inodes(self, start: int, stop: int) -> Iterator[Extent]:
        """The inodes from `start` up to, not including, `stop`, with what is inline behind them."""
        survey, offsets = self.survey, self._offsets
        entries, tails, nids = survey.entries, survey.inline, self.nids
        for number, offset in zip(self._order[start:stop], offsets[start:stop], strict=True):
            entry, tail = entries[number], tails[number]
            inode = bytes(nids[number] * SLOT - offset) + self._inode(number)
            if type(entry) is not File or (entry.size and not tail):
                yield Data(offset, inode + self._behind(number))
                continue
            yield Data(offset, inode)
            offset += len(inode)
            whole = entry.extent(offset)  # of an empty file, too: it may not be that any more
            yield whole if tail == entry.size else cut(whole, entry.size - tail, tail, offset)

    def _contents(self, start: int, stop: int) -> Iterator[Extent]:
        for number in self._in_blocks[start:stop]:
            content = self._content(number)
            padded = content.ljust(round_up(len(content), self._block_size), b"\0")
            yield Data(self.addresses[number] * self._block_size, padded)

    def _behind(self, number: int) -> bytes:
        """What is inline behind the inode of a directory or a link."""
        return self._content(number) if self.survey.inline[number] else b""

    def _content(self, number: int) -> bytes:
        entry = self.survey.entries[number]
        if type(entry) is Symlink:
            return encode(entry.target)
        survey, nids = self.survey, self.nids
        path = entry.path
        start = len(path) + 1 if path else 0
        names: list[Name] = [
            (DOT, nids[number], structures.DIRECTORY),
            (DOTDOT, nids[survey.parents[number]], structures.DIRECTORY),
        ]
        for child in self._children(number):
            entry = survey.entries[child]
            names.append((encode(entry.path[start:]), nids[child], _KINDS[entry.kind][1]))
        names.sort()
        return packed(names, self._block_size)

    def _children(self, number: int) -> Iterator[int]:
        ends = self.survey.ends
        child, end = number + 1, ends[number]
        while child < end:
            yield child
            child = ends[child]

    def _inode(self, number: int) -> bytes:
        survey, volume = self.survey, self.survey.volume
        entry = survey.entries[number]
        layout = FLAT_INLINE if survey.inline[number] else FLAT_PLAIN
        mode = _KINDS[entry.kind][0] | volume.mode_of(entry)
        links = survey.links.get(number, 1)
        if type(entry) is Directory:
            below = map(survey.entries.__getitem__, self._children(number))
            links = 2 + sum(type(each) is Directory for each in below)
        size, address = survey.sizes[number], self.addresses[number]
        owner = volume.owner_of(entry)
        if survey.widths[number] == COMPACT.size:
            before, behind = _compact(layout, mode, links, owner)
            return before + _pack_middle(size, 0, address, number + 1) + behind
        seconds, nanoseconds = divmod(volume.nanoseconds(entry), NANOSECONDS)
        return EXTENDED.pack(
            format=layout << structures.LAYOUT_SHIFT | structures.EXTENDED_VERSION,
            mode=mode,
            size=size,
            address=address,
            ino=number + 1,
            uid=owner[0],
            gid=owner[1],
            mtime=seconds & _64_BITS,
            mtime_nsec=nanoseconds,
            nlink=links,
        )


_pack_middle = struct.Struct("<4I").pack


@lru_cache(maxsize=256)
def _compact(layout: int, mode: int, links: int, owner: tuple[int, int]) -> tuple[bytes, bytes]:
    """A compact inode before and behind its size, address and number: of most it is the same."""
    packed = COMPACT.pack(
        format=layout << structures.LAYOUT_SHIFT | structures.COMPACT_VERSION,
        mode=mode,
        nlink=links,
        uid=owner[0],
        gid=owner[1],
    )
    return packed[:8], packed[24:]
