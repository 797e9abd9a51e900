"""Reading FAT file systems as Linux reads them, none of it trusted.

What keeps a file's bytes from being read is an `ImageError`: chains that end early, lead nowhere,
or into each other (then it is not known whose the clusters are, and neither file is read). What
others do differently and costs nothing is a `Deviation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import ne

from attrs import evolve

from ...errors import Deviation, ImageError, printable
from ...planning.layout import Fact
from ...reading.positional import PositionalReader
from ..reader import ImageEntry, ImageReader, Report
from . import boot_sector, dir_entry, listing, table
from .allocation import Allocation
from .boot_sector import BootSector
from .geometry import Geometry
from .table import FIRST_CLUSTER
from .walk import Walk

MOST_CLUSTERS = 0x0FFFFFF5
"""The most data clusters that FAT32 can number."""


class FatReader(ImageReader):
    """A FAT12, FAT16 or FAT32 file system."""

    format = "fat"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the boot sector's counts. They need not be as usual where it has a jump as its first
        instruction and its signature, which some writers leave out.
        """
        if len(head) < 512:
            return False
        boot = BootSector.unpack(head)
        return boot.is_possible and (boot.is_usual or not _unmarked(head))

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        self._sector = self.read_at(0, 512)
        self.boot = BootSector.unpack(self._sector)
        if not self.boot.is_possible:
            raise ImageError("", "its boot sector is not that of a FAT file system")
        self.geometry = _geometry(self.boot)
        clusters = self.geometry.clusters
        if clusters > MOST_CLUSTERS:
            raise ImageError("", f"the boot sector tells of {clusters:,} clusters; it is damaged")
        if clusters < 1:
            raise ImageError("", "the boot sector leaves no room for data; it is damaged")

    def info(self) -> Mapping[str, Fact]:
        """Geometry, label and serial."""
        boot = self.boot
        free = sum(chunk.count(0) for chunk in self._allocation().chunks())
        stated = boot.boot_signature in (boot_sector.BOOT_SIGNATURE, boot_sector.SERIAL_ALONE)
        serial = boot.serial if stated else None
        return self.geometry.facts(free, serial, printable(self._label()))

    def options(self) -> Mapping[str, str]:
        """The label, if a volume can have it."""
        label = self._label()
        if not boot_sector.is_label(label):
            return {}
        case = {} if label == label.upper() else {"label_case": "keep"}
        return {"label": label, **case}

    @property
    def end(self) -> int:
        """Behind the last of its sectors."""
        return self.geometry.size

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Directory by directory, as they lie there."""
        walk = self._walk(report)
        return iter(walk.entries(walk.root()))

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """Boot sector, tables and FSInfo are as they should be, too; no cluster is lost."""
        for rule in self._boot_deviations():
            report(Deviation("", rule))
        walk = self._walk(report)
        root = walk.root()
        stated = self.boot.boot_signature == boot_sector.BOOT_SIGNATURE
        if stated and root.label not in (None, self.boot.label):
            report(Deviation("", "the boot sector has another label than the root directory"))
        yield from walk.entries(root)
        try:
            for rule in [*self._unused(walk), *self._table_deviations()]:
                report(Deviation("", rule))
        except ImageError as error:
            report(error)

    def _unused(self, walk: Walk) -> Iterator[str]:
        """What deviates about clusters that no entry has, after all entries were read."""
        for cluster in walk.unread:
            walk.allocation.follow(cluster, self.geometry.clusters)
        chunks = walk.allocation.chunks
        free = sum(chunk.count(0) for chunk in chunks())
        lost = self.geometry.clusters - free - walk.allocation.followed
        if lost > 0:  # seldom, and counting takes its time
            lost -= sum(chunk.count(table.BAD[self.geometry.bits]) for chunk in chunks())
        if lost > 0:
            yield f"{lost:,} clusters are taken, and belong to nothing"
        yield from self._fat32_deviations(free)

    def _walk(self, report: Report) -> Walk:
        return Walk(self, self._allocation(), report)

    def _allocation(self) -> Allocation:
        geometry = self.geometry
        offset = geometry.fat_offsets[self._active]
        return Allocation(self.read_at, offset, geometry.bits, geometry.clusters)

    @property
    def _active(self) -> int:
        """The table that counts: the first but on a FAT32 that says otherwise."""
        if self.geometry.bits == 32 and self.boot.flags & boot_sector.ONE_ACTIVE:
            active = self.boot.flags & boot_sector.ACTIVE
            return active if active < self.geometry.fats else 0
        return 0

    def _label(self) -> str:
        """The label: the root directory's if it has one, else the boot sector's."""
        label = self._walk(lambda _: None).root().label
        return listing.oem(label or self.boot.own_label or b"")

    def _boot_deviations(self) -> Iterator[str]:
        boot, geometry = self.boot, self.geometry
        if rule := _unmarked(self._sector):
            yield rule
        if geometry.size > self.size:
            rule = f"the file system has {geometry.size:,} bytes, the image {self.size:,}"
            yield f"{rule}; it is cut short"
        if boot.root_entries * dir_entry.SIZE % boot.bytes_per_sector:
            yield f"the root directory's {boot.root_entries} entries fill no whole sectors"
        if boot.bits == 32 and boot.root_entries:
            yield f"a FAT32 has {boot.root_entries} root entries, and a place for them"
        if geometry.clusters < _clusters(geometry):
            yield f"the FAT is too small for more than {geometry.clusters:,} clusters"
        if not boot.is_usual:
            yield f"it has {boot.number_of_fats} FATs, and the media byte {boot.media:02X}"

    def _table_deviations(self) -> Iterator[str]:
        geometry = self.geometry
        active = self._active
        starts = geometry.fat_offsets
        for copy, start in enumerate(starts):
            pair = (self.pieces(at, at + geometry.fat_size) for at in (starts[active], start))
            if copy != active and any(map(ne, *pair)):
                known = f"FAT {active + 1}, which counts" if active else "the first"
                yield f"FAT {copy + 1} differs from {known}"
                break
        if self.read_at(starts[active], 1)[0] != self.boot.media:
            yield "the FAT does not begin with the media byte"

    def _fat32_deviations(self, free: int) -> Iterator[str]:
        boot, sector = self.boot, self.geometry.sector_size
        if boot.bits != 32:
            return
        backed_up = boot.backup_sector not in (0, 0xFFFF)
        if backed_up and self.read_at(boot.backup_sector * sector, 512) != self._sector:
            yield "the backup boot sector differs from the boot sector"
        if boot.fsinfo_sector in (0, 0xFFFF):
            return
        found = boot_sector.unpack_fsinfo(self.read_at(boot.fsinfo_sector * sector, 512))
        if found is None:
            yield "the FSInfo sector is not one"
        elif found[0] not in (free, boot_sector.UNKNOWN):
            yield f"FSInfo says {found[0]:,} clusters are free, and {free:,} are"


def _unmarked(sector: bytes) -> str:
    """What a boot sector lacks that most have, and Linux does without; empty for nothing."""
    if sector[510:512] != boot_sector.SIGNATURE:
        return "the boot sector does not end in 55 AA"
    if sector[0] not in b"\xe9\xeb":
        return "the boot sector does not begin with a jump"
    return ""


def _geometry(boot: BootSector) -> Geometry:
    geometry = Geometry(
        bits=boot.bits,
        sector_size=boot.bytes_per_sector,
        sectors=boot.total_sectors,
        cluster_size=boot.sectors_per_cluster * boot.bytes_per_sector,
        clusters=0,
        root_entries=boot.root_entries,
        reserved_sectors=boot.reserved_sectors,
        sectors_per_fat=boot.sectors_per_fat,
        fats=boot.number_of_fats,
    )
    clusters = _clusters(geometry)
    bits = boot.bits if boot.bits == 32 else 12 if clusters < 4085 else 16
    told = geometry.fat_size * 8 // bits - FIRST_CLUSTER
    return evolve(geometry, bits=bits, clusters=min(clusters, told))


def _clusters(geometry: Geometry) -> int:
    """The clusters that the volume has room for, whether or not its table has."""
    return max(geometry.size - geometry.data_offset, 0) // geometry.cluster_size
