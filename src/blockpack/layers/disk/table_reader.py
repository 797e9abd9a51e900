"""Reading partition tables, none of them trusted (UEFI specification 2.10, section 5).

`read_table` gives the partitions, by the backup of a GPT where the first table is damaged, and
`table_deviations` tells what is wrong and costs nothing. A chain of logical partitions is followed
as Linux does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from zlib import crc32

from attrs import evolve, field, frozen

from ...errors import ImageError, reading_errors
from ...formats.reader import ImageReader, Report
from ...model.limits import SECTOR_SIZES
from . import gpt, mbr
from .record import Fields, entries_of, is_used
from .table import PartitionTable, TableEntry

MOST_ARRAY = 1 << 20
"""Bytes of the largest array of entries that is read: 8192 entries."""

MOST_LOGICAL = 256
"""Logical partitions that are read; Linux numbers fewer."""

_COMMON = {
    "disk_guid": "GUID of the disk",
    "first_usable_lba": "first usable sector",
    "last_usable_lba": "last usable sector",
    "entry_count": "number of entries",
    "entry_size": "size of entries",
    "entries_crc": "checksum of the entries",
}
"""What both headers of a GPT have the same."""


def _some(disk: ImageReader, at: int, length: int) -> bytes:
    """`length` bytes of the disk; less at its end."""
    with reading_errors("the image"):
        return disk.data.read_at(at, length)


def read_table(
    disk: ImageReader, report: Report, is_known: Callable[[int], bool]
) -> PartitionTable:
    """The table of the `disk`; `report` is told of what is lost. `is_known` tells whether something
    known begins at a byte: an MBR does not say how large its sectors are. Raises `ImageError` for a
    GPT that is damaged in both copies, without an MBR beside it.
    """
    head = _some(disk, 0, mbr.SIZE + len(gpt.SIGNATURE))
    record = mbr.RECORD.unpack(head)
    used = [(number, each) for number, each in enumerate(entries_of(record), 1) if is_used(each)]
    own = [(number, each) for number, each in used if each["type"] != mbr.PROTECTIVE]
    if own == used and (own or not head.endswith(gpt.SIGNATURE)):
        return _read_mbr(disk, record, own, report, is_known)
    damage = ""
    for copy in _copies(disk):
        if not copy.damage:
            return _read_gpt(copy, own)
        damage = damage or copy.damage
    rule = f"the GPT is damaged, and so is its backup: {damage}"
    if not own:
        raise ImageError("", rule)
    report(ImageError("", f"{rule}; the MBR beside it is read"))
    return _read_mbr(disk, record, own, report, is_known)


# MBR ----------------------------------------------------------------------------------------------


def _read_mbr(
    disk: ImageReader,
    record: Fields,
    used: list[tuple[int, Fields]],
    report: Report,
    is_known: Callable[[int], bool],
) -> PartitionTable:
    def fitting(sector_size: int) -> int:
        """How many partitions begin with something known, if sectors are that large."""
        ends = (each["first_lba"] + each["sectors"] for _, each in used)
        if max(ends, default=0) * sector_size > disk.size:
            return 0
        return sum(_begins(disk, each, sector_size, is_known) for _, each in used)

    sector_size = max(SECTOR_SIZES, key=fitting)
    entries = [_table_entry(number, each, 0, sector_size) for number, each in used]
    for extended in [each for each in entries if each.is_extended]:
        for logical in _logical(disk, extended, sector_size, report):
            number = max(mbr.PRIMARIES, entries[-1].number) + 1
            entries.append(evolve(logical, number=number))
    disk_id = f"0x{record['disk_id']:08x}"
    return PartitionTable(
        kind="mbr", sector_size=sector_size, size=disk.size, id=disk_id, entries=tuple(entries)
    )


def _table_entry(number: int, entry: Fields, base: int, sector_size: int) -> TableEntry:
    return TableEntry(
        number=number,
        start=base + entry["first_lba"] * sector_size,
        size=entry["sectors"] * sector_size,
        type=mbr.type_text(entry["type"]),
        mbr_type=mbr.type_text(entry["type"]),
        attributes=entry["status"],
        active=entry["status"] == mbr.ACTIVE,
    )


def _begins(
    disk: ImageReader, entry: Fields, sector_size: int, is_known: Callable[[int], bool]
) -> bool:
    """Whether something known begins where a partition does: of an extended one, a chain."""
    at = entry["first_lba"] * sector_size
    if entry["type"] in mbr.EXTENDED:
        return _some(disk, at, mbr.SIZE)[-2:] == mbr.SIGNATURE
    return is_known(at)


def _logical(
    disk: ImageReader, extended: TableEntry, sector_size: int, report: Report
) -> Iterator[TableEntry]:
    """The logical partitions of a chain. Each record has one, counted from the record's own place,
    and where the next record is, counted from the chain's begin.
    """
    at = extended.start
    seen: set[int] = set()
    while len(seen) < MOST_LOGICAL:
        seen.add(at)
        data = _some(disk, at, mbr.SIZE)
        if at == extended.start and not any(data):
            return
        if data[-2:] != mbr.SIGNATURE:
            rule = f"the chain of logical partitions breaks off at byte {at:,}, where no record is"
            report(ImageError("", rule))
            return
        used = list(filter(is_used, entries_of(mbr.RECORD.unpack(data))))
        links = [each for each in used if each["type"] in mbr.EXTENDED]
        for each in [each for each in used if each not in links][:1]:
            yield _table_entry(0, each, at, sector_size)
        if not links:
            return
        at = extended.start + links[0]["first_lba"] * sector_size
        if at in seen:
            report(ImageError("", f"the chain of logical partitions leads back to byte {at:,}"))
            return
    report(ImageError("", f"of more than {MOST_LOGICAL} logical partitions the first are read"))


# GPT ----------------------------------------------------------------------------------------------


@frozen
class _Copy:
    """A copy of a GPT, in sector `lba`: its damage, its header if whole, its array of entries."""

    lba: int
    sector_size: int
    damage: str
    header: Fields = field(factory=dict)
    array: bytes = b""

    @property
    def entries_lba(self) -> int:
        """The sector in which the array begins."""
        return int(self.header["entries_lba"])

    @property
    def entries_end(self) -> int:
        """The sector after the array."""
        return self.entries_lba + -(-len(self.array) // self.sector_size)


def _copies(disk: ImageReader) -> Iterator[_Copy]:
    """All places where a GPT may be: the first tables, and their backups."""
    first = [_copy(disk, 1, sector_size) for sector_size in SECTOR_SIZES]
    first.sort(key=lambda copy: not copy.header)
    yield from first
    for copy in first:
        yield _backup(disk, copy)


def _backup(disk: ImageReader, first: _Copy) -> _Copy:
    """The backup of a table: where its header says, or at the disk's end."""
    last = disk.size // first.sector_size - 1
    return _copy(disk, first.header.get("alternate_lba", last), first.sector_size)


