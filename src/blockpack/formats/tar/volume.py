"""Planning a tar archive.

The archive is the members in the tree's order, then two blocks of zeros, then zeros to the
image's end. Each member is an item of one run: the zeros that fill the last block of the payload
before, padding that brings its own payload onto a boundary, its headers, and the payload. So an
item is two extents, and all that is held of it is its offset (8 bytes an entry); headers are made
again when they are written.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping
from typing import ClassVar

from attrs import field, frozen

from ...arguments import checked
from ...errors import EntryError, UsageError
from ...model.entry import Entry, File
from ...model.extent import Data, Extent
from ...model.limits import MOST
from ...model.tree import Tree
from ...planning.layout import CLONE_BLOCK, WORTH_CLONING, Layout, LayoutWarning, Placement
from ...planning.options import parse_size
from ...planning.posix_volume import EXECUTABLE, PLAIN, PosixVolume
from ...planning.profile import TarLimits
from ...planning.runs import Part, Run, literal, zeros
from ...workers.processors import Jobs
from . import header
from .header import BLOCK, file_headers
from .members import Dialect, Member, blocks, refusals
from .padding import comments, root_entries

MAX_ALIGNMENT = 16 << 10
"""Padding for more takes so many headers that bsdtar gives up on the archive."""


def _alignment(align: int | str) -> int | str:
    """An alignment option: ``auto`` or bytes. Raises `UsageError`."""
    if align == "auto":
        return align
    try:
        number = parse_size(align)
    except UsageError:
        number = 0
    if not BLOCK <= number <= MAX_ALIGNMENT or number & (number - 1):
        rule = f"a power of two from {BLOCK} to {MAX_ALIGNMENT}"
        raise UsageError("", f"alignment is 'auto' or {rule}; not {align}")
    return number


@checked
@frozen(kw_only=True)
class TarVolume(PosixVolume):
    """A tar archive as an image.

    `dialect` says how long names and large numbers are written. Payloads of at least `align`
    bytes begin on a multiple of it; ``auto`` puts those of at least 64 KiB on 4096 bytes. With
    `erofs` the image is an EROFS file system, too, of blocks as large as the sectors: whoever reads
    either finds the same files.
    """

    format: ClassVar[str] = "tar"
    smaller: ClassVar[Mapping[str, int | None]] = {"align": 512}

    dialect: Dialect = "pax"
    align: int | str = field(default="auto", converter=_alignment)
    erofs: bool = False

    def plan(self, tree: Tree, *, jobs: Jobs = 1) -> Layout:
        """The layout of the archive of `tree`; no file is opened.

        Raises `Problems` with all that the dialect or the profile cannot hold.
        """
        erofs = None
        if self.erofs:
            from .erofs_member import ErofsMember  # slow to import, and seldom needed

            erofs = ErofsMember(self, tree)
        plan = _Plan(self, list(tree), 0 if erofs is None else erofs.end)
        end = plan.end
        needed = header.padded(end) + len(header.END)
        if erofs is not None:
            erofs.place(plan.offsets)
            plan.problems += erofs.problems
        size = self.size_for(needed, plan.problems, "this tree does not fit a tar archive")
        return Layout(
            format=self.format,
            runs=(
                *(() if erofs is None else erofs.runs(needed)),
                Run(plan.offsets, plan.parts, dense=True),
                literal(end, bytes(-end % BLOCK) + header.END),
                zeros(needed, size, free=True),
            ),
            sector_size=self.sector_size,
            largest_sector=self.sector_size if self.erofs else 4096,
            geometry={
                "dialect": self.dialect,
                "entries": len(plan.entries),
                "aligned": plan.boundary,
                "end": needed,
                **({} if erofs is None else erofs.facts),
            },
            warnings=(*self._warnings(size), *(() if erofs is None else erofs.warnings)),
            placements=plan.placements,
            forkable=tree.forkable,
        )

    def _warnings(self, size: int) -> Iterator[LayoutWarning]:
        sector_size = self.profile.tar.sector_size
        if size % sector_size:
            rule = f"the image is not a multiple of {sector_size:,} bytes"
            text = f"{rule}: a device with sectors of that size (Xen's) does not read its end"
            yield LayoutWarning("", "short-tail", text)


class _Plan:
    """The offsets of all members, and the extents of any of them.

    Nearly every member of nearly every tree is a file with a short ASCII name that differs
    from the others in name and size alone. Those are told once (`_alike`), and their headers
    are made by `file_headers`; all others take the long way through `Member`.
    """

    def __init__(self, volume: TarVolume, entries: list[Entry], start: int) -> None:
        self.volume = volume
        self.entries = entries
        self.problems: list[EntryError] = []
        limits = volume.profile.tar
        self._linked = _hard_links(entries) if limits.links else {}
        automatic = volume.align == "auto"
        # by default padding is 6 % of a payload at most
        self.boundary = CLONE_BLOCK if automatic else int(volume.align)
        self._threshold = WORTH_CLONING if automatic else self.boundary
        if self.boundary == BLOCK:
            self._threshold = sys.maxsize  # every payload is aligned as it is
        if volume.erofs and volume.sector_size > BLOCK:  # whose files begin on whole blocks
            self.boundary = max(self.boundary, volume.sector_size)
            self._threshold = 1
        self._long_padding = limits.long_padding and volume.dialect != "ustar"
        self._alike = bytearray(len(entries))
        ids = (0, 0) if volume.owner == "keep" else volume.owner
        self._file_headers = tuple(
            file_headers(mode, *ids, volume.epoch) for mode in (PLAIN, EXECUTABLE)
        )
        self.offsets = self._place(start, limits)

    def _place(self, start: int, limits: TarLimits) -> array[int]:
        """The offset of every member, and of the end; `problems` gets what cannot be held."""
        offsets = array("Q", [start])
        volume = self.volume
        uniform = (
            volume.mtime == "fixed"
            and volume.mode == "normal"
            and volume.dialect != "gnu"
            and volume.owner != "keep"
            and Member(b"", header.FILE, 0, volume.epoch, 0, *volume.owner).plain
        )
        largest = min(self._threshold - 1, header.MAX_SIZE)
        longest = header.NAME_SIZE
        append = offsets.append
        end = start
        for index, entry in enumerate(self.entries):
            path = entry.path
            start = (end + BLOCK - 1) & -BLOCK
            if (
                uniform
                and type(entry) is File
                and entry.size <= largest
                and len(path) <= longest
                and path.isascii()
                and entry.inode is None
            ):
                self._alike[index] = True
                end = start + BLOCK + entry.size
            else:
                member = self._member(index)
                self.problems += refusals(member, entry, volume.dialect, limits)
                headers = len(blocks(member, volume.dialect))
                end = start + self._gap(start, headers, member) + headers + member.size
            if end > MOST:  # it is refused for that, and no array holds more
                break
            append(end)
        self.end = end
        return offsets

    def _gap(self, at: int, headers: int, member: Member) -> int:
        """The padding before a member at `at`, in bytes."""
        if member.size < self._threshold:
            return 0
        gap = -(at + headers) % self.boundary
        if gap == BLOCK and self._long_padding:
            gap += self.boundary  # the shortest that an odd number of blocks can be
        return gap

    def _member(self, index: int) -> Member:
        entry = self.entries[index]
        volume = self.volume
        facts = volume.mode_of(entry), volume.seconds(entry), volume.owner_of(entry)
        linked = self._linked.get(index)
        return Member.of(entry, *facts, None if linked is None else self.entries[linked].path)

    def parts(self, start: int, stop: int) -> Iterator[Part]:
        """What the members from `start` up to, not including, `stop` are made of."""
        plain, executable = self._file_headers
        alike, entries, offsets = self._alike, self.entries, self.offsets
        for index in range(start, stop):
            if not alike[index]:
                yield from self._member_extents(index)
                continue
            entry = entries[index]
            offset = offsets[index]
            assert type(entry) is File
            slack = -offset & BLOCK - 1
            make = executable if entry.mode & 0o100 else plain
            yield make(slack, entry.path.encode("ascii"), entry.size), entry

    def _member_extents(self, index: int) -> Iterator[Extent]:
        """The extents of one member: all that is before its payload, and that."""
        offset = self.offsets[index]
        slack = -offset % BLOCK
        member = self._member(index)
        headers = blocks(member, self.volume.dialect)
        gap = self._gap(offset + slack, len(headers), member)
        before = bytes(slack) + self._padding(gap) + headers
        yield Data(offset, before)
        entry = self.entries[index]
        if type(entry) is File and member.typeflag == header.FILE:
            yield entry.store.extent(entry, offset + len(before))

    def _padding(self, length: int) -> bytes:
        """The members that fill `length` bytes, a multiple of 512."""
        if self._long_padding:
            return comments(length)
        if self.volume.dialect == "ustar":
            return root_entries(length, self.volume.epoch)
        comment = 2 * BLOCK if length > BLOCK else 0
        return root_entries(length - comment, self.volume.epoch) + comments(comment)

    def placements(self) -> Iterator[Placement]:
        """Each entry and where its content lies; for a hard link, that of the file."""
        for index, entry in enumerate(self.entries):
            size = entry.size if type(entry) is File else 0
            end = self.offsets[self._linked.get(index, index) + 1]
            yield Placement(entry, end - size if size else None)


def _hard_links(entries: list[Entry]) -> dict[int, int]:
    """For each entry that is a hard link to an earlier one: its index → that one's."""
    first: dict[tuple[int, int], int] = {}
    linked = {}
    for index, entry in enumerate(entries):
        if type(entry) is File and entry.inode is not None:
            earlier = first.setdefault(entry.inode, index)
            if earlier != index:
                linked[index] = earlier
    return linked
