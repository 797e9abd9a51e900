"""Reading trees, and seeing to it that they come to no more than they are worth.

A few trees that name each other many times make any number of entries: twenty trees of two entries
each make a million. Real trees repeat each other, too: a million files in a thousand equal
directories have two. So what all trees come to is held against the bytes that they have, each tree
counted once, and the limit is wide. It is asked as soon as trees are met again, and what is beyond
it is refused before its entries are made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from attrs import define, field

from ...errors import BlockpackError
from .objects import MODES, TREE, RawEntry, tree_entries

MOST_FREE = 32_768
"""Entries that any trees may come to."""

MOST_GAIN = 128
"""Entries that trees may come to, beyond that, for each byte that they have."""

_FREE_CHARACTERS = 64 << 20
"""Characters that the paths of all entries may have together, whatever the trees."""

_CHARACTERS_GAIN = 64
"""Characters beyond that, for each byte of the trees; an entry has 24 bytes and more."""

_WORTH_MEASURING = 16 << 20
"""Characters from which on trees that are met again are measured, few entries as they may be."""


class EndlessTreesError(ValueError):
    """Trees name each other so often that nobody made them to be packed."""


@define
class TreeReader:
    """Reads trees of one walk that begins at `root`. `read` gives the bytes of a tree by its id and
    the path for messages, or raises `BlockpackError` or `ValueError`. No more than `most` entries
    are read, and `most_bytes` of different trees.
    """

    read: Callable[[bytes, str], bytes]
    root: bytes
    oid_size: int
    most: int
    most_bytes: int = sys.maxsize
    _read_oids: set[bytes] = field(factory=set, init=False)
    _bytes: int = field(default=0, init=False)
    """Of all trees that were met."""
    _entries: int = field(default=0, init=False)
    _characters: int = field(default=0, init=False)
    _measured: bool = field(default=False, init=False)

    def entries(self, oid: bytes, path: str) -> list[RawEntry]:
        """The entries of tree `oid`, at `path`. Raises `EndlessTreesError`, and as `read` does."""
        again = oid in self._read_oids
        found = self._parsed(oid, path)
        self._entries += len(found)
        self._characters += _characters(found) + len(found) * len(path)
        much = self._entries > MOST_FREE or self._characters > _WORTH_MEASURING
        if again and much and not self._measured:
            self._measured = True
            self.require(*self._measure())
        self.require(self._entries, self._characters)
        return found

    def require(self, entries: int, characters: int = 0) -> None:
        """Raise `EndlessTreesError` if so many entries, with so long paths, are too many."""
        if entries > self.most:
            raise EndlessTreesError(f"its trees have more than {self.most:,} entries")
        if entries > MOST_FREE + MOST_GAIN * self._bytes:
            rule = f"its trees have {self._bytes:,} bytes, and come to {entries:,} entries"
            raise EndlessTreesError(rule)
        if characters > _FREE_CHARACTERS + _CHARACTERS_GAIN * self._bytes:
            rule = f"its trees have {self._bytes:,} bytes, and their paths {characters:,}"
            raise EndlessTreesError(rule)

    def _parsed(self, oid: bytes, path: str) -> list[RawEntry]:
        data = self.read(oid, path)
        if oid not in self._read_oids:
            self._read_oids.add(oid)
            self._bytes += len(data)
            if self._bytes > self.most_bytes:
                raise EndlessTreesError(f"its trees have more than {self.most_bytes:,} bytes")
        return tree_entries(data, self.oid_size)

    def _measure(self) -> tuple[int, int]:
        """How many entries all trees come to, each read once, and how many characters their paths
        have. Raises `EndlessTreesError` if one is in itself.
        """
        totals: dict[bytes, tuple[int, int]] = {}
        opened: dict[bytes, _Tree] = {}
        pending = [self.root]
        while pending:
            oid = pending[-1]
            if oid not in totals and oid not in opened:
                opened[oid] = tree = self._tree(oid)
                left = {child for child, _ in tree.below if child not in totals}
                if not left.isdisjoint(opened):
                    raise EndlessTreesError("one of its trees is in itself")
                pending += left
                continue
            pending.pop()
            if oid in opened:
                entries, characters, below = opened.pop(oid)
                for child, name in below:
                    more, longer = totals[child]
                    entries += more
                    characters += longer + more * (name + 1)
                totals[oid] = entries, characters
        return totals[self.root]

    def _tree(self, oid: bytes) -> _Tree:
        """What a tree comes to; one that cannot be read comes to nothing."""
        try:
            found = self._parsed(oid, "")
        except EndlessTreesError:
            raise
        except (BlockpackError, ValueError):
            return _Tree(0, 0, [])
        below = [(child, len(name)) for mode, name, child in found if MODES.get(mode) == TREE]
        return _Tree(len(found), _characters(found), below)


class _Tree(NamedTuple):
    """A tree by itself; `below` has the ids of its trees, each with the length of its name."""

    entries: int
    characters: int
    below: list[tuple[bytes, int]]


def _characters(entries: list[RawEntry]) -> int:
    return sum([len(name) for _, name, _ in entries])