def _copy(disk: ImageReader, lba: int, sector_size: int) -> _Copy:
    header: Fields = {}
    try:
        header = _header(disk, lba, sector_size)
        return _Copy(lba, sector_size, "", header, _array(disk, header, sector_size))
    except ImageError as error:
        return _Copy(lba, sector_size, error.rule, header)


def _header(disk: ImageReader, lba: int, sector_size: int) -> Fields:
    """The header in a sector. Raises `ImageError` if it is not whole."""
    if lba < 1:
        raise ImageError("", "the disk is too small for it")
    sector = disk.read_at(lba * sector_size, sector_size)
    header = gpt.HEADER.unpack(sector)
    size = header["header_size"]
    if header["signature"] != gpt.SIGNATURE:
        raise ImageError("", f"there is no header in sector {lba:,}")
    if not gpt.HEADER.size <= size <= sector_size:
        raise ImageError("", f"its header cannot have {size:,} bytes")
    if gpt.header_crc(sector, size) != header["header_crc"]:
        raise ImageError("", "its header has another checksum than it says")
    if header["my_lba"] != lba:
        raise ImageError("", f"its header says that it is in sector {header['my_lba']:,}")
    return header


def _array(disk: ImageReader, header: Fields, sector_size: int) -> bytes:
    """The array of entries. Raises `ImageError` if it is not whole."""
    count, size = header["entry_count"], header["entry_size"]
    if size < gpt.ENTRY.size or count * size > MOST_ARRAY:
        rule = f"it has {count:,} entries of {size:,} bytes, which are not read as a table"
        raise ImageError("", rule)
    array = disk.read_at(header["entries_lba"] * sector_size, count * size)
    if crc32(array) != header["entries_crc"]:
        raise ImageError("", "its entries have another checksum than it says")
    return array


