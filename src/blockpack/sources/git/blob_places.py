"""Where blobs are in packs, or that they are loose, as arrays: there may be a million."""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from ...formats.git.index import IndexLookup, index_path
from ...formats.git.pack_format import BLOB, type_and_size
from ...workers.pool import lost_reader, shared_out
from ...workers.processors import Jobs, processors
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

_SHARE = 2_000
"""Blobs that one process looks for before it takes the next ones."""


class Places(NamedTuple):
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
    def find(
        cls, oids: Sequence[bytes], packs: Packs, loose: LooseBlobs, oid_size: int, jobs: Jobs
    ) -> Self:
        """Those of the blobs `oids` (raw, of `oid_size` bytes) that are whole in `packs`, or loose.

        What is wrong with a pack, its index or a file is for git to say. Where there are many,
        `jobs` processes look: so packing a commit takes no longer than ``git archive``. Raises
        `SourceError` if one of them is killed.
        """
        lookups: list[_Lookup] = []
        for pack, (path, descriptor) in enumerate(zip(packs.paths, packs.descriptors, strict=True)):
            with suppress(OSError, ValueError), open(index_path(path), "rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                index = IndexLookup(data, oid_size, len(oids))
                lookups.append((pack, descriptor, index.offset))
        shares = [oids[at : at + _SHARE] for at in range(0, len(oids), _SHARE)]
        found = dict(
            shared_out(
                len(shares),
                processors(jobs),
                lambda number: cls._found(shares[number], lookups, loose),
                lost_reader("the repository"),
            )
        )
        places = cls.unknown(0)
        for number in range(len(shares)):
            for all_of_them, some in zip(places, found[number], strict=True):
                all_of_them.extend(some)
        return places

    @classmethod
    def _found(cls, oids: Sequence[bytes], lookups: Sequence[_Lookup], loose: LooseBlobs) -> Self:
        places = cls.unknown(len(oids))
        packs, offsets, sizes = places
        pread = os.pread
        for number, oid in enumerate(oids):
            for pack, descriptor, offset_of in lookups:
                offset = offset_of(oid)
                if offset is None:
                    continue
                try:
                    head = pread(descriptor, _HEADER, offset)
                except OSError:
                    continue
                kind, size, length = type_and_size(head or b"\0")
                if kind == BLOB and length and size < TOO_LARGE:
                    packs[number] = pack
                    offsets[number] = offset + length
                    sizes[number] = size
                    break
            else:
                loose_size = loose.size(oid)
                if loose_size is not None and loose_size < TOO_LARGE:
                    packs[number], offsets[number], sizes[number] = LOOSE, 1, loose_size
        return places


_Lookup = tuple[int, int, Callable[[bytes], int | None]]
"""A pack: its number, its descriptor, and where in it an object begins."""
