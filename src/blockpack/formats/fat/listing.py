"""Reading a directory's entries as others write them, and as Linux reads them.

A long name counts if all its entries are there, in order, right before the short entry whose
checksum they have. Else the short name does, and nothing is lost but the long one.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from itertools import compress
from typing import NamedTuple

from ...errors import Deviation, ImageError
from ...model.entry import NANOSECONDS
from ..reader import Report
from . import dir_entry
from .dir_entry import SIZE
from .names import LONG_UNITS, LOWER_BASE, LOWER_EXTENSION

_ORDERS = {
    count: bytes([count | dir_entry.LAST_LONG, *range(count - 1, 0, -1)]) for count in range(1, 21)
}
"""The first bytes of a long name's entries by their number; 20 hold 255 UTF-16 units."""

_IS_SHORT = bytes(kind & 0x3F != dir_entry.LONG_NAME for kind in range(256))
"""Whether an entry is no long name's, by its attributes."""

_NO_NAMES = ("", ".", "..")
_DOTS = (dir_entry.DOT, dir_entry.DOTDOT)

_UNITS = (*range(1, 11), *range(14, 26), *range(28, 32))
"""Where the bytes of UTF-16 are in a long-name entry: `dir_entry.LONG`'s units_1 to units_3."""

ROOT = "the root directory"

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which no text has."""


Slot = tuple[str, int, int, int, int]
"""What a directory says of a file or directory: name, attributes, cluster, size, mtime_ns."""


class _Texts:
    """The texts of a directory's long-name entries."""

    def __init__(self, data: bytes) -> None:
        self._count = len(data) // SIZE
        self._checks = data[13::SIZE]
        self._checksums = dir_entry.checksums(data)
        # Last entry first, as a name has its parts. Of all at once, for there are many.
        units = bytearray(2 * LONG_UNITS * self._count)
        for place, offset in enumerate(_UNITS):
            units[place :: 2 * LONG_UNITS] = data[offset::SIZE][::-1]
        self._units = bytes(units)
        self._text = self._units.decode("utf-16-le", "surrogatepass")
        self._aligned = len(self._text) == LONG_UNITS * self._count  # without surrogate pairs

    def name(self, index: int, orders: bytes) -> str | None:
        """The name in the entries before `index`, of first bytes `orders`; None if damaged."""
        count = len(orders)
        checks = self._checksums[index : index + 1] * count
        if orders != _ORDERS.get(count) or self._checks[index - count : index] != checks:
            return None
        first = (self._count - index) * LONG_UNITS
        last = first + count * LONG_UNITS
        if self._aligned:
            text = self._text[first:last]
        else:
            text = self._units[2 * first : 2 * last].decode("utf-16-le", "surrogatepass")
        name = text.partition("\0")[0]
        return name if name.isascii() or not _SURROGATE.search(name) else None


class Listing(NamedTuple):
    """What a directory holds."""

    slots: list[Slot]
    label: bytes | None
    """The 11 bytes of the volume's label, if there is one."""
    dots: dict[bytes, int]
    """The clusters of ``.`` and ``..``."""
    ended: bool
    """Whether it has an end; without one it goes on as far as there are clusters."""


