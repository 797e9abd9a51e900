"""A model of how MirageOS reads a FAT image: `fat_ro`, that is fat-filesystem 0.15.

`MirageFat(image, sector_size)` does what `connect` does, on a device of `sector_size` bytes a
sector: it reads the boot sector, the first FAT and the root directory. What the model keeps
of the reader, because an image can stumble over it:

- Sectors of the volume are read one at a time, as whole sectors of the device: 512 in the
  boot sector does not go with a device of 4096.
- FAT16 is all it knows. FAT12 is read as FAT16; of FAT32 it sees no FAT and an empty root.
- Cluster numbers above 0xFFEF are bad, and a chain that is too short ends the unikernel.
- A name that is upper-case 8.3 is compared with the short name, and only with it; any other
  one with the long-name entries, and only with them. These are compared whole, with a NUL and
  0xFFFF up to the next multiple of 13: a name of 13 characters is not found as the standard
  stores it.
- The bytes of a name are taken for its UTF-16 units, and the other way round for a listing.
- Sizes are signed 32-bit numbers. Entries of a directory are looked at last one first.

`list` is modelled for the root alone: nothing may rest on what it does elsewhere.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .image import Source
from .mirage_kv import BlockError, Crash, Device, Kind, KvError, NotFound, segments

PAGE = 4096
ENTRY = 32
UNITS = 13
"""UTF-16 units that one long-name entry holds."""

_BOOT = struct.Struct("<11xHBHBHHxHxxxxIi")
_BLANK = b" \t\n\f\r"
_LEGAL_SHORT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#$%&'()-@^_`{}~") | frozenset(
    range(128, 256)
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A directory entry. `long` is the text of its long-name entries, raw, padding and all."""

    base: bytes
    extension: bytes
    long: bytes
    is_directory: bool
    cluster: int
    size: int

    @property
    def is_dot(self) -> bool:
        return self.base in (b".", b"..")

    @property
    def listed(self) -> bytes:
        """The name that a listing shows."""
        units = [self.long[at : at + 2] for at in range(0, len(self.long), 2)]
        ends = [index for index, unit in enumerate(units) if unit in (b"\0\0", b"\xff\xff")]
        name = b"".join(unit[:1] for unit in units[: min(ends, default=len(units))])
        short = self.base + b"." + self.extension if self.extension else self.base
        return name or short

    def is_called(self, name: bytes) -> bool:
        """Whether a look-up of `name` finds this entry."""
        if short := _short_name(name):
            return short == (self.base, self.extension)
        return self.long in (_padded_utf16(name), name)


class _NotADirectory(KvError):
    """A part of the path is a file."""


