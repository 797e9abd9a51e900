"""Planning a FAT file system.

Directories come first, then files, each in the tree's order and each in one piece, end to end.
So a file's place follows from the sizes before it, and the plan holds a few bytes an entry:
the clusters at which files begin, and the offsets of the layout's items. Directories and
tables are made when they are written.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import ClassVar, Literal

from attrs import define, field, frozen

from ..entry import Directory, Entry, File, Symlink, name_of
from ..errors import BlockpackError, EntryError, UsageError, raise_problems
from ..extent import Data, Extent, Zeros
from ..layout import Layout, Placement, Run, literal, round_up, zeros
from ..profile import FatLimits
from ..tree import Tree
from ..volume import Volume, require_choice
from . import boot_sector, dir_entry, names
from .boot_sector import BACKUP_SECTOR, FSINFO_SECTOR, NO_NAME, BootSector
from .geometry import LARGEST_PREFERRED, Geometry, Wish, choose
from .table import FIRST_CLUSTER, Chains

MAX_ENTRIES = 65_536
"""The most 32-byte entries in a directory (2 MiB): what drivers read."""

_TABLE_ITEM = 96 << 10
"""Bytes of the allocation table in one item; whole entries of every type."""

FatType = Literal["auto"] | int


def _fat_type(value: str | int) -> FatType:
    """A type option: ``auto``, 12, 16 or 32. Raises `UsageError`."""
    require_choice("FAT type", str(value), ("auto", "12", "16", "32"))
    return "auto" if value == "auto" else int(value)


def _label(label: str | bytes) -> bytes:
    """A label's 11 bytes, in upper case; empty for none. Raises `UsageError`."""
    if isinstance(label, bytes):
        return label
    upper = label.upper()
    if upper and not (
        len(upper) <= 11
        and upper.isascii()
        and upper.isprintable()
        and upper == upper.strip()
        and not set(upper) & set('"*+,./:;<=>?[\\]|')
    ):
        rule = 'is 1 to 11 ASCII characters, none of "*+,./:;<=>?[\\]|, no space around it'
        raise UsageError(f"a label {rule}; not {label!r}")
    return upper.ljust(11).encode("ascii") if upper else b""


@frozen(kw_only=True)
class FatVolume(Volume):
    """A FAT file system as an image, without a partition table.

    `sector_size` is the logical sector, in bytes; the default is the profile's. `label` has up
    to 11 characters. `fat_type` (12, 16, 32) and `cluster_size` (bytes) are chosen by the
    content if not given.
    """

    format: ClassVar[str] = "fat"

    sector_size: int = field()
    label: bytes = field(default=b"", converter=_label)
    fat_type: FatType = field(default="auto", converter=_fat_type)
    cluster_size: int | None = None

    @sector_size.default
    def _profile_sector_size(self) -> int:
        return self.profile.fat.sector_size

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        limits = self.profile.fat
        if self.sector_size not in limits.sector_sizes:
            known = " or ".join(map(str, limits.sector_sizes))
            rule = f"profile {self.profile.name} reads FAT sectors of {known} bytes"
            raise UsageError(f"{rule}; not {self.sector_size}")
        if self.fat_type != "auto" and self.fat_type not in limits.types:
            known = " or ".join(f"FAT{bits}" for bits in limits.types)
            raise UsageError(f"profile {self.profile.name} reads {known}; not FAT{self.fat_type}")

    def plan(self, tree: Tree) -> Layout:
        """The layout of the file system that holds `tree`; no file is opened.

        Raises `Problems` with all that FAT or the profile cannot hold.
        """
        survey = _Survey.of(self, tree)
        problems = survey.problems
        geometry = None
        try:
            geometry = choose(survey.wish())
        except EntryError as error:
            problems.append(error)
        if problems or geometry is None:
            raise_problems("this tree does not fit a FAT file system", problems)
            raise AssertionError("unreachable: no geometry is a problem")
        return _Plan(self, survey, geometry).layout(tree.forkable)


@define
class _Directory:
    """A directory to be: its entry (None: the root), what it holds, and how much that takes."""

    entry: Directory | None
    children: list[Entry]
    entries: int
    """The number of its 32-byte entries."""
    cluster: int = 0
    """Its first cluster; 0 for the root of FAT12 and FAT16."""
    parent: int = 0
    """The first cluster of its parent, as ``..`` has it: 0 if that is the root."""
    first_file: int = 0
    """The index of its first file among all files."""


