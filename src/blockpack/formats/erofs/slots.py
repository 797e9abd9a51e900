"""Places for inodes: each in one block, in the fullest one that has room for it.

An inode begins on a slot of 32 bytes, and what is inline behind it must not cross a block's border
(erofs_map_blocks, fs/erofs/data.c). Blocks are filled from their beginning, so what is free of one
is its last slots, and it is known by their number alone.
"""

from __future__ import annotations

from array import array

from .structures import SLOT


class Slots:
    """Gives out slots of the blocks from `first` on, which have `block_size` bytes."""

    def __init__(self, block_size: int, first: int) -> None:
        self._in_block = block_size // SLOT
        self.end = first
        """The block behind those that are in use."""
        self._with_room = [array("I") for _ in range(self._in_block)]
        """The blocks with so many free slots; those with none are of no interest."""
        self._rooms = 0
        """A bit for each number of slots that some block has free."""

    def place(self, size: int) -> int:
        """The slot of `size` bytes in one block; of more than one has, in blocks of their own."""
        slots = -(-size // SLOT)
        fitting = self._rooms >> slots
        if fitting:
            room = slots + (fitting & -fitting).bit_length() - 1
            blocks = self._with_room[room]
            block = blocks.pop()
            if not blocks:
                self._rooms ^= 1 << room
        else:
            new = -(-slots // self._in_block)
            block = self.end + new - 1
            room = new * self._in_block
            self.end += new
        left = room - slots
        if left:
            self._with_room[left].append(block)
            self._rooms |= 1 << left
        return (block + 1) * self._in_block - room
