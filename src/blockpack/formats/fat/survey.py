"""The survey: one pass over a tree, before anything has a place.

It finds what every directory takes and all that FAT, or the profile's reader of it, cannot hold;
the geometry is chosen by what it counts.
"""

from __future__ import annotations

from array import array
from operator import attrgetter
from typing import TYPE_CHECKING, Self
from zlib import crc32

from attrs import define, field

from ...errors import BlockpackError, EntryError
from ...model.entry import Directory, Entry, File, Symlink
from ...model.tree import Tree
from ...planning.layout import WORTH_CLONING, LayoutWarning, round_up
from ...planning.profile import FatLimits, GiB
from . import dir_entry, names

if TYPE_CHECKING:
    from .volume import FatVolume

LARGEST = 4 * GiB - (64 << 10)
"""From this size on (bytes), a file is one of the `largest`."""


@define
class PlannedDirectory:
    """A directory to be: its entry (None: the root), what it holds, and how much that takes."""

    entry: Directory | None
    children: list[Entry]
    first_file: int
    """The index of its first file among all files."""
    entries: int = 0
    """The number of its 32-byte entries."""

    @property
    def path(self) -> str:
        """Its path; empty for the root."""
        return self.entry.path if self.entry else ""

    def names(self) -> list[str]:
        """The names of its children."""
        start = len(self.path) + 1 if self.entry else 0
        return [child.path[start:] for child in self.children]

    def clusters(self, cluster_size: int) -> int:
        """The clusters that it takes; even an empty one has its own."""
        return max(1, -(-self.entries * dir_entry.SIZE // cluster_size))


@define
class Survey:
    """What there is, what it takes, and what cannot be."""

    volume: FatVolume
    label_entry: bool
    """Whether the root directory has an entry for the label."""
    directories: list[PlannedDirectory] = field(factory=list)
    """The root first, each directory before those in it."""
    files: list[File] = field(factory=list)
    """All files, directory by directory."""
    problems: list[BlockpackError] = field(factory=list)
    warnings: list[LayoutWarning] = field(factory=list)
    largest: list[File] = field(factory=list)
    """Files whose last cluster, if it is a large one, may end at 4 GiB."""
    digest: int = 0
    """A CRC-32 of all names, sizes and times."""
    clonable: bool = False
    """Whether half of all bytes, or more, are in files that are worth cloning."""
    _clusters: dict[int, int] = field(factory=dict)

    @classmethod
    def of(cls, volume: FatVolume, tree: Tree, *, label_entry: bool) -> Self:
        """The survey of `tree` for `volume`."""
        survey = cls(volume, label_entry)
        survey._check_epoch()
        for path, children in tree.directories():
            entry = tree.get(path)
            names = survey._add(entry if isinstance(entry, Directory) else None, children)
            survey._digest_more("\0".join([path, *names, ""]).encode("utf-8", "surrogateescape"))
        sizes = array("Q", map(attrgetter("size"), survey.files))
        survey._digest_more(sizes)
        large = sum([size for size in sizes if size >= WORTH_CLONING])
        survey.clonable = 0 < large >= sum(sizes) - large
        if volume.mtime != "fixed":
            survey._digest_more(array("q", map(volume.seconds, tree)))
        survey._digest_more(volume.epoch.to_bytes(16, "little", signed=True))
        return survey

    def _digest_more(self, data: bytes | array[int]) -> None:
        self.digest = crc32(data, self.digest)

    @property
    def limits(self) -> FatLimits:
        """What the profile's reader accepts."""
        return self.volume.profile.fat

    @property
    def root_entries(self) -> int:
        """32-byte entries that the root directory needs."""
        return self.directories[0].entries

    def clusters(self, bits: int, cluster_size: int) -> int:
        """The clusters that everything takes on such a volume, free space included."""
        found = self._clusters.get(cluster_size)
        if found is None:
            shift = cluster_size.bit_length() - 1
            contents = sum([file.size + cluster_size - 1 >> shift for file in self.files])
            tables = sum([each.clusters(cluster_size) for each in self.directories[1:]])
            free = -(-(self.volume.free or 0) // cluster_size)
            found = self._clusters[cluster_size] = contents + tables + free
        return found + (self.directories[0].clusters(cluster_size) if bits == 32 else 0)

    def miscounted(self, cluster_size: int) -> list[File]:
        """Files whose last cluster ends at 4 GiB, more than fsck.fat 4.2 counts to."""
        return [file for file in self.largest if round_up(file.size, cluster_size) >= 4 * GiB]

    def _add(self, entry: Directory | None, children: list[Entry]) -> list[str]:
        """Take in one directory, and what it holds; the names of that."""
        limits = self.limits
        directory = PlannedDirectory(entry, children, len(self.files))
        listing = directory.names()
        self._check_names(children, listing, limits)
        self._check_entries(children, limits)
        entries = len(listing) + sum([names.long_entries(name, limits) for name in listing])
        if entry is not None:
            entries += 2  # '.' and '..'
        elif self.label_entry:
            entries += 1
        if entries > dir_entry.MAX_ENTRIES:
            where = "a directory" if entry else "the root directory"
            most = dir_entry.MAX_ENTRIES
            rule = f"{where} takes {entries:,} entries of 32 bytes, and FAT has {most:,}"
            remedy = "spread it over several directories"
            self.problems.append(EntryError(directory.path, rule, remedy))
        directory.entries = entries
        self.directories.append(directory)
        self.files += [child for child in children if type(child) is File]
        return listing

    def _check_names(self, children: list[Entry], listing: list[str], limits: FatLimits) -> None:
        for child, name in zip(children, listing, strict=True):
            if names.is_ordinary(child.path, name, limits):
                continue
            self.problems += names.refusals(child, limits)
            if limits.windows and names.is_device(name):
                text = "Windows takes this name for a device"
                self.warnings.append(LayoutWarning(child.path, "device-name", text))
        folded = list(map(names.fold, listing))
        if len(set(folded)) == len(listing):
            return
        first: dict[str, str] = {}
        for child, name, key in zip(children, listing, folded, strict=True):
            if first.setdefault(key, name) != name:
                rule = f"its name equals {first[key]!r} but for case, and FAT knows no case"
                self.problems.append(EntryError(child.path, rule, "rename one of the two"))

    def _check_entries(self, children: list[Entry], limits: FatLimits) -> None:
        """Note what FAT or the profile has against kinds, sizes and times."""
        noteworthy = min(limits.file_size + 1, limits.large_file or limits.file_size, LARGEST)
        fixed = self.volume.mtime == "fixed"
        for child in children:
            if type(child) is File:
                if child.size >= noteworthy:
                    self._check_size(child, limits)
            elif type(child) is Symlink:
                rule, remedy = (
                    "is a symbolic link, and FAT has none",
                    "follow or skip links: {option}",
                )
                self.problems.append(EntryError(child.path, rule, remedy, "symlinks=follow"))
            if not fixed and not dir_entry.has_time(self.volume.seconds(child)):
                rule = "its time is outside 1980 to 2107, all that FAT can show"
                self.problems.append(EntryError(child.path, rule, "touch it", "mtime=fixed"))

    def _check_size(self, file: File, limits: FatLimits) -> None:
        if file.size >= LARGEST:
            self.largest.append(file)
        if file.size > limits.file_size:
            rule = f"has {file.size:,} bytes, and {limits.file_size:,} are the most"
            self.problems.append(EntryError(file.path, rule, "split it", "format=tar"))
        elif limits.large_file is not None and file.size >= limits.large_file:
            advice = "the profile's reader holds files whole in memory; tar suits better"
            text = f"{file.size:,} bytes; {advice}"
            self.warnings.append(LayoutWarning(file.path, "large-file", text))

    def _check_epoch(self) -> None:
        """Note if the fixed time, or that of the label's entry, is outside what FAT can show."""
        epoch = self.volume.epoch
        fixed = self.volume.mtime == "fixed"
        if (fixed or self.label_entry) and not dir_entry.has_time(epoch):
            what = "fixed time" if fixed else "label's time"
            rule = f"the {what} {epoch} is outside 1980 to 2107, all that FAT can show"
            first, last = dir_entry.FIRST_TIME, dir_entry.LAST_TIME
            remedy = f"give one from {first} to {last}: {{option}}"
            self.problems.append(EntryError("", rule, remedy, f"epoch={first}"))