def _read_gpt(copy: _Copy, mirrored: list[tuple[int, Fields]]) -> PartitionTable:
    """The table in a copy; some of its partitions may be `mirrored` in an MBR."""
    header, sector_size = copy.header, copy.sector_size
    mirrors = {(each["first_lba"], each["sectors"]): each for _, each in mirrored}
    entries = []
    for number, at in enumerate(range(0, len(copy.array), header["entry_size"]), 1):
        if copy.array.startswith(gpt.UNUSED, at):
            continue
        fields = gpt.ENTRY.unpack(copy.array, at)
        first, sectors = fields["first_lba"], max(0, fields["last_lba"] + 1 - fields["first_lba"])
        mirror = mirrors.get((first, sectors))
        entries.append(
            TableEntry(
                number=number,
                start=first * sector_size,
                size=sectors * sector_size,
                type=gpt.guid_text(fields["type"]),
                name=fields["name"].decode("utf-16-le", "replace").partition("\0")[0],
                id=gpt.guid_text(fields["id"]),
                attributes=fields["attributes"],
                mbr_type=mbr.type_text(mirror["type"]) if mirror else "",
                active=mirror is not None and mirror["status"] == mbr.ACTIVE,
            )
        )
    return PartitionTable(
        kind="hybrid" if mirrored else "gpt",
        sector_size=sector_size,
        size=(max(header["my_lba"], header["alternate_lba"]) + 1) * sector_size,
        id=gpt.guid_text(header["disk_guid"]),
        entries=tuple(entries),
        capacity=header["entry_count"],
        entries_at=header["entries_lba"] * sector_size,
        first_usable=header["first_usable_lba"] * sector_size,
        end_usable=(header["last_usable_lba"] + 1) * sector_size,
    )


# What deviates ------------------------------------------------------------------------------------


def table_deviations(disk: ImageReader, table: PartitionTable) -> Iterator[str]:
    """What is wrong with a table, although all of it could be read."""
    record = mbr.RECORD.unpack(disk.read_at(0, mbr.SIZE))
    used = list(filter(is_used, entries_of(record)))
    if sum(each["status"] == mbr.ACTIVE for each in used) > 1:
        yield "more than one partition of the MBR is active"
    if table.kind == "mbr":
        yield from _stray(table)
    else:
        yield from _record_deviations(table, used)
        yield from _copy_deviations(disk, table)
        yield from _entry_deviations(table)


def _stray(table: PartitionTable) -> Iterator[str]:
    """Logical partitions that are not in the room for them."""
    rooms = [entry for entry in table.entries if entry.is_extended]
    for entry in table.entries:
        inside = any(room.start < entry.start and entry.end <= room.end for room in rooms)
        if entry.number > mbr.PRIMARIES and not inside:
            yield f"partition {entry.number} is not in the extended partition"


def _record_deviations(table: PartitionTable, used: list[Fields]) -> Iterator[str]:
    sector_size = table.sector_size
    behind = table.size // sector_size - 1
    guard = next((each for each in used if each["type"] == mbr.PROTECTIVE), None)
    if guard is None:
        yield "there is no protective MBR, so that most systems find no table"
    elif guard["first_lba"] != 1:
        yield f"the protective MBR begins at sector {guard['first_lba']:,}, and not at 1"
    elif table.kind == "gpt" and guard["sectors"] not in (behind, mbr.MOST_SECTORS):
        # Some write the largest number there is, whatever the disk's size; all systems take it.
        yield f"the protective MBR has {guard['sectors']:,} sectors, and the disk {behind:,} more"
    places = {(entry.start // sector_size, entry.size // sector_size) for entry in table.entries}
    for each in used:
        place = each["first_lba"], each["sectors"]
        if each["type"] != mbr.PROTECTIVE and place not in places:
            yield f"the MBR has a partition at sector {place[0]:,} that is none of the GPT's"


def _copy_deviations(disk: ImageReader, table: PartitionTable) -> Iterator[str]:
    first = _copy(disk, 1, table.sector_size)
    backup = _backup(disk, first)
    last = disk.size // table.sector_size - 1
    if first.damage:
        yield f"the GPT is damaged, and its backup is read: {first.damage}"
    elif not 2 <= first.entries_lba <= first.entries_end <= first.header["first_usable_lba"]:
        yield "the GPT's entries are not between its header and the room for partitions"
    if backup.damage:
        yield f"the backup of the GPT is damaged: {backup.damage}"
        return
    if backup.lba != last and not disk.device:  # which may be larger than its image
        yield f"the backup of the GPT is in sector {backup.lba:,}, and the disk's last is {last:,}"
    usable = backup.header["last_usable_lba"]
    if not usable < backup.entries_lba <= backup.entries_end <= backup.lba:
        yield "the entries of the GPT's backup are not behind the room for partitions"
    if backup.header["alternate_lba"] != 1:
        yield "the backup of the GPT is not that of the table in sector 1"
    for name, what in _COMMON.items() if first.header else ():
        if first.header[name] != backup.header[name]:
            yield f"the backup of the GPT has another {what}"


def _entry_deviations(table: PartitionTable) -> Iterator[str]:
    ids = Counter(entry.id for entry in table.entries)
    for entry in table.entries:
        if not table.first_usable <= entry.start <= entry.end <= table.end_usable:
            yield f"partition {entry.number} is not in the room for partitions"
        if not entry.size:
            yield f"partition {entry.number} ends before it begins"
        if ids[entry.id] > 1:
            yield f"partition {entry.number} has the GUID of another one"
