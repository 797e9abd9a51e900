"""Planning a FAT file system.

Directories come first, then files, each in the tree's order and each in one piece, end to end.
So a file's place follows from the sizes before it, and the plan holds a few bytes an entry:
the clusters at which files begin, and the offsets of the layout's items. Directories and
tables are made when they are written.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING
from zlib import crc32

from ...model.entry import Entry, File, parent_of
from ...model.extent import Data, Extent, Zeros
from ...planning.layout import Layout, LayoutWarning, Placement, round_up
from ...planning.runs import WORTHWHILE, Part, Run, literal, zeros
from . import boot_sector, dir_entry, names
from .boot_sector import BACKUP_SECTOR, FSINFO_SECTOR, NO_NAME, BootSector
from .geometry import LARGEST_PREFERRED, Geometry, reason
from .survey import PlannedDirectory, Survey
from .table import FIRST_CLUSTER, Chains

if TYPE_CHECKING:
    from .volume import FatVolume

_TABLE_ITEM = 96 << 10
"""Bytes of the allocation table in one item; whole entries of every type."""


class FatPlan:
    """Places everything in a geometry, and makes the extents of each part."""

    def __init__(self, volume: FatVolume, survey: Survey, geometry: Geometry) -> None:
        self.volume = volume
        self.survey = survey
        self.geometry = geometry
        self.directories = survey.directories
        self._fixed = dir_entry.fat_time(volume.epoch) if volume.mtime == "fixed" else None
        size = geometry.cluster_size
        # FAT12 and FAT16 have a place for the root, right before the clusters.
        in_clusters = self.directories[geometry.bits != 32 :]
        counts = (each.clusters(size) for each in in_clusters)
        chains = array("I", accumulate(counts, initial=FIRST_CLUSTER))
        # Where each directory begins, and where the files do.
        self._directory_offsets = array("Q", [geometry.root_offset] * (geometry.bits != 32))
        self._directory_offsets.extend(map(geometry.offset_of, chains))
        self.cluster_of = {
            each.path: first for each, first in zip(in_clusters, chains, strict=False)
        }
        self.cluster_of[""] = 0  # as '..' has it
        counts = (-(-file.size // size) for file in survey.files)
        # Where each file begins, and the first free cluster; an empty one begins, and takes none.
        self.file_clusters = array("I", accumulate(counts, initial=chains.pop()))
        chains.extend(self.file_clusters)
        self.chains = Chains(geometry.bits, chains, volume.medium.media)
        base = geometry.offset_of(0)
        # Not by a list: a million numbers in one would be the most memory that there ever is.
        self.file_offsets = array("Q", (base + size * first for first in self.file_clusters))

    def layout(self, forkable: bool) -> Layout:
        """The layout of it all."""
        geometry = self.geometry
        free = geometry.offset_of(self.chains.end)
        # Size and free space are in the geometry already.
        size = round_up(geometry.size, 1 if self.volume.size else self.volume.pad)
        runs = [literal(0, self._reserved())]
        for offset in geometry.fat_offsets:
            runs += self._table(offset)
        runs += [
            Run(self._directory_offsets, self._tables, dense=True),
            Run(self.file_offsets, self._contents, dense=geometry.cluster_size <= WORTHWHILE),
            zeros(free, size, free=True),
        ]
        return Layout(
            format=self.volume.format,
            title=f"FAT{geometry.bits}",
            runs=tuple(runs),
            sector_size=self.volume.sector_size,
            largest_sector=self.volume.sector_size,
            geometry={
                **geometry.facts(self._free_clusters, self._serial, self.volume.label),
                "cluster_reason": reason(self.survey),
            },
            warnings=(*self.survey.warnings, *self._warnings()),
            placements=self.placements,
            forkable=forkable,
        )

    def _warnings(self) -> Iterator[LayoutWarning]:
        if self.volume.label and not self.volume.profile.fat.label_entry:
            text = "the label is only in the boot sector, for the profile's reader"
            yield LayoutWarning("", "boot-sector-label", f"{text}; fsck.fat complains")
        for file in self.survey.miscounted(self.geometry.cluster_size):
            rule = "has a last cluster that ends at 4 GiB, where fsck.fat miscounts"
            yield LayoutWarning(file.path, "fsck-miscounts", f"{rule} and would cut the file")
        if self.geometry.cluster_size > LARGEST_PREFERRED:
            text = "clusters of 64 KiB are beyond the specification; some readers refuse them"
            yield LayoutWarning("", "large-clusters", text)

    @property
    def _free_clusters(self) -> int:
        return self.geometry.clusters + FIRST_CLUSTER - self.chains.end

    @property
    def _serial(self) -> int:
        """The volume's serial number: from what is planned, so that it is the same each time."""
        facts = f"{self.geometry!r} {self.volume.padded_label!r}"
        return crc32(facts.encode(), self.survey.digest)

    def _reserved(self) -> bytes:
        """The reserved sectors: the boot sector, and FAT32's FSInfo and their backups."""
        geometry = self.geometry
        wide = geometry.bits == 32
        medium = self.volume.medium
        sector = BootSector(
            bits=geometry.bits,
            bytes_per_sector=geometry.sector_size,
            sectors_per_cluster=geometry.cluster_size // geometry.sector_size,
            reserved_sectors=geometry.reserved_sectors,
            number_of_fats=geometry.fats,
            root_entries=geometry.root_entries,
            total_sectors=geometry.sectors,
            sectors_per_fat=geometry.sectors_per_fat,
            serial=self._serial,
            label=self.volume.padded_label or NO_NAME,
            root_cluster=FIRST_CLUSTER if wide else 0,
            fsinfo_sector=FSINFO_SECTOR if wide else 0,
            backup_sector=BACKUP_SECTOR if wide else 0,
            media=medium.media,
            sectors_per_track=medium.sectors_per_track,
            heads=medium.heads,
            drive=medium.drive,
        ).pack()
        if wide:
            following = self.chains.end if self._free_clusters else boot_sector.UNKNOWN
            sector += boot_sector.pack_fsinfo(self._free_clusters, following, geometry.sector_size)
            sector = sector.ljust(BACKUP_SECTOR * geometry.sector_size, b"\0") + sector
        return sector.ljust(geometry.fat_offset, b"\0")

    def _table(self, offset: int) -> tuple[Run, Run]:
        """One allocation table: the part that is used in items, the rest as zeros."""
        bits = self.geometry.bits
        in_item = _TABLE_ITEM * 8 // bits
        entries = self.chains.end
        used = (entries * bits + 7) // 8
        starts = range(0, used, _TABLE_ITEM)

        def items(start: int, stop: int) -> Iterator[Extent]:
            for item in range(start, stop):
                first = item * in_item
                packed = self.chains.pack(first, min(first + in_item, entries))
                yield Data(offset + item * _TABLE_ITEM, packed)

        table = Run([*(offset + start for start in starts), offset + used], items, dense=True)
        return table, zeros(offset + used, offset + self.geometry.fat_size)

    def _tables(self, start: int, stop: int) -> Iterator[Extent]:
        for index in range(start, stop):
            first, end = self._directory_offsets[index : index + 2]
            data = self._entries(self.directories[index])
            yield Data(first, data.ljust(end - first, b"\0"))

    def _entries(self, directory: PlannedDirectory) -> bytes:
        limits = self.volume.profile.fat
        packed = list(self._heading(directory))
        file = directory.first_file
        listing = directory.names()
        short_names = names.ShortNames(listing)
        for child, name in zip(directory.children, listing, strict=True):
            short = short_names.of(name)
            if not names.is_short(name):
                packed.append(dir_entry.pack_long(names.long_text(name, limits), short))
            if type(child) is File:
                cluster = self.file_clusters[file] if child.size else 0
                file += 1
                attributes, size = dir_entry.ARCHIVE, child.size
            else:
                cluster, attributes, size = self.cluster_of[child.path], dir_entry.DIRECTORY, 0
            case = names.case_bits(name) if limits.lower_case_bits else 0
            packed.append(
                dir_entry.pack_entry(short, attributes, self._stamp(child), cluster, size, case)
            )
        return b"".join(packed)

    def _heading(self, directory: PlannedDirectory) -> Iterator[bytes]:
        """What a directory begins with: the label in the root, ``.`` and ``..`` elsewhere."""
        if directory.entry is not None:
            stamp = self._stamp(directory.entry)
            dots = {dir_entry.DOT: directory.path, dir_entry.DOTDOT: parent_of(directory.path)}
            for name, path in dots.items():
                yield dir_entry.pack_entry(name, dir_entry.DIRECTORY, stamp, self.cluster_of[path])
        elif self.volume.has_label_entry:
            stamp = dir_entry.fat_time(self.volume.epoch)
            yield dir_entry.pack_entry(self.volume.padded_label, dir_entry.VOLUME_ID, stamp)

    def _stamp(self, entry: Entry) -> tuple[int, int]:
        return self._fixed or dir_entry.fat_time(self.volume.seconds(entry))

    def _contents(self, start: int, stop: int) -> Iterator[Part]:
        cluster_size = self.geometry.cluster_size
        for index in range(start, stop):
            file = self.survey.files[index]
            at = self.file_offsets[index]
            yield b"", file
            slack = -file.size % cluster_size
            if slack:
                yield Zeros(at + file.size, slack)

    def placements(self) -> Iterator[Placement]:
        """Each entry and where its content lies, directory by directory."""
        offsets = iter(self.file_offsets)
        for directory in self.directories:
            for child in directory.children:
                offset = next(offsets) if type(child) is File else None
                yield Placement(child, offset if type(child) is File and child.size else None)