class MirageFat:
    """The store of a FAT image on a device of `device_sector_size` bytes a sector."""

    def __init__(self, source: Source, device_sector_size: int = 512) -> None:
        self._device = Device(source, device_sector_size)
        if device_sector_size > PAGE:
            raise Crash("a sector is larger than the page it is read into")
        try:
            self._connect()
        except BlockError as error:
            raise Crash(f"error reading essential sectors: {error}") from error

    def _connect(self) -> None:
        boot = self._device.read(0, self._device.sector_size)
        if boot[510:512] != b"\x55\xaa":
            raise Crash("boot sector signature invalid")
        fields: tuple[int, ...] = _BOOT.unpack_from(boot)
        self._bytes_per_sector, self._sectors_per_cluster = fields[:2]
        reserved, fats, root_entries, small, sectors_per_fat, _, large = fields[2:]
        if not self._bytes_per_sector or not self._sectors_per_cluster:
            raise Crash("division by zero")
        root = reserved + fats * sectors_per_fat
        root_sectors = root_entries * ENTRY // self._bytes_per_sector
        self._first_data_sector = root + root_sectors
        data_sectors = max(small, large) - self._first_data_sector
        clusters = 2 + int(data_sectors / self._sectors_per_cluster)
        if clusters >= 65527 and root_entries:
            raise Crash("a FAT32 with a root directory of FAT16 is not modelled")
        self._fat = self._read_sectors(range(reserved, reserved + sectors_per_fat))
        self._root = _entries(self._read_sectors(range(root, root + root_sectors)))

    def exists(self, key: str | bytes) -> Kind | None:
        """What is under `key`, if anything is."""
        try:
            return self._kind(segments(key))
        except (NotFound, _NotADirectory):
            return None

    def get(self, key: str | bytes) -> bytes:
        """The whole value of `key`.

        :raises Crash: Its chain is shorter than its size.
        :raises BlockError: A sector of it is not on the device.
        """
        found = self._find(segments(key))
        if isinstance(found, list):
            raise KvError(f"{key!r} is a directory")
        sectors = self._sectors(found.cluster)
        # A size of 2 GiB or more is negative here, and nothing is read of the file.
        needed = -(-max(0, found.size) // self._bytes_per_sector)
        if needed > len(sectors):
            raise Crash(f"missing mapping for sector {len(sectors)} of {key!r}")
        return self._read_sectors(sectors[:needed])[: max(0, found.size)]

    def list_root(self) -> dict[bytes, Kind]:
        """The names in the root directory; each of them is looked up again.

        :raises KvError: A listed name is not found, and so nothing is listed.
        """
        return {entry.listed: self._kind(segments(entry.listed)) for entry in self._root[::-1]}

    def _kind(self, path: list[bytes]) -> Kind:
        return "dictionary" if isinstance(self._find(path), list) else "value"

    def _find(self, path: list[bytes]) -> list[_Entry] | _Entry:
        """The entries of the directory, or the entry of the file at `path`."""
        entries = self._root
        for depth, name in enumerate(path):
            found = next((entry for entry in entries if entry.is_called(name)), None)
            if found is None:
                raise NotFound(b"/".join(path))
            last = depth == len(path) - 1
            if last and (found.is_dot or not found.is_directory):
                return found
            if not found.is_directory:
                raise _NotADirectory(b"/".join(path))
            entries = _entries(self._read_sectors(self._sectors(found.cluster)))
        return entries

    def _sectors(self, cluster: int) -> list[int]:
        """The sectors of the chain from `cluster` on, as far as it can be followed."""
        return [
            self._first_data_sector + (number - 2) * self._sectors_per_cluster + index
            for number in self._chain(cluster)
            for index in range(self._sectors_per_cluster)
        ]

    def _chain(self, cluster: int) -> Iterator[int]:
        seen: set[int] = set()
        while cluster >= 2 and cluster * 2 + 2 <= len(self._fat) and cluster not in seen:
            link = int.from_bytes(self._fat[cluster * 2 : cluster * 2 + 2], "little")
            if link >= 0xFFF8:
                yield cluster
                return
            if not 2 <= link <= 0xFFEF:
                return
            yield cluster
            seen.add(cluster)
            cluster = link

    def _read_sectors(self, sectors: range | list[int]) -> bytes:
        """The contents of `sectors` of the volume, which are read one by one."""
        size = self._bytes_per_sector
        parts = []
        for sector in sectors:
            first, skipped = divmod(sector * size, self._device.sector_size)
            data = self._device.read(first, size)
            if skipped:
                raise Crash(f"{size} bytes at {skipped} are outside a buffer of {size}")
            parts.append(data)
        return b"".join(parts)


def _entries(directory: bytes) -> list[_Entry]:
    """The entries of a directory, the last one first."""
    found: list[_Entry] = []
    parts: list[tuple[int, bytes]] = []
    for at in range(0, len(directory) - ENTRY + 1, ENTRY):
        raw = directory[at : at + ENTRY]
        if raw[11] == 0x0F:
            if not raw[0] & 0x80:
                parts.append((raw[0] & 0x3F, raw[1:11] + raw[14:26] + raw[28:32]))
            continue
        if raw[0] == 0:
            break
        if raw[0] == 0xE5:
            continue
        parts.sort(key=lambda part: part[0])
        cluster, size = struct.unpack_from("<Hi", raw, 26)
        found.append(
            _Entry(
                base=(b"\xe5" + raw[1:8] if raw[0] == 0x05 else raw[:8]).strip(_BLANK),
                extension=raw[8:11].strip(_BLANK),
                long=b"".join(text for _, text in parts),
                is_directory=bool(raw[11] & 0x10),
                cluster=cluster,
                size=size,
            )
        )
        parts = []
    return found[::-1]


def _short_name(name: bytes) -> tuple[bytes, bytes] | None:
    """The base and extension to look for, if `name` is one that the reader calls short.

    A dot at the very beginning is overlooked, and so is one at the very end.
    """
    if name in (b".", b".."):
        return name, b""
    parts = name.removeprefix(b".").split(b".")
    if not parts[-1]:
        parts.pop()
    if len(parts) not in (1, 2) or not _LEGAL_SHORT.issuperset(b"".join(parts)):
        return None
    base, extension = parts[0], parts[1] if len(parts) == 2 else b""
    if len(base) > 8 or len(extension) > 3:
        return None
    return base.strip(_BLANK), extension.strip(_BLANK)


def _padded_utf16(name: bytes) -> bytes:
    """What the long-name entries have to hold for `name`: a NUL always, then 0xFFFF."""
    text = b"".join(bytes((byte, 0)) for byte in name) + b"\0\0"
    return text + b"\xff" * (-len(text) % (2 * UNITS))
