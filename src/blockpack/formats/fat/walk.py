"""One walk through a FAT file system: directories to entries, chains to pieces of the image."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from ...errors import Deviation, ImageError
from ..reader import MAX_PATH, ImageEntry, Pieces, Report, too_long
from . import dir_entry, listing
from .allocation import Allocation, Runs
from .listing import Listing, Slot

if TYPE_CHECKING:
    from .reader import FatReader

_AMBIGUOUS = "readers disagree about where its bytes are: the root directory fills no whole sectors"


class Walk:
    """Follows every chain of what `reader` reads once."""

    def __init__(self, reader: FatReader, allocation: Allocation, report: Report) -> None:
        self._reader = reader
        self._geometry = geometry = reader.geometry
        self._cluster_size = geometry.cluster_size
        self._base = geometry.offset_of(0)
        self.allocation = allocation
        self._report = report
        self._cut_short = geometry.size > reader.size
        self._ambiguous = geometry.root_entries * dir_entry.SIZE % geometry.sector_size
        """Not 0 if readers disagree about where clusters begin."""
        self.unread: list[int] = []
        """The clusters at which chains go on that were read to their size."""

    def root(self) -> Listing:
        """What the root directory holds."""
        geometry = self._geometry
        if geometry.bits == 32:
            return self._directory("", self._reader.boot.root_cluster)
        data = b""
        try:
            size = geometry.root_entries * dir_entry.SIZE
            data = self._reader.read_at(geometry.root_offset, size)
        except ImageError as error:
            self._report(error)
        return listing.read(data, "", False, self._report)

    def entries(self, root: Listing) -> list[ImageEntry]:
        """The entries below the root directory, each directory before what it holds."""
        found = list(self._entries(root))
        shared = self.allocation.shared
        return self._told_apart(found, shared) if shared else found

    def _entries(self, root: Listing) -> Iterator[ImageEntry]:
        pending = [("", 0, iter(root.slots), self._end_to_end(root.slots))]
        while pending:
            above, parent, slots, end_to_end = pending[-1]
            for name, attributes, cluster, size, mtime_ns in slots:
                path = above + name
                if len(path) > MAX_PATH:
                    self._report(too_long(path))
                elif attributes & dir_entry.DIRECTORY:
                    yield ImageEntry(path, "directory", 0, 0o755, mtime_ns)
                    inside = self._directory(path, cluster, parent).slots
                    pending.append((f"{path}/", cluster, iter(inside), self._end_to_end(inside)))
                    break
                else:
                    mode = 0o444 if attributes & dir_entry.READ_ONLY else 0o644
                    if end_to_end and size:
                        pieces: Pieces = ((self._base + cluster * self._cluster_size, size),)
                        damage = ""
                    else:
                        pieces, damage = self._contents(path, cluster, size)
                    yield ImageEntry(path, "file", size, mode, mtime_ns, 0, 0, "", pieces, damage)
            else:
                pending.pop()

    def _end_to_end(self, slots: list[Slot]) -> bool:
        """Whether all files of a directory lie end to end, and their clusters are now theirs."""
        cluster_size = self._cluster_size
        files = [
            (cluster, -(-size // cluster_size))
            for _, attributes, cluster, size, _ in slots
            if size and not attributes & dir_entry.DIRECTORY
        ]
        if not files or self._cut_short or self._ambiguous:
            return False
        firsts, counts = zip(*files, strict=True)
        return self.allocation.follow_all(firsts, counts)

    def _contents(self, path: str, cluster: int, size: int) -> tuple[Pieces, str]:
        if not size:
            if cluster:
                self._report(Deviation(path, "is empty and has a cluster"))
                self.unread.append(cluster)
            return (), ""
        needed = -(-size // self._cluster_size)
        if self._ambiguous:
            self._report(ImageError(path, _AMBIGUOUS))
            return (), _AMBIGUOUS
        try:
            runs, following, fault = self.allocation.follow(cluster, needed)
        except ImageError as error:  # the table is cut short
            runs, following, fault = [], 0, error.rule
        pieces = self._pieces(runs, size)
        fault = fault or self._missing(pieces, size)
        if fault:
            self._report(ImageError(path, fault))
            return (), fault
        if following < self.allocation.end_of_chain:
            self._report(Deviation(path, "its chain goes on after its size"))
            self.unread.append(following)
        return pieces, ""

    def _missing(self, pieces: tuple[tuple[int, int], ...], size: int) -> str:
        """What keeps `pieces` from being all `size` bytes of a file; empty for nothing."""
        for _, length in pieces:
            size -= length
        if size:
            return "its chain is shorter than its size"
        if self._cut_short and max(map(sum, pieces)) > self._reader.size:
            return "lies beyond the end of the image, which is cut short"
        return ""

    def _pieces(self, runs: Runs, size: int) -> tuple[tuple[int, int], ...]:
        """The pieces of the image that runs of clusters cover, `size` bytes at the most."""
        pieces: list[tuple[int, int]] = []
        end = -1
        for first, count in runs:
            offset, length = self._base + first * self._cluster_size, count * self._cluster_size
            length = min(length, size)
            size -= length
            if offset == end:
                length += pieces[-1][1]
                offset = pieces.pop()[0]
            pieces.append((offset, length))
            end = offset + length
        return tuple(pieces)

    def _directory(self, path: str, cluster: int, parent: int = 0) -> Listing:
        where = path or listing.ROOT
        most = max(1, dir_entry.MAX_ENTRIES * dir_entry.SIZE // self._geometry.cluster_size)
        data = b""
        try:
            runs, following, fault = self.allocation.follow(cluster, most)
            if not fault and following < self.allocation.end_of_chain:
                fault = f"has more than {dir_entry.MAX_ENTRIES:,} entries"
            for offset, length in self._pieces(runs, most * self._cluster_size):
                data += self._reader.read_at(offset, length)
        except ImageError as error:
            fault = error.rule
        if path and self._ambiguous:
            fault, data = _AMBIGUOUS, b""
        elif path and data:
            begins = data[:11] == dir_entry.DOT, data[32:43] == dir_entry.DOTDOT
            if not any(begins):
                fault, data = "does not begin with '.' and '..', so it is not a directory", b""
        inside = listing.read(data, path, self._geometry.bits == 32, self._report)
        if fault:
            kind = Deviation if inside.ended else ImageError  # what comes after its end is unused
            self._report(kind(where, fault))
        elif path and inside.dots != {dir_entry.DOT: cluster, dir_entry.DOTDOT: parent}:
            self._report(Deviation(path, "its '.' or '..' leads elsewhere"))
        return inside

    def _told_apart(self, found: list[ImageEntry], shared: list[int]) -> list[ImageEntry]:
        """The entries, with files damaged that have clusters to which another chain led, too."""
        offsets = sorted(map(self._geometry.offset_of, shared))
        for index, entry in enumerate(found):
            for offset, length in entry.extents:
                at = bisect_left(offsets, offset or 0)
                if at < len(offsets) and offsets[at] < (offset or 0) + length:
                    rule = "shares clusters with another file or directory; damaged"
                    self._report(ImageError(entry.path, rule))
                    found[index] = evolve(entry, extents=(), damage=rule)
                    break
        return found
