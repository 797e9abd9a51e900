"""Reading a disk: the file systems and archives in its partitions, as one image.

Each partition that holds something of a format is a directory, called by its label. All else (swap,
ext4, nothing at all) is told of, and has no entries. What is wrong with one partition costs that
one alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

from attrs import evolve, frozen

from ...errors import Deviation, ImageError, NotInImageError, reading_errors
from ...formats.reader import ImageEntry, ImageReader, Pieces, Report
from ...formats.registry import Format, format_of, formats
from ...model.entry import EPOCH, NANOSECONDS
from ...planning.layout import Fact
from ...reading.positional import PartReader, PositionalReader
from .gpt import flags_of
from .partition_types import type_name
from .record import begins_a_disk
from .table import BOOT, SHOWN, TableEntry, labels
from .table_reader import read_table, table_deviations

_HEAD = 4096
"""Bytes that tell a format."""

_MOST_TOLD = 20
"""Partitions that a message names."""

_SIGNATURES = (
    # name, offset, bytes
    ("ext4", 1080, b"\x53\xef"),  # or one of its predecessors
    ("swap", 4086, b"SWAPSPACE2"),
    ("LUKS", 0, b"LUKS\xba\xbe"),
    ("LVM", 512, b"LABELONE"),
    ("XFS", 0, b"XFSB"),
    ("btrfs", 65600, b"_BHRfS_M"),
    ("F2FS", 1024, b"\x10\x20\xf5\xf2"),
    ("squashfs", 0, b"hsqs"),
    ("EROFS", 1024, b"\xe2\xe1\xf5\xe0"),
    ("dm-verity", 0, b"verity\0\0"),
    ("ISO 9660", 32769, b"CD001"),
    ("NTFS", 3, b"NTFS    "),
    ("exFAT", 3, b"EXFAT   "),
)
"""What is known by its signature, and not read here."""


@frozen(eq=False)
class OpenPartition:
    """A partition of a disk: what the table has of it, its label in paths, its bytes. `content` is
    the format of what is in it, or another name, empty if it is not known. `reader` reads it, and
    `damage` is what keeps it from being read.
    """

    entry: TableEntry
    label: str
    data: PositionalReader
    content: str = ""
    reader: ImageReader | None = None
    damage: str = ""

    @property
    def type(self) -> str:
        """What the partition is for: the name of its type, or else its GUID or byte."""
        if self.entry.is_extended:
            return "extended"
        return type_name(self.entry.type) or self.entry.type

    @property
    def flags(self) -> tuple[str, ...]:
        """Its flags, by the names that a planned partition takes."""
        entry = self.entry
        in_gpt = (*flags_of(entry.attributes), *(SHOWN,) * bool(entry.mbr_type)) if entry.id else ()
        return (*in_gpt, *(BOOT,) * entry.active)

    @property
    def volume_label(self) -> str:
        """The label of the file system in it; empty if it has none, or none that can be read."""
        with suppress(ImageError):
            return str(self.reader.options().get("label", "")) if self.reader else ""
        return ""

    def opened(self) -> ImageReader:
        """What reads it. Raises `ImageError` if it is damaged, or nothing does."""
        if self.reader is not None:
            return self.reader
        if self.damage:
            raise ImageError("", self.damage)
        number = self.entry.number
        if self.content:
            raise ImageError("", f"partition {number} holds {self.content}, which is not read here")
        rule = f"partition {number} holds nothing that is read here"
        raise ImageError("", rule, "if it is encrypted, give its key: {option}", "key_file=FILE")

    def outside(self, entry: ImageEntry) -> ImageEntry:
        """An entry of the partition as one of the disk."""
        path, target = f"{self.label}/{entry.path}", entry.target
        if entry.kind == "hardlink":
            target = f"{self.label}/{target}"
        numbers = entry.size, entry.mode, entry.mtime_ns, entry.uid, entry.gid
        pieces = _moved(entry.extents, self.entry.start)
        # Not by `evolve`, which takes longer than reading a member.
        return ImageEntry(path, entry.kind, *numbers, target, pieces, entry.damage)

    def inside(self, entry: ImageEntry) -> ImageEntry:
        """An entry of the disk as one of the partition."""
        path = entry.path.partition("/")[2]
        return evolve(entry, path=path, extents=_moved(entry.extents, -self.entry.start))

    def entries(self, report: Report, *, verify: bool) -> Iterator[ImageEntry]:
        """The entries in it as those of the disk, and what is wrong with them."""

        def told(error: ImageError) -> None:
            path = f"{self.label}/{error.path}" if error.path else self.label
            report(type(error)(path, error.rule, error.remedy))

        reader = self.opened()
        try:
            yield from map(self.outside, reader.verify(told) if verify else reader.entries(told))
        except ImageError as error:  # what nothing in it can be read beyond
            told(error)


class DiskReader(ImageReader):
    """A disk with a partition table."""

    format = "disk"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the table in the master boot record, or a GPT behind an empty one."""
        return begins_a_disk(head)

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        self._lost: list[ImageError] = []
        self.table = read_table(self, self._lost.append, self._is_known)
        entries = self.table.entries
        self._labels = {e.number: label for e, label in zip(entries, labels(entries), strict=True)}
        self._lock = threading.Lock()
        self._opened: Mapping[str, OpenPartition] | None = None

    @property
    def partitions(self) -> tuple[OpenPartition, ...]:
        """All of them, in the table's order."""
        return tuple(self._by_label.values())

    @property
    def _by_label(self) -> Mapping[str, OpenPartition]:
        with self._lock:
            if self._opened is None:
                self._opened = self._all()
            return self._opened

    def _all(self) -> Mapping[str, OpenPartition]:
        """All partitions by their labels; of those that overlap, the first is read."""
        found: dict[str, OpenPartition] = {}
        taken = 0
        for entry in sorted(self.table.entries, key=lambda each: each.start):
            partition = self._open(entry)
            if partition.reader is not None and entry.start < taken:
                damage = "overlaps another partition, and is not read"
                partition = evolve(partition, reader=None, damage=damage)
            if partition.reader is not None:
                taken = entry.end
            found[partition.label] = partition
        return {label: found[label] for label in self._labels.values()}

    def _open(self, entry: TableEntry) -> OpenPartition:
        label = self._labels[entry.number]
        data = PartReader(self.data, entry.start, entry.size)
        if entry.is_extended:
            return OpenPartition(entry, label, data)
        try:
            format = self._format(data)
            if format is None:
                return OpenPartition(entry, label, data, _signed(data))
            # Like a device, a partition may go on behind what was written to it.
            reader = format.reader_class()(data, device=True)
        except ImageError as error:
            return OpenPartition(entry, label, data, damage=error.rule)
        return OpenPartition(entry, label, data, format.name, reader)

    def _format(self, data: PositionalReader) -> Format | None:
        """The format of what is in a partition. Zeros, a tar of nothing, are no content."""
        with reading_errors("the image"):
            head = data.read_at(0, _HEAD)
        if not any(head):
            return None
        return format_of(head, formats())

    def _is_known(self, at: int) -> bool:
        return self._format(PartReader(self.data, at, self.size)) is not None

    def partition(self, wanted: str, disk: str = "") -> OpenPartition:
        """The partition of that number or name of a `disk`. Raises `NotInImageError`, with all."""
        entries = self.table.entries
        found = [each for each in entries if str(each.number) == wanted]
        found = found or [each for each in entries if each.name == wanted]
        if len(found) == 1:
            return self._open(found[0])
        several = f"{len(found)} partitions are called {wanted!r}"
        rule = several if found else f"there is no partition {wanted!r}"
        raise NotInImageError(disk, rule, self.choice)

    @property
    def choice(self) -> str:
        """What to choose from, for a message."""
        names = [
            f"{entry.number} ({entry.name})" if entry.name else str(entry.number)
            for entry in self.table.entries
        ]
        more = ", …" if len(names) > _MOST_TOLD else ""
        return f"choose from {', '.join(names[:_MOST_TOLD])}{more}" if names else "it has none"

    def info(self) -> Mapping[str, Fact]:
        """The kind of table, the sector size (bytes), the disk's id, the number of partitions."""
        return self.table.facts

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Partition by partition."""
        return self._read(report, verify=False)

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """All of the partitions, and then the table."""
        yield from self._read(report, verify=True)
        for rule in (*self._overlaps(), *table_deviations(self, self.table)):
            report(Deviation("", rule))

    def _read(self, report: Report, *, verify: bool) -> Iterator[ImageEntry]:
        for error in self._lost:
            report(error)
        for partition in self.partitions:
            entry, reader = partition.entry, partition.reader
            if partition.data.size < entry.size:
                kind = ImageError if reader or partition.damage else Deviation
                rule = f"the partition goes to byte {entry.end:,}, and the image to {self.size:,}"
                report(kind(partition.label, rule))
            if partition.damage:
                report(ImageError(partition.label, partition.damage))
            elif reader is not None:
                yield ImageEntry(partition.label, "directory", 0, 0o755, EPOCH * NANOSECONDS)
                yield from partition.entries(report, verify=verify)

    def _overlaps(self) -> Iterator[str]:
        """Which partitions overlap, although all of them could be read."""
        last: OpenPartition | None = None
        for partition in sorted(self.partitions, key=lambda each: each.entry.start):
            entry = partition.entry
            if entry.is_extended or partition.damage:
                continue
            if last is not None and entry.start < last.entry.end and entry.size:
                yield f"partition {entry.number} overlaps partition {last.entry.number}"
            if last is None or entry.end > last.entry.end:
                last = partition

    def content(self, entry: ImageEntry) -> PositionalReader:
        """The bytes of a file, as the reader of its partition has them."""
        partition = self._partition_of(entry)
        return partition.opened().content(partition.inside(entry))

    def stored(self, entry: ImageEntry) -> Pieces:
        """The pieces of the disk that a file's bytes are in."""
        partition = self._partition_of(entry)
        stored = partition.opened().stored(partition.inside(entry))
        return _moved(stored, partition.entry.start)

    def _partition_of(self, entry: ImageEntry) -> OpenPartition:
        return self._by_label[entry.path.partition("/")[0]]


def _moved(pieces: Pieces, by: int) -> Pieces:
    return tuple([(at if at is None else at + by, length) for at, length in pieces])


def _signed(data: PositionalReader) -> str:
    """What is known by its signature; empty if nothing is."""
    with reading_errors("the image"):
        found = (name for name, at, magic in _SIGNATURES if data.read_at(at, len(magic)) == magic)
        return next(found, "")