def read(data: bytes, path: str, wide: bool, report: Report) -> Listing:
    """The entries of the directory `path`. Clusters have 32 bits if `wide`, else only 16 count."""
    end = data[::SIZE].find(dir_entry.END)
    if end >= 0:
        data = data[: end * SIZE]
    firsts, kinds = data[::SIZE], data[11::SIZE]
    texts = _Texts(data)
    slots: list[Slot] = []
    names = {*_NO_NAMES}  # and those that are there
    label: bytes | None = None
    dots: dict[bytes, int] = {}
    stray = 0
    before = -1
    values = dir_entry.ENTRY.values

    def deviates(name: str, rule: str) -> None:
        report(Deviation(f"{path}/{name}" if path else name, rule))

    for index in compress(range(len(kinds)), kinds.translate(_IS_SHORT)):
        # All entries between are of long names.
        orders = firsts[before + 1 : index]
        before = index
        short, attributes, case, _, _, _, _, high, clock, date, low, size = values(
            data, index * SIZE
        )
        if short[0] == dir_entry.FREE or attributes & dir_entry.VOLUME_ID:
            stray += _in_use(orders)
            if short[0] != dir_entry.FREE and not attributes & dir_entry.DIRECTORY:
                label = label or short
            continue
        cluster = high << 16 | low if wide else low
        if short in _DOTS:
            dots.setdefault(short, cluster)
            continue
        name: str | None
        if orders and orders != _ORDERS.get(len(orders)):
            start = _last_beginning(orders)
            stray += _in_use(orders[:start])
            orders = orders[start:]
        name = texts.name(index, orders) if orders else _short_name(short, case)
        if name is None or name in names or "/" in name or "\0" in name:
            other = _short_name(short, case)
            if not orders or other in names or not _is_name(other):
                invalid = f"has an entry {other!r}, which is not a valid name"
                rule = f"holds {other} twice" if _is_name(other) else invalid
                report(ImageError(path or ROOT, rule))
                continue
            deviates(other, _fault(name))
            name = other
        if high and not wide:
            deviates(name, "bytes 20 and 21 of its entry are not zero; they count on FAT32 alone")
        mtime_ns = _mtime_ns(date, clock)
        if mtime_ns is None:
            deviates(name, f"its date {date:04X} and time {clock:04X} are invalid")
            mtime_ns = dir_entry.FIRST_TIME * NANOSECONDS
        names.add(name)
        slots.append((name, attributes, cluster, size, mtime_ns))
    orders = firsts[before + 1 :]
    stray += _in_use(orders)
    if stray:
        rule = f"has {stray:,} long-name entries that belong to no name"
        report(Deviation(path or ROOT, rule))
    return Listing(slots, label, dots, end >= 0)


def _fault(long: str | None) -> str:
    """What is wrong with a long name in whose place the short one counts."""
    if long is None:
        return "its long name is damaged, or not its own"
    return f"its long name {long!r} is {'there twice' if _is_name(long) else 'invalid'}"


def _is_name(text: str) -> bool:
    return text not in _NO_NAMES and "/" not in text and "\0" not in text


def _in_use(orders: bytes) -> int:
    """How many of these long-name entries, by their first bytes, were not deleted."""
    return len(orders) - orders.count(dir_entry.FREE)


def _last_beginning(orders: bytes) -> int:
    """Where the last long name begins; at the end if all were deleted, else at the start."""
    if not _in_use(orders):
        return len(orders)
    for at in range(len(orders) - 1, 0, -1):
        if orders[at] & dir_entry.LAST_LONG and orders[at] != dir_entry.FREE:
            return at
    return 0


def _short_name(short: bytes, case: int) -> str:
    """A short name as text; the bits of `case` say which half is in lower case (NT)."""
    if short[0] == 0x05:
        short = b"\xe5" + short[1:]
    base, extension = oem(short[:8]), oem(short[8:])
    base = base.lower() if case & LOWER_BASE else base
    extension = extension.lower() if case & LOWER_EXTENSION else extension
    return f"{base}.{extension}" if extension else base


def oem(field: bytes) -> str:
    """A field of a short name or a label as text, by the code page that Linux assumes."""
    return field.decode("ascii" if field.isascii() else "cp437").rstrip(" ")


@lru_cache(maxsize=1 << 12)
def _mtime_ns(date: int, clock: int) -> int | None:
    """FAT's date and time in nanoseconds since 1970; None if they are no such."""
    if not date and not clock:  # of a system that has no clock
        return dir_entry.FIRST_TIME * NANOSECONDS
    day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    try:
        moment = datetime(*day, clock >> 11, clock >> 5 & 63, (clock & 31) * 2, tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * NANOSECONDS
