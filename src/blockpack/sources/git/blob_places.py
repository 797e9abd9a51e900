"""Where blobs are in packs, or that they are loose, as arrays: there may be a million."""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from attrs import frozen

from ...formats.git.index import IndexLookup, index_path
from ...formats.git.pack_format import BLOB, type_and_size
from .loose import LooseBlobs
from .packs import Packs

TOO_LARGE = 1 << 63
"""Bytes that no blob has, whatever a pack or git says."""

UNKNOWN = (1 << 64) - 1
"""The size of a blob that no pack has whole, as long as git has not told it."""

LOOSE = (1 << 32) - 1
"""The number of the pack of what is in none, but in a file of its own."""

_HEADER = 16
"""More bytes than the type and size of an object take."""


@frozen
class Places:
    """Where blobs are, in the order in which they were asked for.

    For each the number of its pack in `packs`, or `LOOSE`; in `offsets` where its zlib stream
    begins there, and in `sizes` its size, both in bytes. Only what git is to read has the offset 0.
    """

    packs: array[int]
    offsets: array[int]
    sizes: array[int]

    @classmethod
    def unknown(cls, count: int) -> Self:
        """Those of `count` blobs of which nothing is known yet."""
        zeros = array("Q", [0]) * count
        return cls(array("I", [0]) * count, zeros, array("Q", [UNKNOWN]) * count)

    @classmethod
    def find(cls, oids: Sequence[bytes], packs: Packs, loose: LooseBlobs, oid_size: int) -> Self:
        """Those of the blobs `oids` (raw, of `oid_size` bytes) that are whole in `packs`, or loose.

        What is wrong with a pack, its index or a file is for git to say.
        """
        places = cls.unknown(len(oids))
        missing: Sequence[int] = range(len(oids))
        for pack, (path, descriptor) in enumerate(zip(packs.paths, packs.descriptors, strict=True)):
            with suppress(OSError, ValueError), open(index_path(path), "rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                offsets = IndexLookup(data, oid_size).offsets([oids[number] for number in missing])
                found = zip(missing, offsets, strict=True)
                missing = [
                    number
                    for number, offset in found
                    if offset is None or not places._note(number, pack, descriptor, offset)
                ]
        for number in missing:
            size = loose.size(oids[number])
            if size is not None and size < TOO_LARGE:
                places.packs[number], places.offsets[number] = LOOSE, 1
                places.sizes[number] = size
        return places

    def _note(self, number: int, pack: int, descriptor: int, offset: int) -> bool:
        """Note where a blob is, if it is whole at `offset` of a pack; whether it is."""
        try:
            kind, size, length = type_and_size(os.pread(descriptor, _HEADER, offset) or b"\0")
        except OSError:
            return False
        if kind != BLOB or not length or size >= TOO_LARGE:
            return False
        self.packs[number] = pack
        self.offsets[number] = offset + length
        self.sizes[number] = size
        return True
