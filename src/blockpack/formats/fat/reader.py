"""Reading FAT file systems, none of it trusted.

Every cluster is followed once: a loop, or a second way to it, is damage. So reading takes no longer
than the image is large, whatever it says.
"""

from __future__ import annotations

import calendar
from array import array
from collections.abc import Iterator, Mapping

from attrs import frozen

from ...errors import ImageError, printable
from ...model.entry import NANOSECONDS
from ...planning.layout import Fact
from ...reading.positional import PositionalReader
from ..reader import ImageEntry, ImageReader, Report
from . import boot_sector, dir_entry, table
from .boot_sector import BootSector
from .geometry import CLUSTER_SIZES
from .table import FIRST_CLUSTER

_CLUSTER_SIZES = (*CLUSTER_SIZES, 128 << 10, 256 << 10)
"""What some systems write beyond the specification, too."""

_CHUNK = 1 << 16
"""Table entries that are read at once."""

_CACHED_CHUNKS = 64

MOST_CLUSTERS = 0x0FFFFFF5
"""The most data clusters that FAT32 can number."""

_MAX_PATH = 4096
"""The longest path in characters. Linux has no longer ones, and others' end long before."""


class _Taken:
    """The clusters that have been followed, as bits that take memory only where there are any."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}
        self.count = 0

    def take(self, cluster: int) -> bool:
        """Note `cluster`; whether it was free."""
        number, index = divmod(cluster, _CHUNK)
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = bytearray(_CHUNK // 8)
        byte, bit = index >> 3, 1 << (index & 7)
        if chunk[byte] & bit:
            return False
        chunk[byte] |= bit
        self.count += 1
        return True


@frozen
class _Slot:
    """A short entry of a directory with the name that it goes by."""

    name: str
    attributes: int
    cluster: int
    size: int
    mtime_ns: int
    short: bytes


class FatReader(ImageReader):
    """A FAT12, FAT16 or FAT32 file system."""

    format = "fat"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the boot sector's signature, and a jump as its first instruction."""
        return (
            len(head) >= 512 and head[510:512] == boot_sector.SIGNATURE and head[0] in b"\xe9\xeb"
        )

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        self.boot = BootSector.unpack(self.read_at(0, 512))
        self._check_boot()
        boot = self.boot
        self._sector = boot.bytes_per_sector
        self.cluster_size = boot.sectors_per_cluster * self._sector
        self._fat_offset = boot.reserved_sectors * self._sector
        self._fat_size = boot.sectors_per_fat * self._sector
        self._root_offset = self._fat_offset + boot.number_of_fats * self._fat_size
        self._data_offset = self._root_offset + boot.root_entries * dir_entry.SIZE
        self.clusters = (boot.total_sectors * self._sector - self._data_offset) // self.cluster_size
        if boot.bits == 32:
            self.bits = 32
        else:
            self.bits = 12 if self.clusters < 4085 else 16
        if self.clusters > MOST_CLUSTERS:
            raise ImageError(f"the boot sector tells of {self.clusters:,} clusters; it is damaged")
        if self.clusters < 1:
            raise ImageError("the boot sector leaves no room for data; it is damaged")
        if table.table_bytes(self.bits, self.clusters) > self._fat_size:
            raise ImageError("the FAT is too small for the clusters; the boot sector is damaged")
        self._chunks: dict[int, array[int]] = {}

    def _check_boot(self) -> None:
        boot = self.boot
        sector = boot.bytes_per_sector
        sound = (
            sector in (512, 1024, 2048, 4096)
            and boot.sectors_per_cluster * sector in _CLUSTER_SIZES
            and boot.reserved_sectors
            and boot.number_of_fats
            and boot.sectors_per_fat
            and boot.total_sectors
        )
        if not sound:
            raise ImageError("its boot sector is not that of a FAT file system")
        if boot.total_sectors * sector > self.size:
            raise ImageError(
                f"the file system has {boot.total_sectors * sector:,} bytes, the image "
                f"{self.size:,}; it is cut short or damaged"
            )

    def info(self) -> Mapping[str, Fact]:
        """Geometry, label and serial."""
        boot = self.boot
        return {
            "fat_type": self.bits,
            "sector_size": self._sector,
            "cluster_size": self.cluster_size,
            "clusters": self.clusters,
            "free_clusters": sum(chunk.count(0) for chunk in self._table()),
            "reserved_sectors": boot.reserved_sectors,
            "sectors_per_fat": boot.sectors_per_fat,
            "root_entries": boot.root_entries,
            "data_offset": self._data_offset,
            "serial": f"{boot.serial >> 16:04X}-{boot.serial & 0xFFFF:04X}",
            "label": "" if boot.label == boot_sector.NO_NAME else printable(_oem(boot.label)),
        }

    def _next(self, cluster: int) -> int:
        """The table's entry for `cluster`."""
        number, index = divmod(cluster, _CHUNK)
        if number not in self._chunks:
            if len(self._chunks) >= _CACHED_CHUNKS:
                self._chunks.clear()
            self._chunks[number] = self._chunk(number)
        return self._chunks[number][index]

    def _chunk(self, number: int) -> array[int]:
        """The table's entries from `number` × `_CHUNK` on, as far as there are clusters."""
        start = number * _CHUNK
        count = min(_CHUNK, self.clusters + FIRST_CLUSTER - start)
        offset = self._fat_offset + table.table_bytes(self.bits, start - FIRST_CLUSTER)
        data = self.read_at(offset, table.table_bytes(self.bits, count - FIRST_CLUSTER))
        return table.unpack(self.bits, data, count)

    def _table(self) -> Iterator[array[int]]:
        """The data clusters' entries, in chunks."""
        for number in range(-(-(self.clusters + FIRST_CLUSTER) // _CHUNK)):
            chunk = self._chunk(number)
            yield chunk if number else chunk[FIRST_CLUSTER:]

    def _chain(self, cluster: int, most: int, what: str, taken: _Taken) -> Iterator[int]:
        """The clusters of a chain, `most` of them at the most. Raises `ImageError`."""
        end = table.END_OF_CHAIN[self.bits] - 7
        for _ in range(most):
            if not FIRST_CLUSTER <= cluster < self.clusters + FIRST_CLUSTER:
                raise ImageError(
                    f"{printable(what)}: its chain leads to cluster {cluster}; damaged"
                )
            if not taken.take(cluster):
                raise ImageError(
                    f"{printable(what)}: its chain leads to cluster {cluster}, which is taken "
                    "already; damaged"
                )
            yield cluster
            cluster = self._next(cluster)
            if cluster >= end:
                return
        raise ImageError(f"{printable(what)}: its chain is too long; damaged")

    def _extents(
        self, cluster: int, count: int, what: str, taken: _Taken
    ) -> tuple[tuple[int, int], ...]:
        """The pieces of the image that a chain of exactly `count` clusters covers."""
        pieces: list[tuple[int, int]] = []
        found = 0
        for number in self._chain(cluster, count, what, taken):
            offset = self._data_offset + (number - FIRST_CLUSTER) * self.cluster_size
            if pieces and sum(pieces[-1]) == offset:
                pieces[-1] = pieces[-1][0], pieces[-1][1] + self.cluster_size
            else:
                pieces.append((offset, self.cluster_size))
            found += 1
        if found < count:
            raise ImageError(f"{printable(what)}: its chain is shorter than its size; damaged")
        return tuple(pieces)

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Directory by directory, as they lie there."""
        return self._walk(_Taken(), report)

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """Tables, FSInfo and backup agree, too; no cluster is lost."""
        taken = _Taken()
        yield from self._walk(taken, report)
        self._verify_tables(report)
        free = bad = 0
        for chunk in self._table():
            free += chunk.count(0)
            bad += chunk.count(table.BAD[self.bits])
        lost = self.clusters - free - bad - taken.count
        if lost > 0:
            report(ImageError("", f"{lost:,} clusters are taken, and belong to nothing"))
        if self.bits == 32:
            self._verify_fsinfo(free, report)

    def _walk(self, taken: _Taken, report: Report) -> Iterator[ImageEntry]:
        root = self._directory("", self.boot.root_cluster, taken, report)
        pending = [("", iter(root))]
        while pending:
            above, slots = pending[-1]
            slot = next(slots, None)
            if slot is None:
                pending.pop()
                continue
            path = f"{above}/{slot.name}" if above else slot.name
            if len(path) > _MAX_PATH:
                report(
                    ImageError(
                        "", f"{printable(path[:64])}…: a path of {len(path):,} characters; damaged"
                    )
                )
                continue
            if not slot.attributes & dir_entry.DIRECTORY:
                extents: tuple[tuple[int, int], ...] = ()
                try:
                    if slot.size:
                        count = -(-slot.size // self.cluster_size)
                        extents = self._extents(slot.cluster, count, path, taken)
                    elif slot.cluster:
                        report(ImageError("", f"{printable(path)}: is empty and has a cluster"))
                except ImageError as error:
                    report(error)
                yield ImageEntry(
                    path=path,
                    kind="file",
                    size=slot.size,
                    mode=0o444 if slot.attributes & dir_entry.READ_ONLY else 0o644,
                    mtime_ns=slot.mtime_ns,
                    extents=extents,
                )
                continue
            yield ImageEntry(path=path, kind="directory", mode=0o755, mtime_ns=slot.mtime_ns)
            inside = self._directory(path, slot.cluster, taken, report)
            pending.append((path, iter(inside)))

    def _directory(self, path: str, cluster: int, taken: _Taken, report: Report) -> list[_Slot]:
        """What the directory `path` holds, as its entries say."""
        where = path or "the root directory"
        try:
            if path or self.bits == 32:
                most = max(1, dir_entry.MAX_ENTRIES * dir_entry.SIZE // self.cluster_size)
                offsets = [
                    self._data_offset + (number - FIRST_CLUSTER) * self.cluster_size
                    for number in self._chain(cluster, most, where, taken)
                ]
                data = b"".join(self.read_at(at, self.cluster_size) for at in offsets)
            else:
                size = self.boot.root_entries * dir_entry.SIZE
                data = self.read_at(self._root_offset, size)
        except ImageError as error:
            report(error)
            return []
        if path and (data[:11], data[32:43]) != (dir_entry.DOT, dir_entry.DOTDOT):
            report(
                ImageError(
                    "",
                    f"{printable(path)}: does not begin with '.' and '..'; damaged",
                )
            )
        slots: list[_Slot] = []
        names: set[str] = set()
        for slot in _slots(data, where, report):
            if slot.name in names:
                report(ImageError("", f"{printable(where)}: holds {printable(slot.name)} twice"))
                continue
            names.add(slot.name)
            slots.append(slot)
        return slots

    def _verify_tables(self, report: Report) -> None:
        for at in range(0, self._fat_size, 1 << 20):
            length = min(1 << 20, self._fat_size - at)
            first = self.read_at(self._fat_offset + at, length)
            for copy in range(1, self.boot.number_of_fats):
                if self.read_at(self._fat_offset + copy * self._fat_size + at, length) != first:
                    report(ImageError("", f"FAT {copy + 1} differs from the first"))
                    return
        if self._next(0) & 0xFF != self.boot.media:
            report(ImageError("", "the FAT does not begin with the media byte"))

    def _verify_fsinfo(self, free: int, report: Report) -> None:
        boot = self.boot
        if boot.backup_sector not in (0, 0xFFFF):
            backup = self.read_at(boot.backup_sector * self._sector, 512)
            if backup != self.read_at(0, 512):
                report(ImageError("", "the backup boot sector differs from the boot sector"))
        if boot.fsinfo_sector in (0, 0xFFFF):
            return
        found = boot_sector.unpack_fsinfo(self.read_at(boot.fsinfo_sector * self._sector, 512))
        if found is None:
            report(ImageError("", "the FSInfo sector is not one"))
        elif found[0] not in (free, boot_sector.UNKNOWN):
            report(ImageError("", f"FSInfo says {found[0]:,} clusters are free, and {free:,} are"))


def _slots(data: bytes, where: str, report: Report) -> Iterator[_Slot]:
    """The entries of a directory, long names joined to their short ones."""
    parts: list[bytes] = []
    expected = check = 0
    for at in range(0, len(data) - dir_entry.SIZE + 1, dir_entry.SIZE):
        first, attributes = data[at], data[at + 11]
        if first == dir_entry.END:
            break
        if first == dir_entry.FREE:
            parts = []
            continue
        if attributes & 0x3F == dir_entry.LONG_NAME:
            order, part_1, _, _, checksum, part_2, _, part_3 = dir_entry.LONG_STRUCT.unpack_from(
                data, at
            )
            if order & dir_entry.LAST_LONG:
                parts, expected, check = [], order & 0x3F, checksum
            if order & 0x3F != expected or checksum != check or not expected:
                report(ImageError("", f"{printable(where)}: has long-name entries out of order"))
                parts, expected = [], 0
                continue
            parts.append(part_1 + part_2 + part_3)
            expected -= 1
            continue
        long = b"".join(reversed(parts)) if parts and not expected else b""
        parts = []
        slot = _slot(data, at, long, check, where, report)
        if slot is not None:
            yield slot


def _slot(
    data: bytes, at: int, long: bytes, check: int, where: str, report: Report
) -> _Slot | None:
    """One short entry; None for the label, ``.`` and ``..``."""
    values = dict(
        zip(
            (name for name, _ in dir_entry.ENTRY),
            dir_entry.ENTRY_STRUCT.unpack_from(data, at),
            strict=True,
        )
    )
    short: bytes = values["name"]
    attributes: int = values["attributes"]
    if attributes & dir_entry.VOLUME_ID or short in (dir_entry.DOT, dir_entry.DOTDOT):
        return None
    name = _short_name(short, values["case"])
    if long and dir_entry.checksum(short) == check:
        name = _long_name(long)
    elif long:
        report(
            ImageError("", f"{printable(where)}: a long name does not belong to {printable(name)}")
        )
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        report(ImageError("", f"{printable(where)}: has an entry with the name {name!r}"))
        return None
    return _Slot(
        name,
        attributes,
        values["cluster_high"] << 16 | values["cluster_low"],
        values["size"],
        _seconds(values["modified_date"], values["modified_time"]) * NANOSECONDS,
        short,
    )


def _long_name(units: bytes) -> str:
    """A long name: UTF-16 up to a NUL; a lone surrogate becomes U+FFFD."""
    text = units.decode("utf-16-le", "replace")
    return text.partition("\0")[0]


def _short_name(short: bytes, case: int) -> str:
    """A short name as text; the bits of `case` say which half is in lower case (NT)."""
    if short[0] == 0x05:
        short = b"\xe5" + short[1:]
    base, extension = _oem(short[:8]), _oem(short[8:])
    base = base.lower() if case & 0x08 else base
    extension = extension.lower() if case & 0x10 else extension
    return f"{base}.{extension}" if extension else base


def _oem(field: bytes) -> str:
    return field.decode("cp437").rstrip(" ")


def _seconds(date: int, clock: int) -> int:
    """FAT's date and time in seconds since 1970; what is no date counts as 1980."""
    month, day = date >> 5 & 15, date & 31
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return dir_entry.FIRST_TIME
    parts = (1980 + (date >> 9), month, day, clock >> 11, clock >> 5 & 63, (clock & 31) * 2)
    return calendar.timegm(parts)
