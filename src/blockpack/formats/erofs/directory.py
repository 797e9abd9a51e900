"""Directories: names in the order in which Linux looks them up, by halving, block by block.

Each block has its own entries, then their names, end to end; the next name ends one, a NUL or the
block's end the last. ``.`` and ``..`` stand among the others, in the order of bytes. No name is in
two blocks (erofs_namei, fs/erofs/namei.c; erofs_readdir, fs/erofs/dir.c).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat

from .structures import DIRENT

DOT, DOTDOT = b".", b".."

Name = tuple[bytes, int, int]
"""A name in a directory, the inode that it leads to, and that one's `file_type`."""


def size_of(names: Sequence[bytes], block_size: int) -> int:
    """Bytes of a directory with these names, all of them, in the order of bytes."""
    *full, (start, stop) = _blocks(list(map(len, names)), block_size)
    return len(full) * block_size + sum(DIRENT.size + len(name) for name in names[start:stop])


def packed(names: Sequence[Name], block_size: int) -> bytes:
    """The directory: its blocks, the last one as long as it has bytes."""
    blocks = _blocks([len(name) for name, _, _ in names], block_size)
    *full, last = (_block(names[start:stop]) for start, stop in blocks)
    return b"".join([*(block.ljust(block_size, b"\0") for block in full), last])


def _blocks(lengths: Sequence[int], block_size: int) -> Iterator[tuple[int, int]]:
    """The names of each block, by the lengths of them all."""
    start = used = 0
    for number, length in enumerate(lengths):
        used += DIRENT.size + length
        if used > block_size:
            yield start, number
            start, used = number, DIRENT.size + length
    yield start, len(lengths)


def _block(block: Sequence[Name]) -> bytes:
    names, nids, file_types = zip(*block, strict=True)
    places = accumulate(map(len, names), initial=DIRENT.size * len(names))
    return b"".join([*map(DIRENT.pack_all, nids, places, file_types, repeat(0)), *names])