@define
class _Survey:
    """One pass over the tree: what there is, what it takes, and what cannot be."""

    volume: FatVolume
    directories: list[_Directory] = field(factory=list)
    files: list[File] = field(factory=list)
    problems: list[BlockpackError] = field(factory=list)
    warnings: list[str] = field(factory=list)
    digest: bytes = b""

    @classmethod
    def of(cls, volume: FatVolume, tree: Tree) -> _Survey:
        """The survey of `tree` for `volume`."""
        survey = cls(volume)
        survey._check_epoch()
        digest = hashlib.sha256()
        for path, children in tree.directories():
            entry = tree.get(path)
            own = entry if isinstance(entry, Directory) else None
            survey._add(own, children)
            digest.update(
                "\0".join([path, *(child.path for child in children)]).encode(
                    "utf-8", "surrogateescape"
                )
            )
        times = array("q", map(volume.seconds, tree)) if volume.mtime != "fixed" else array("q")
        digest.update(array("Q", (file.size for file in survey.files)).tobytes())
        digest.update(times.tobytes() + volume.epoch.to_bytes(16, "little", signed=True))
        survey.digest = digest.digest()
        return survey

    def _add(self, entry: Directory | None, children: list[Entry]) -> None:
        limits = self.volume.profile.fat
        first_file = len(self.files)
        entries = 0
        folded: dict[str, str] = {}
        for child in children:
            name = name_of(child.path)
            self._check(child, name, limits)
            key = names.fold(name)
            if key in folded:
                rule = f"its name equals {folded[key]!r} but for case, and FAT knows no case"
                self.problems.append(EntryError(child.path, rule, "rename one of the two"))
            folded[key] = name
            entries += 1 + names.long_entries(name, limits)
            if type(child) is File:
                self.files.append(child)
        if entry is not None:
            entries += 2  # '.' and '..'
        elif self.volume.label and limits.label_entry:
            entries += 1
        if entries > MAX_ENTRIES:
            path = entry.path if entry else ""
            where = "a directory" if entry else "the root directory"
            rule = f"{where} takes {entries:,} entries of 32 bytes, and FAT has {MAX_ENTRIES:,}"
            self.problems.append(EntryError(path, rule, "spread it over several directories"))
        self.directories.append(_Directory(entry, children, entries, first_file=first_file))

    def _check(self, entry: Entry, name: str, limits: FatLimits) -> None:
        """Note what FAT or the profile has against one entry."""
        if not names.is_ordinary(name, entry.path, limits):
            self.problems += names.refusals(entry, limits)
            if limits.names == "unicode" and names.is_device(name):
                self.warnings.append(f"{entry.path}: Windows takes this name for a device")
        if type(entry) is Symlink:
            rule = "is a symbolic link, and FAT has none"
            self.problems.append(EntryError(entry.path, rule, "follow or skip links"))
        elif type(entry) is File:
            if entry.size > limits.file_size:
                rule = f"has {entry.size:,} bytes, and {limits.file_size:,} are the most"
                self.problems.append(EntryError(entry.path, rule, "split it, or use tar"))
            elif limits.large_file is not None and entry.size >= limits.large_file:
                advice = "the profile's reader holds files whole in memory; tar suits better"
                self.warnings.append(f"{entry.path}: {entry.size:,} bytes; {advice}")
        if self.volume.mtime != "fixed":
            seconds = self.volume.seconds(entry)
            if not dir_entry.FIRST_TIME <= seconds <= dir_entry.LAST_TIME:
                rule = "its time is outside 1980 to 2107, all that FAT can show"
                self.problems.append(EntryError(entry.path, rule, "touch it, or fix the times"))

    def _check_epoch(self) -> None:
        epoch = self.volume.epoch
        if self.volume.mtime == "fixed" and not (
            dir_entry.FIRST_TIME <= epoch <= dir_entry.LAST_TIME
        ):
            rule = f"the fixed time {epoch} is outside 1980 to 2107, all that FAT can show"
            remedy = f"set SOURCE_DATE_EPOCH to {dir_entry.FIRST_TIME} or later"
            self.problems.append(EntryError("", rule, remedy))

    def wish(self) -> Wish:
        """What the geometry has to hold."""
        volume = self.volume
        limits = volume.profile.fat
        return Wish(
            types=limits.types if volume.fat_type == "auto" else (int(volume.fat_type),),
            sector_size=volume.sector_size,
            cluster_size=volume.cluster_size,
            size=volume.size,
            root_entries=self.directories[0].entries,
            needed=self._clusters,
        )

    def _clusters(self, bits: int, cluster_size: int) -> int:
        """The clusters that everything takes, free space included."""
        directories = self.directories if bits == 32 else self.directories[1:]
        tables = sum(_clusters_of(directory, cluster_size) for directory in directories)
        contents = sum(-(-file.size // cluster_size) for file in self.files)
        return tables + contents + -(-(self.volume.free or 0) // cluster_size)


def _clusters_of(directory: _Directory, cluster_size: int) -> int:
    """The clusters of a directory; even an empty one has its own."""
    return max(1, -(-directory.entries * dir_entry.SIZE // cluster_size))


class _Plan:
    """Places everything in a geometry, and makes the extents of each part."""

    def __init__(self, volume: FatVolume, survey: _Survey, geometry: Geometry) -> None:
        self.volume = volume
        self.survey = survey
        self.geometry = geometry
        self.directories = survey.directories
        self._fixed = dir_entry.fat_time(volume.epoch) if volume.mtime == "fixed" else None
        self.files = [file for file in survey.files if file.size]
        self.firsts = array("I")  # of every chain, in order
        self.cluster_of = {"": 0}  # each directory's; the root counts as 0, as '..' has it
        self._place_directories()
        self.file_clusters = self._place_files()
        self.chains = Chains(geometry.bits, self.firsts)
        self.file_offsets = self._file_offsets()

    def _place_directories(self) -> None:
        size = self.geometry.cluster_size
        cluster = FIRST_CLUSTER
        by_path = self.cluster_of
        wide = self.geometry.bits == 32
        for directory in self.directories:
            if directory.entry is not None:
                path = directory.entry.path
                directory.parent = by_path[path.rpartition("/")[0]]
            if directory.entry is not None or wide:
                directory.cluster = cluster
                self.firsts.append(cluster)
                cluster += _clusters_of(directory, size)
            if directory.entry is not None:
                by_path[directory.entry.path] = directory.cluster
        self.firsts.append(cluster)

    def _place_files(self) -> array[int]:
        """Each file's first cluster, 0 for an empty one; `firsts` goes on to the first free."""
        size = self.geometry.cluster_size
        clusters = array("I")
        cluster = self.firsts.pop()
        for file in self.survey.files:
            if file.size:
                clusters.append(cluster)
                self.firsts.append(cluster)
                cluster += -(-file.size // size)
            else:
                clusters.append(0)
        self.firsts.append(cluster)
        return clusters

    def layout(self, forkable: bool) -> Layout:
        """The layout of it all."""
        geometry = self.geometry
        free = geometry.offset_of(self.chains.end)
        # Free space is clusters, so the geometry has it already.
        size = self.volume.size or round_up(geometry.size, self.volume.pad)
        runs = [
            literal(0, self._reserved()),
            *self._table(geometry.fat_offset),
            *self._table(geometry.fat_offset + geometry.fat_size),
        ]
        in_clusters = self.directories
        if geometry.bits != 32:
            root, *in_clusters = self.directories
            runs.append(
                Run(
                    [geometry.root_offset, geometry.data_offset],
                    lambda start, stop: [self._directory(root)][start:stop],
                )
            )
        runs += [
            self._directory_run(in_clusters),
            Run(self.file_offsets, self._contents),
            zeros(free, size),
        ]
        return Layout(
            format=self.volume.format,
            runs=tuple(runs),
            sector_size=self.volume.sector_size,
            geometry={
                "fat_type": geometry.bits,
                "sector_size": geometry.sector_size,
                "cluster_size": geometry.cluster_size,
                "clusters": geometry.clusters,
                "free_clusters": self._free_clusters,
                "reserved_sectors": geometry.reserved_sectors,
                "sectors_per_fat": geometry.sectors_per_fat,
                "root_entries": geometry.root_entries,
                "data_offset": geometry.data_offset,
                "serial": f"{self._serial >> 16:04X}-{self._serial & 0xFFFF:04X}",
                "label": self.volume.label.decode("ascii").rstrip(),
            },
            warnings=(*self.survey.warnings, *self._cluster_warning()),
            placements=self.placements,
            forkable=forkable,
        )

    def _cluster_warning(self) -> Iterator[str]:
        if self.geometry.cluster_size > LARGEST_PREFERRED:
            yield "clusters of 64 KiB are beyond the specification; some readers refuse them"

    @property
    def _free_clusters(self) -> int:
        return self.geometry.clusters + FIRST_CLUSTER - self.chains.end

    @property
    def _serial(self) -> int:
        """The volume's serial number: from what is planned, so that it is the same each time."""
        geometry = self.geometry
        facts = f"{geometry!r} {self.volume.label!r}".encode()
        return int.from_bytes(hashlib.sha256(self.survey.digest + facts).digest()[:4], "little")

    def _reserved(self) -> bytes:
        """The reserved sectors: the boot sector, and FAT32's FSInfo and their backups."""
        geometry = self.geometry
        wide = geometry.bits == 32
        sector = BootSector(
            bits=geometry.bits,
            bytes_per_sector=geometry.sector_size,
            sectors_per_cluster=geometry.cluster_size // geometry.sector_size,
            reserved_sectors=geometry.reserved_sectors,
            root_entries=geometry.root_entries,
            total_sectors=geometry.size // geometry.sector_size,
            sectors_per_fat=geometry.sectors_per_fat,
            serial=self._serial,
            label=self.volume.label or NO_NAME,
            root_cluster=FIRST_CLUSTER if wide else 0,
            fsinfo_sector=FSINFO_SECTOR if wide else 0,
            backup_sector=BACKUP_SECTOR if wide else 0,
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
        entries = self.chains.end + self.chains.end % 2  # FAT12 packs pairs
        used = entries * bits // 8
        starts = range(0, used, _TABLE_ITEM)

        def items(start: int, stop: int) -> Iterator[Extent]:
            for item in range(start, stop):
                first = item * in_item
                yield Data(
                    offset + item * _TABLE_ITEM,
                    self.chains.pack(first, min(first + in_item, entries)),
                )

        table = Run([*(offset + start for start in starts), offset + used], items)
        return table, zeros(offset + used, offset + self.geometry.fat_size)

    def _directory_run(self, directories: list[_Directory]) -> Run:
        if not directories:
            return Run.of()
        geometry = self.geometry
        offsets = [geometry.offset_of(directory.cluster) for directory in directories]
        last = _clusters_of(directories[-1], geometry.cluster_size) * geometry.cluster_size
        return Run(
            [*offsets, offsets[-1] + last],
            lambda start, stop: map(self._directory, directories[start:stop]),
        )

    def _directory(self, directory: _Directory) -> Extent:
        """A directory's entries, to the end of its last cluster or of the root's area."""
        limits = self.volume.profile.fat
        packed = list(self._heading(directory))
        file = directory.first_file
        listing = [name_of(child.path) for child in directory.children]
        short_names = names.ShortNames(listing)
        for child, name in zip(directory.children, listing, strict=True):
            short = short_names.own(name)
            if short is None:
                short = short_names.assign(name)
                packed.append(dir_entry.pack_long(name, short, limits))
            stamp = self._stamp(child)
            if type(child) is File:
                cluster = self.file_clusters[file]
                file += 1
                attributes, size = dir_entry.ARCHIVE, child.size
            else:
                cluster, attributes, size = self.cluster_of[child.path], dir_entry.DIRECTORY, 0
            packed.append(dir_entry.pack_entry(short, attributes, stamp, cluster, size))
        data = b"".join(packed)
        if directory.cluster:
            area = _clusters_of(directory, self.geometry.cluster_size) * self.geometry.cluster_size
            return Data(self.geometry.offset_of(directory.cluster), data.ljust(area, b"\0"))
        area = self.geometry.root_entries * dir_entry.SIZE
        return Data(self.geometry.root_offset, data.ljust(area, b"\0"))

    def _heading(self, directory: _Directory) -> Iterator[bytes]:
        """What a directory begins with: the label in the root, ``.`` and ``..`` elsewhere."""
        if directory.entry is not None:
            stamp = self._stamp(directory.entry)
            for name, cluster in (
                (dir_entry.DOT, directory.cluster),
                (dir_entry.DOTDOT, directory.parent),
            ):
                yield dir_entry.pack_entry(name, dir_entry.DIRECTORY, stamp, cluster)
        elif self.volume.label and self.volume.profile.fat.label_entry:
            stamp = dir_entry.fat_time(max(self.volume.epoch, dir_entry.FIRST_TIME))
            yield dir_entry.pack_entry(self.volume.label, dir_entry.VOLUME_ID, stamp)

    def _stamp(self, entry: Entry) -> tuple[int, int]:
        return self._fixed or dir_entry.fat_time(self.volume.seconds(entry))

    def _file_offsets(self) -> array[int]:
        """Where each file that is not empty begins, and where the last one's clusters end."""
        offset_of = self.geometry.offset_of
        offsets = array("Q", (offset_of(cluster) for cluster in self.file_clusters if cluster))
        offsets.append(offset_of(self.chains.end))
        return offsets

    def _contents(self, start: int, stop: int) -> Iterator[Extent]:
        """The files from `start` up to, not including, `stop`, of those with bytes."""
        cluster_size = self.geometry.cluster_size
        for index in range(start, stop):
            file = self.files[index]
            at = self.file_offsets[index]
            yield file.content.extent(file, at)
            slack = -file.size % cluster_size
            if slack:
                yield Zeros(at + file.size, slack)

    def placements(self) -> Iterator[Placement]:
        """Each entry and where its content lies, directory by directory."""
        offsets = iter(self.file_offsets)
        for directory in self.directories:
            for child in directory.children:
                has_bytes = type(child) is File and child.size
                yield Placement(child, next(offsets) if has_bytes else None)
