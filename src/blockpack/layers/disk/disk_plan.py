"""Planning a disk: where everything lies, its table, and the extents of it all.

Rule 1: what is in a partition is moved, and not touched. Its runs begin anywhere, and its payloads
can be cloned, for partitions begin at multiples of the disk's `align`.
Rule 2: no byte belongs to two. Tables, raw pieces and partitions are pieces with a begin and an
end; what overlaps is refused, with the bytes named.
Rule 3: bytes between pieces may be anything, but not where an old table or file system would be
found: in the first MiB, of the disk and of a partition without content, they are zeros.
Rule 4: ids follow from the plan. The same partitions give the same disk, on any machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from attrs import evolve

from ...errors import BlockpackError, EntryError, UsageError, raise_problems
from ...formats.registry import FORMATS
from ...model.content import Content, file_of, on_disk
from ...model.entry import Directory, File
from ...model.limits import MOST, PADDING
from ...planning.layout import Fact, Layout, LayoutWarning, Placement, round_up
from ...planning.runs import Run, zeros
from ..ccm import CIPHER
from ..verity.hash_tree import FORMAT
from . import gpt, mbr
from .ids import root_hash_ids, with_ids
from .partition_types import TYPES, type_name
from .placement import Piece, Place, Wanted, in_order, overlaps, placed
from .table import BOOT, SHOWN, TITLES, PartitionTable, TableEntry, labels
from .table_pieces import back_size, front_end, table_pieces

if TYPE_CHECKING:
    from .disk import Disk, Partition

REST = "rest"
"""The size of a partition that takes what is left."""

IMAGE = "image"
"""The format of a layout that is a finished image, whatever is in it."""

LEAST_ZEROS = 1 << 20
"""Bytes at the begin, of a disk and of a partition without content, in which nobody may find what
was there before.
"""

_REFUSED = "this disk cannot be made"

_ROOM = 1 << 20
"""Bytes behind a file system that are not worth a warning."""

_HYBRID_ESP = 0x0C
"""FAT32 by LBA: the ROMs of Raspberry Pis start from it, and not from an ESP."""


def image_layout(content: Content | str | File, name: str, sector_size: int) -> Layout:
    """The layout of bytes that are taken as they are. Raises `BlockpackError` if there are none."""
    if isinstance(content, File):
        file = content
    elif isinstance(content, str):
        file = on_disk(content, content)
    else:
        file = file_of(name, content, None)
    if not file.size:
        raise EntryError(name, "is empty", "leave it out")
    run = Run.of(file.extent())
    return Layout(format=IMAGE, runs=(run,), sector_size=sector_size, forkable=file.store.forkable)


class DiskPlan:
    """Places everything, makes the table, and the extents of it all. Raises `Problems`."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.is_gpt = disk.table != "mbr"
        self.empty = PartitionTable(
            kind=disk.table,
            sector_size=disk.sector_size,
            size=disk.size or 0,
            id=(disk.id or "").upper() if self.is_gpt else (disk.id or "").lower(),
            entries=(),
            capacity=(disk.entries or gpt.CAPACITY) if self.is_gpt else mbr.PRIMARIES,
            entries_at=(disk.entries_at or 2 * disk.sector_size) if self.is_gpt else 0,
        )
        self.front_end, self.back_size = front_end(self.empty), back_size(self.empty)
        self.shown = self._shown()
        self.images: list[Layout] = []
        self._problems: list[BlockpackError] = []
        self.contents = [
            self._image(each.layout, self._name(number))
            for number, each in enumerate(disk.partitions, 1)
        ]
        self.raws = list(self._raws())
        self.wants_gpt = not self.is_gpt and any(self._hash_trees)
        self._problems += self._against_all()
        for number, each in enumerate(zip(disk.partitions, self.contents, strict=True), 1):
            self._problems += self._against(number, *each)
        raise_problems(_REFUSED, self._problems)
        self.places = self._places()
        table = self._table()
        self._problems += self._against_places(table)
        raise_problems(_REFUSED, self._problems)
        self.table = with_ids(table, self.contents, self.raws)

    @property
    def _hash_trees(self) -> Iterator[Layout]:
        return (each for each in self.contents if each is not None and each.format == FORMAT)

    def _name(self, number: int) -> str:
        name = self.disk.partitions[number - 1].name
        return f"partition {number}" + (f" ({name})" if name else "")

    # What there is.

    def _shown(self) -> list[int]:
        """The numbers of the partitions in the MBR; of a hybrid those that say so, or the first."""
        numbered = list(enumerate(self.disk.partitions, 1))
        if self.disk.table == "hybrid":
            return [number for number, each in numbered if SHOWN in each.flags] or [1]
        return [] if self.is_gpt else [number for number, _ in numbered]

    def _raws(self) -> Iterator[Piece]:
        for raw in self.disk.raw:
            name = f"the raw piece at byte {raw.offset:,}"
            if isinstance(raw.content, str | os.PathLike):
                name = f"the raw piece {os.fsdecode(raw.content)}"
            elif isinstance(raw.content, File):
                name = f"the raw piece {raw.content.path}"
            image = self._image(raw.content, name)
            if image is not None:
                runs = partial(_moved, image, raw.offset)
                yield Piece(raw.offset, raw.offset + image.size, name, runs)

    def _image(self, content: Layout | Content | str | File | None, name: str) -> Layout | None:
        """The layout of bytes that are taken as they are; None if there are none, or a problem."""
        if content is None or isinstance(content, Layout):
            return content
        try:
            self.images.append(image_layout(content, name, self.disk.sector_size))
        except BlockpackError as error:
            self._problems.append(error)
            return None
        return self.images[-1]

    # What speaks against it.

    def _against_all(self) -> Iterator[BlockpackError]:
        """What speaks against the partitions as a whole."""
        partitions, count = self.disk.partitions, len(self.disk.partitions)
        if count > self.empty.capacity:
            rule = f"{count} partitions are too many: the table has room for {self.empty.capacity}"
            option = f"entries={count}" if self.is_gpt else "table=gpt"
            yield EntryError("", rule, option=option)
        rests = [each for each in partitions if each.size == REST]
        if len(rests) > 1:
            yield UsageError("", "two partitions take the rest", "give one a size")
        if rests and self.disk.size is None:
            rule = "what is left for a partition depends on the disk's size"
            yield UsageError("", rule, option="size=SIZE")
        if self.wants_gpt:
            rule = "a partition with a hash tree is found by its id, and an MBR has none"
            yield UsageError("", rule, option="table=gpt")
        yield from self._against_ids()
        if self.disk.table == "hybrid" and not (partitions and len(self.shown) < mbr.PRIMARIES):
            rule = f"the MBR of a hybrid table has 1 to {mbr.PRIMARIES - 1} partitions"
            yield UsageError("", rule, f"give as many the flag {SHOWN}")
        if sum(BOOT in each.flags for each in partitions) > 1:
            yield UsageError("", "two partitions boot", f"give one the flag {BOOT}")

    def _against_ids(self) -> Iterator[UsageError]:
        hashes = [str(each.geometry["root_hash"]) for each in self._hash_trees]
        of_hashes = {half for root_hash in hashes for half in root_hash_ids(root_hash)}
        first: dict[str, int] = {}
        for number, each in enumerate(self.disk.partitions, 1):
            if each.id is None or first.setdefault(each.id, number) == number:
                continue
            rule = f"{self._name(first[each.id])} and {self._name(number)} have one id"
            if each.id in of_hashes:
                rule += ", that of their root hash, for they hold the same"
                yield UsageError("", rule, "leave one out, or the hash tree of one")
            else:
                yield UsageError("", rule, "give each its own")

    def _against(
        self, number: int, partition: Partition, content: Layout | None
    ) -> Iterator[BlockpackError]:
        """What speaks against one partition, wherever it lies."""
        disk, size, name = self.disk, partition.size, self._name(number)
        if content is not None and content.sector_size < disk.sector_size:
            rule = f"is planned for sectors of {content.sector_size} bytes"
            rule += f", and the disk has sectors of {disk.sector_size}"
            yield UsageError(name, rule, f"plan it for sectors of {disk.sector_size}")
        for what, value in {"size": size, "offset": partition.offset}.items():
            if isinstance(value, int) and value % disk.sector_size:
                best = round_up(value, disk.sector_size)
                rule = f"its {what} {value} is no multiple of the sector size {disk.sector_size}"
                yield UsageError(name, rule, f"give the {what} {best}")
        if isinstance(size, int) and content is not None and content.size > size:
            rule = f"its content takes {content.size:,} bytes"
            rule += f", {content.size - size:,} more than its size"
            best = round_up(content.size, PADDING)
            yield EntryError(name, rule, f"give it a larger size; {best} would do")
        if self.is_gpt and not partition.type.guid:
            rule = "its type is a byte, and a GPT wants a GUID"
            yield UsageError(name, rule, "give one, or the name of a type")
        if self.wants_gpt:
            return
        if number in self.shown and partition.type.mbr is None:
            yield UsageError(name, "its type has no byte in an MBR", "give a byte such as 0x83")
        if not self.is_gpt and partition.id is not None:
            yield UsageError(name, "an MBR has no ids of partitions", "leave it out")
        for flag in partition.flags:
            if not self.is_gpt and flag != BOOT:
                yield UsageError(name, f"an MBR has no flag {flag}", "leave it out")
            if flag in (BOOT, SHOWN) and number not in self.shown:
                remedy = "a GPT has legacy-boot" if flag == BOOT else "leave it out"
                yield UsageError(name, f"{flag} is for partitions in an MBR", remedy)

    def _against_places(self, table: PartitionTable) -> Iterator[BlockpackError]:
        """What lies on something else, or where nothing can lie."""
        needed = self._needed(table.first_usable)
        if needed > MOST:
            rule = f"the disk has {needed:,} bytes, more than any file can have"
            yield EntryError("", rule, "leave less room")
        elif needed > table.size:
            rule = f"the disk takes {needed:,} bytes, {needed - table.size:,} more than its size"
            best = round_up(needed, self.disk.pad)
            yield EntryError("", rule, "give a larger one; {option} would do", f"size={best}")
        else:
            pieces = in_order(self._pieces(table))
            yield from (self._overlap(*each) for each in overlaps(pieces))
        for entry, content in zip(table.entries, self.contents, strict=True):
            is_final = not self.disk.partitions[entry.number - 1].is_filled
            if _is_secret(content) and is_final and content.size < entry.size:
                best = entry.size // 2 // content.sector_size * content.sector_size
                rule = f"is larger than its content of {content.size:,} bytes, which is encrypted"
                remedy = f"plan that with the size {best}, for nothing behind it decrypts"
                yield UsageError(self._name(entry.number), rule, remedy)
            if self.is_gpt and entry.start < self.front_end:
                rule = f"begins at byte {entry.start:,}, before the end of the GPT's entries"
                remedy = f"begin at byte {self.front_end:,} or later"
                yield UsageError(self._name(entry.number), rule, remedy)
            is_large = max(entry.start, entry.size) // table.sector_size > mbr.MOST_SECTORS
            if is_large and entry.number in self.shown:
                rule = f"ends at byte {entry.end:,}, and an MBR counts up to 2^32 sectors"
                yield EntryError(self._name(entry.number), rule, "have a GPT, or less room")

    def _overlap(self, one: Piece, other: Piece) -> UsageError:
        rule = f"{one} and {other} have bytes in common"
        entries, raw = sorted((one, other), key=lambda piece: piece in self.raws)
        if not self.is_gpt or entries.start != self.empty.entries_at or raw not in self.raws:
            return UsageError("", rule, "move one of them")
        left = (raw.start - entries.start) // gpt.ENTRY.size
        fits = left >= max(len(self.disk.partitions), 1)
        return UsageError("", rule, option=f"entries={left}" if fits else "entries_at=OFFSET")

    # Where it lies.

    def _places(self) -> list[Place]:
        wanted = []
        for partition, content in zip(self.disk.partitions, self.contents, strict=True):
            size = partition.size
            if _is_secret(content) and size is None:
                size = content.size  # what is behind it would not decrypt
            if not isinstance(size, int):  # there is no smaller partition than that
                size = max(round_up(0 if content is None else content.size, PADDING), PADDING)
            wanted.append(Wanted(size, partition.offset, rest=partition.size == REST))
        end = self.empty.size - self.back_size
        return placed(wanted, self.raws, self.front_end, end, self.disk.align)

    def _needed(self, first_usable: int) -> int:
        """Bytes that a disk takes that has it all; at least one sector can be used."""
        ends = [*(place.end for place in self.places), *(piece.end for piece in self.raws)]
        return max([*ends, first_usable + self.disk.sector_size]) + self.back_size

    def _first_usable(self) -> int:
        """From where on partitions may lie: behind all raw pieces before the first of them."""
        first = min((place.start for place in self.places), default=None)
        fronts = [piece.end for piece in self.raws if first is None or piece.start < first]
        front = max([*fronts, self.front_end])
        aligned = round_up(front, self.disk.align)
        if first is not None:
            return min(aligned, first)
        fits = self.disk.size is None or self._needed(aligned) <= self.disk.size
        return aligned if fits else round_up(front, self.disk.sector_size)

    def _table(self) -> PartitionTable:
        """The table, without ids that were not given."""
        disk, first_usable = self.disk, self._first_usable()
        size = disk.size or round_up(self._needed(first_usable), disk.pad)
        return evolve(
            self.empty,
            size=size,
            entries=tuple(map(self._entry, range(1, len(disk.partitions) + 1))),
            first_usable=first_usable,
            end_usable=size - self.back_size,
        )

    def _entry(self, number: int) -> TableEntry:
        partition, place = self.disk.partitions[number - 1], self.places[number - 1]
        is_hybrid_esp = self.is_gpt and partition.type == TYPES["esp"]
        byte = _HYBRID_ESP if is_hybrid_esp else partition.type.mbr or 0
        shown = mbr.type_text(byte) if number in self.shown else ""
        is_active = BOOT in partition.flags
        flags = (flag for flag in partition.flags if flag not in (BOOT, SHOWN))
        return TableEntry(
            number=number,
            start=place.start,
            size=place.size,
            type=partition.type.guid if self.is_gpt else shown,
            name=partition.name if self.is_gpt else "",
            id=partition.id or "",
            attributes=gpt.attributes_of(flags) if self.is_gpt else mbr.ACTIVE * is_active,
            mbr_type=shown,
            active=is_active,
        )

    # What it is made of.

    def _pieces(self, table: PartitionTable) -> Iterator[Piece]:
        """Everything that has bytes of its own."""
        has_boot_code = any(piece.start < mbr.BOOT_CODE for piece in self.raws)
        yield from table_pieces(table, boot_code=has_boot_code)
        yield from self.raws
        for entry, content in zip(table.entries, self.contents, strict=True):
            runs = partial(_partition_runs, entry, content)
            yield Piece(entry.start, entry.end, self._name(entry.number), runs)

    def layout(self) -> Layout:
        """The layout of it all."""
        table = self.table
        nested = [content for content in self.contents if content is not None]
        refused = (each.layer_refused for each in nested if each.layer_refused is not None)
        return Layout(
            format="disk",
            title=TITLES[table.kind],
            runs=tuple(_filled(in_order(self._pieces(table)), table.size)),
            sector_size=table.sector_size,
            largest_sector=table.sector_size,
            geometry={**table.facts, **self._root_hashes()},
            warnings=tuple(self._warnings()),
            placements=self._placements,
            forkable=all(each.forkable for each in [*nested, *self.images]),
            claim=lambda: [each.claim() for each in nested],
            layer_refused=next(refused, None),
        )

    def _filled(self) -> Iterator[tuple[TableEntry, str, Layout]]:
        """The partitions with a content: what the table has of them, their labels, and that."""
        entries = self.table.entries
        for entry, label, content in zip(entries, labels(entries), self.contents, strict=True):
            if content is not None:
                yield entry, label, content

    def _root_hashes(self) -> dict[str, Fact]:
        """Those of hash trees in partitions, under the names that systemd has for them."""
        found: dict[str, Fact] = {}
        for entry, _, content in self._filled():
            if content.format == FORMAT:
                name = "usr_hash" if type_name(entry.type).startswith("usr") else "root_hash"
                found[name] = content.geometry["root_hash"]
        return found

    def _warnings(self) -> Iterator[LayoutWarning]:
        for entry, label, content in self._filled():
            for each in content.warnings:
                yield each._replace(path=f"{label}/{each.path}" if each.path else label)
            partition = self.disk.partitions[entry.number - 1]
            known = FORMATS.get(content.format)
            fills = known.volume_class().fills if known else content.format == IMAGE
            is_grown = not fills or "grow-fs" in partition.flags
            if entry.size - content.size >= max(content.size, _ROOM) and not is_grown:
                text = f"what is in it takes {content.size:,} of the partition's {entry.size:,}"
                yield LayoutWarning(label, "room", f"{text} bytes, and nothing grows it by itself")

    def _placements(self) -> Iterator[Placement]:
        """Each entry of each partition, below the partition's label."""
        for entry, label, content in self._filled():
            if content.format in (IMAGE, CIPHER):
                continue
            yield Placement(Directory(label), None)
            for each in content.placements():
                inside = evolve(each.entry, path=f"{label}/{each.entry.path}")
                yield each._replace(entry=inside).moved(entry.start)


def _moved(content: Layout, by: int) -> Iterator[Run]:
    return (run.moved(by) for run in content.runs)


def _partition_runs(entry: TableEntry, content: Layout | None) -> Iterator[Run]:
    if content is None:
        yield from _nothing(entry.start, entry.end, entry.start + LEAST_ZEROS)
    else:
        yield from _moved(content, entry.start)
        # docteur reads an image of git objects to the end of its device.
        yield zeros(entry.start + content.size, entry.end, free=content.format != "git")


def _is_secret(content: Layout | None) -> TypeGuard[Layout]:
    return content is not None and content.format == CIPHER


def _nothing(start: int, end: int, zeros_until: int) -> Iterator[Run]:
    """Bytes that are zeros up to some byte, and behind it may be anything."""
    border = min(max(start, zeros_until), end)
    yield zeros(start, border)
    yield zeros(border, end, free=True)


def _filled(pieces: list[Piece], size: int) -> Iterator[Run]:
    """The runs of pieces in order, and of what is between them."""
    at = 0
    for piece in pieces:
        yield from _nothing(at, piece.start, LEAST_ZEROS)
        yield from piece.runs()
        at = piece.end
    yield from _nothing(at, size, LEAST_ZEROS)
