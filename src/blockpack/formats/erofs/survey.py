"""The survey: what there is, what each inode takes, and all that EROFS cannot hold.

Entries have numbers: the root is 0, and the others follow in the tree's order. So what is in a
directory is behind it, and the next sibling of each entry is where its own descendants end.
"""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING, Self

from attrs import define, field

from ...errors import EntryError
from ...model.entry import NANOSECONDS, Directory, Entry, File, Symlink, encode
from ...model.limits import MOST
from ...model.tree import Tree
from ...planning.ids import guid
from .directory import DOT, DOTDOT, size_of
from .structures import COMPACT, EXTENDED, NAME_MAX, SYMLINK_MAX

if TYPE_CHECKING:
    from .volume import ErofsVolume


@define
class Survey:
    """What there is, what it takes, and what cannot be. Arrays are by the numbers of entries."""

    volume: ErofsVolume
    entries: list[Entry]
    sizes: array[int]
    """Bytes of the content: a file's, a link's target, a directory's names."""
    inline: array[int]
    """Those of them that are behind the inode; the others are in blocks."""
    widths: bytearray
    """Bytes of the inode; none for a further name of a file."""
    ends: array[int]
    """The number behind the last descendant."""
    parents: array[int]
    """The directory that a directory is in."""
    first: dict[int, int] = field(factory=dict)
    """Of each further name of a file, the first."""
    links: dict[int, int] = field(factory=dict)
    """How many names a file has, by the first, where there are several."""
    problems: list[EntryError] = field(factory=list)
    _digest: hashlib._Hash = field(factory=hashlib.sha256)

    @classmethod
    def of(cls, volume: ErofsVolume, tree: Tree) -> Self:
        """The survey of `tree` for `volume`."""
        entries: list[Entry] = [Directory("", mtime_ns=volume.epoch * NANOSECONDS), *tree]
        count = len(entries)
        numbers = array("I", range(1, count + 1))
        survey = cls(
            volume,
            entries,
            sizes=array("Q", bytes(8 * count)),
            inline=array("I", bytes(4 * count)),
            widths=bytearray(count),
            ends=numbers,
            parents=array("I", bytes(4 * count)),
        )
        survey._find_directories()
        survey._measure_others()
        return survey

    def blocks(self, number: int) -> int:
        """How many blocks of content an entry has."""
        return -(-(self.sizes[number] - self.inline[number]) // self.volume.block_size)

    def _find_directories(self) -> None:
        """Find what is in each directory, and measure it once all of that is known."""
        above: list[tuple[int, str, list[bytes]]] = []
        number, prefix = 0, ""
        names: list[bytes] = []
        for child, entry in enumerate(self.entries):
            path = entry.path
            if not path:
                continue
            while not path.startswith(prefix):
                self._end_directory(number, names, child)
                number, prefix, names = above.pop()
            names.append(path[len(prefix) :].encode("utf-8", "surrogateescape"))
            if type(entry) is Directory:
                self.parents[child] = number
                above.append((number, prefix, names))
                number, prefix, names = child, f"{path}/", []
        above.append((number, prefix, names))
        for each, _, within in reversed(above):
            self._end_directory(each, within, len(self.entries))

    def _end_directory(self, number: int, names: list[bytes], end: int) -> None:
        self._digest.update(b"\0".join([*names, b""]))
        if names and max(map(len, names)) > NAME_MAX:
            child = number + 1
            for name in names:
                if len(name) > NAME_MAX:
                    rule = f"its name has {len(name):,} bytes, and {NAME_MAX} are the most"
                    self.problems.append(EntryError(self.entries[child].path, rule, "rename it"))
                child = self.ends[child]
        self.ends[number] = end
        links = len(names) + 2  # at most: what a directory has is looked at when it is written
        names += DOT, DOTDOT
        names.sort()
        # All of it behind its inode, or none: what has blocks would be made twice.
        size = size_of(names, self.volume.block_size)
        self._measure(number, size, size, links)

    def _measure_others(self) -> None:
        volume = self.volume
        block_size, inline_below = volume.block_size, volume.inline_below
        is_usual = volume.mtime == "fixed" and volume.owner != "keep" and self._is_compact(0, 0, 1)
        most = block_size - COMPACT.size
        inodes: dict[tuple[int, int], int] = {}
        for number, entry in enumerate(self.entries):
            if type(entry) is File:
                size = entry.size
                if is_usual and size < inline_below and entry.inode is None:  # as most are
                    tail = size % block_size
                    self.sizes[number] = size
                    self.inline[number] = tail if tail <= most else 0
                    self.widths[number] = COMPACT.size
                    continue
                first = number if entry.inode is None else inodes.setdefault(entry.inode, number)
                if first == number:
                    self._measure_file(number, size)
                else:
                    self.first[number] = first
                    self.links[first] = self.links.get(first, 1) + 1
            elif type(entry) is Symlink:
                target = encode(entry.target)
                self._digest.update(target)
                if len(target) > SYMLINK_MAX:
                    rule = f"its target has {len(target):,} bytes, and Linux reads {SYMLINK_MAX:,}"
                    self.problems.append(EntryError(entry.path, rule, "give it a shorter one"))
                # Linux takes one that is not in one block from blocks alone (erofs_fill_symlink).
                self._measure(number, len(target), len(target))
        for number, links in self.links.items():
            self._measure_file(number, self.sizes[number], links)

    def _measure_file(self, number: int, size: int, links: int = 1) -> None:
        if size > MOST:
            rule = f"has {size:,} bytes, more than any file can have"
            self.problems.append(EntryError(self.entries[number].path, rule, "leave it out"))
            size = 0
        tail = size % self.volume.block_size if size < self.volume.inline_below else 0
        self._measure(number, size, tail, links)

    def _measure(self, number: int, size: int, tail: int, links: int = 1) -> None:
        """Note the size of an inode, and that its `tail` is behind it if one block has room."""
        is_compact = self._is_compact(number, size, links)
        width = COMPACT.size if is_compact else EXTENDED.size
        self.sizes[number] = size
        self.inline[number] = tail if width + tail <= self.volume.block_size else 0
        self.widths[number] = width

    def _is_compact(self, number: int, size: int, links: int) -> bool:
        """Whether an inode of 32 bytes holds what there is to say."""
        volume, entry = self.volume, self.entries[number]
        return (
            max(*volume.owner_of(entry), links) < 1 << 16
            and size < 1 << 32
            and volume.nanoseconds(entry) == volume.epoch * NANOSECONDS
        )

    def uuid(self) -> str:
        """A UUID that follows from all that is packed, but for what is in files."""
        volume, entries = self.volume, self.entries
        digest = self._digest.copy()
        for numbers in (self.sizes, self.inline, self.widths, self.ends):
            digest.update(numbers)
        digest.update(array("H", map(volume.mode_of, entries)))
        if volume.mtime != "fixed":
            for entry in entries:
                digest.update(b"%d " % volume.nanoseconds(entry))
        if volume.owner == "keep":
            digest.update(array("I", [n for each in entries for n in (each.uid, each.gid)]))
        facts = volume.block_size, volume.label, volume.epoch, volume.owner, self.first
        digest.update(repr(facts).encode())
        return guid(digest, volume.format)
