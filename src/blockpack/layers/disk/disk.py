"""A disk as values: partitions with a table around them, and raw pieces (docs/disks.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from ...arguments import checked, require_fields
from ...errors import UsageError, printable
from ...model.content import Content
from ...model.entry import File
from ...model.limits import MOST, PADDING, SECTOR_SIZES
from ...planning.layout import Layout, round_up
from ...planning.options import Size, optional_size, parse_size, require_choice
from . import gpt, mbr
from .disk_plan import REST, DiskPlan
from .partition_types import PartitionType, implied_type, parse_type
from .placement import Place
from .table import BOOT, SHOWN, Kind

ALIGN = 1 << 20
"""What partitions begin at multiples of, as everybody has them (bytes)."""

MOST_ENTRIES = 1024
"""Entries of a GPT that there may be room for."""


def _type(type: str | int | PartitionType) -> PartitionType:
    found = parse_type(type)
    if found is None:
        remedy = "give a name such as esp, linux or swap, a GUID, or a byte of an MBR such as 0x83"
        raise UsageError("", f"{type!r} is not a partition type", remedy)
    if found.mbr in (*mbr.EXTENDED, mbr.PROTECTIVE):
        rule = f"the type {mbr.type_text(found.mbr or 0)} is for what holds other partitions"
        raise UsageError("", rule, "have a GPT, which holds any number of them")
    return found


def _partition_size(size: Size | Literal["rest"] | None) -> int | Literal["rest"] | None:
    return "rest" if size == REST else optional_size(size)


def _flags(flags: str | Iterable[str]) -> tuple[str, ...]:
    found = (flags,) if isinstance(flags, str) else tuple(flags)
    known = (*gpt.FLAGS, BOOT, SHOWN)
    for flag in found:
        bit = isinstance(flag, str) and re.fullmatch("[0-9]{1,2}", flag)
        if flag not in known and not (bit and int(flag) < 64):
            rule = f"{flag!r} is not a flag of partitions"
            raise UsageError("", rule, f"give one of {', '.join(known)}, or the number of a bit")
    return found


def _guid(id: str | None) -> str | None:
    if id is not None and not (gpt.is_guid(id.upper()) and id.strip("0-")):
        rule = f"{id!r} is not a GUID of anything"
        raise UsageError("", rule, "give one such as uuidgen prints")
    return id and id.upper()


def _partitions(partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    return tuple(partitions)


def _raws(raws: Iterable[Raw]) -> tuple[Raw, ...]:
    return tuple(raws)


@checked
@frozen
class Partition:
    """A partition: a layout, or a finished image (a path, bytes, a file of a tree), or room.

    `type` is what it is for: a name (``esp``, ``linux``), a GUID, or a byte of an MBR. `size` (in
    bytes, or a text such as ``1G``) is that of the content if not given; ``rest`` takes what is
    left. `name` has up to 36 characters. `flags` are names or numbers of a GPT's attributes;
    ``boot`` is for the partition that boots by an MBR, ``mbr`` for one that is in the MBR of a
    hybrid table. `id` is a GUID, `offset` the byte at which the partition begins; both follow from
    the plan if not given. Where `size` is ``rest``, `fill` gives the partition again, planned for
    as many bytes as that turns out to be.

    Raises `UsageError` for values that are none of these.
    """

    layout: Layout | Content | str | File | None = None
    type: PartitionType = field(kw_only=True, converter=_type)
    name: str = field(default="", kw_only=True)
    size: int | Literal["rest"] | None = field(
        default=None, kw_only=True, converter=_partition_size
    )
    flags: tuple[str, ...] = field(default=(), kw_only=True, converter=_flags)
    id: str | None = field(default=None, kw_only=True, converter=_guid)
    offset: int | None = field(default=None, kw_only=True, converter=optional_size)
    fill: Callable[[int], Partition] | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.size, int) and self.size <= 0:
            raise UsageError("", f"no partition has {self.size} bytes", "give it a size, or none")
        if self.layout is None and self.size is None:
            raise UsageError("", "a partition without content needs a size", "give one, or 'rest'")
        _require_offset(self.offset or 0)
        if "\0" in self.name:
            raise UsageError("", f"{self.name!r} is not a name", "give a text")
        try:
            units = len(self.name.encode("utf-16-le")) // 2
        except UnicodeEncodeError:
            rule = f"the name {printable(self.name)} is not Unicode"
            raise UsageError("", rule, "give another") from None
        if units > gpt.NAME_UNITS:
            rule = f"the name {printable(self.name)} has {units} UTF-16 units"
            raise UsageError("", rule, f"give one of at most {gpt.NAME_UNITS}")

    @property
    def is_filled(self) -> bool:
        """Whether it is planned again as soon as its place is known."""
        return self.size == REST and self.fill is not None

    def filled(self, place: Place) -> Partition:
        """The partition as it is in its place."""
        if self.size != REST or self.fill is None:
            return self
        return evolve(self.fill(place.size), size=place.size, offset=place.start, fill=None)


Plan = Callable[[int | None], Layout | Content | str | File | None]
"""Gives the content of a partition: as large as it has to be, or of so many bytes."""


def planned(plan: Plan, options: Mapping[str, Any], *, fills: bool) -> Partition:
    """The partition of what `plan` gives, with `options` as arguments, and the type that its name
    or content implies if none is among them. `fills` has the content be as large as the partition.
    Raises `BlockpackError`.
    """

    def partition(size: int | None) -> Partition:
        content = plan(size)
        title = content.title if isinstance(content, Layout) else ""
        implied = implied_type(options.get("name", ""), title)
        return Partition(content, **{"type": implied, **options})

    size = options.get("size")
    given = None if size in (None, REST) or not fills else parse_size(size)
    return evolve(partition(given), fill=partition if fills else None)


@checked
@frozen
class Raw:
    """Bytes at `offset` of a disk, beside all partitions, such as a board's boot loader. `content`
    is the path of a file, bytes, or a file of a tree. Raises `UsageError`.
    """

    content: Content | str | File
    offset: int = field(converter=parse_size)

    def __attrs_post_init__(self) -> None:
        _require_offset(self.offset)


def _require_offset(offset: int) -> None:
    if not 0 <= offset <= MOST:
        raise UsageError("", f"no disk has a byte {offset:,}", "give another offset")


@checked
@frozen(kw_only=True)
class Disk:
    """A disk with a `table` (``gpt``, ``mbr``, ``hybrid``) around `partitions`, and `raw` pieces.

    Sizes and offsets are in bytes, as numbers or as texts such as ``8K``. Without `size` the disk
    is as small as it can be, and a multiple of `pad`. `sector_size` is 512 or 4096. Partitions
    begin at multiples of `align`. A GPT has room for `entries` partitions (128), from byte
    `entries_at` on (sector 2). `id` is the disk's GUID, or of an MBR a number such as
    ``0x1234abcd``; it follows from the plan if not given.

    Raises `UsageError` for options that are wrong or do not go together.
    """

    table: Kind = "gpt"
    partitions: tuple[Partition, ...] = field(default=(), converter=_partitions)
    raw: tuple[Raw, ...] = field(default=(), converter=_raws)
    size: int | None = field(default=None, converter=optional_size)
    sector_size: int = field(default=512, converter=parse_size)
    align: int = field(default=ALIGN, converter=parse_size)
    entries: int | None = None
    entries_at: int | None = field(default=None, converter=optional_size)
    id: str | None = None
    pad: int = field(default=PADDING, converter=parse_size)

    def __attrs_post_init__(self) -> None:
        require_fields(self)  # what an iterator gave is there by now
        require_choice("sector_size", self.sector_size, SECTOR_SIZES)
        for name in ("size", "align", "entries_at", "pad"):
            self._require_sectors(name, getattr(self, name))
        if self.table == "mbr":
            for name in ("entries", "entries_at"):
                if getattr(self, name) is not None:
                    rule = f"{name.replace('_', '-')} is for a GPT, not for an MBR"
                    raise UsageError("", rule, "leave it out")
        if self.entries is not None and self.entries not in range(1, MOST_ENTRIES + 1):
            rule = f"a GPT has room for 1 to {MOST_ENTRIES} entries, not {self.entries}"
            raise UsageError("", rule, option=f"entries={gpt.CAPACITY}")
        if self.id is not None and self.table != "mbr":
            _guid(self.id)
        elif self.id is not None and re.fullmatch("0x[0-9A-Fa-f]{8}", str(self.id)) is None:
            raise UsageError("", f"{self.id!r} is not an MBR's id", "give one such as 0x1234abcd")

    def _require_sectors(self, name: str, size: int | None) -> None:
        sector = self.sector_size
        if size is not None and (size <= 0 or size % sector or size > MOST):
            rule = f"the disk's {name.replace('_', '-')} is a multiple of the sector size {sector}"
            best = min(round_up(max(size, 1), sector), MOST // sector * sector)
            raise UsageError("", f"{rule}, not {size}", option=f"{name}={best}")

    def plan(self) -> Layout:
        """The layout of the disk; no file is opened. Raises `Problems` with all that is wrong."""
        plan = DiskPlan(self)
        if not any(each.is_filled for each in self.partitions):
            return plan.layout()
        pairs = zip(self.partitions, plan.places, strict=True)
        return evolve(self, partitions=(each.filled(place) for each, place in pairs)).plan()
