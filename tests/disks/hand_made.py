"""Disks that are put together by hand, by the specification and not by the code that is tested."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from zlib import crc32

SECTOR = 512
LINUX = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
"""The GUID 0FC63DAF-8483-4772-8E79-3D69D8477DE4 as it lies on disks."""


def record(
    *entries: tuple[int, int, int], status: Sequence[int] = (), code: bytes = b"", disk_id: int = 7
) -> bytes:
    """A master boot record: (type, first sector, sectors) of each entry."""
    packed = b"".join(
        struct.pack("<B3sB3sII", state, b"\0\2\0", kind, b"\xfe\xff\xff", first, sectors)
        for state, (kind, first, sectors) in zip(
            [*status, *[0] * (4 - len(status))], entries, strict=False
        )
    )
    return (
        code.ljust(440, b"\0")
        + struct.pack("<I2x", disk_id)
        + packed.ljust(64, b"\0")
        + b"\x55\xaa"
    )


def gpt_entry(
    first: int, last: int, name: str = "", *, type: bytes = LINUX, id: int = 0, attributes: int = 0
) -> bytes:
    """An entry of a GPT's array."""
    own = (id or first).to_bytes(16, "big")
    units = name.encode("utf-16-le", "surrogatepass")[:72]
    return type + own + struct.pack("<QQQ72s", first, last, attributes, units)


def gpt_header(
    array: bytes,
    *,
    my: int,
    alternate: int,
    entries_at: int,
    last: int,
    count: int | None = None,
    entry_size: int = 128,
    first_usable: int = 34,
    header_size: int = 92,
    array_crc: int | None = None,
    sector: int = SECTOR,
) -> bytes:
    """A header, whose checksum is right whatever it says."""
    fields = struct.pack(
        "<8sIIIIQQQQ16sQIII",
        *(b"EFI PART", 0x10000, header_size, 0, 0, my, alternate, first_usable, last),
        *(b"disk's own GUID.", entries_at, len(array) // 128 if count is None else count),
        *(entry_size, crc32(array) if array_crc is None else array_crc),
    )
    sized = fields.ljust(header_size, b"\0") if header_size <= sector else fields
    crc = struct.pack("<I", crc32(sized))
    return (sized[:16] + crc + sized[20:]).ljust(sector, b"\0")


def gpt(
    sectors: int,
    *entries: bytes,
    sector: int = SECTOR,
    capacity: int = 128,
    protective: bytes | None = None,
) -> bytearray:
    """A disk of so many sectors with a GPT in both places."""
    array = b"".join(entries).ljust(128 * capacity, b"\0")
    length = -(-len(array) // sector)
    last, usable = sectors - 1, (2 + length, sectors - 2 - length)
    disk = bytearray(sectors * sector)
    disk[:512] = record((0xEE, 1, last)) if protective is None else protective
    common = {"first_usable": usable[0], "last": usable[1], "sector": sector}
    first = gpt_header(array, my=1, alternate=last, entries_at=2, **common)
    backup = gpt_header(array, my=last, alternate=1, entries_at=last - length, **common)
    disk[sector : 2 * sector] = first
    disk[2 * sector : 2 * sector + len(array)] = array
    at = (last - length) * sector
    disk[at : at + len(array)] = array
    disk[last * sector :] = backup
    return disk


def put(disk: bytearray, at: int, *pieces: bytes) -> bytearray:
    """The disk with pieces from byte `at` on."""
    data = b"".join(pieces)
    disk[at : at + len(data)] = data
    return disk


def mend(disk: bytearray) -> bytearray:
    """The disk with the checksums that its GPT should have, as far as it is to be found."""
    for at in (SECTOR, len(disk) - SECTOR):
        if not SECTOR <= at <= len(disk) - SECTOR or disk[at : at + 8] != b"EFI PART":
            continue
        size, entries_at, count, length = struct.unpack_from("<12xI56xQII", disk, at)
        array = disk[entries_at * SECTOR :][: min(count * length, len(disk))]
        struct.pack_into("<I", disk, at + 88, crc32(array))
        struct.pack_into("<I", disk, at + 16, 0)
        struct.pack_into("<I", disk, at + 16, crc32(disk[at : at + min(size, SECTOR)]))
    return disk


def with_content(*contents: bytes, table: str = "gpt") -> bytes:
    """A disk with a partition for each of the contents, named after the letters; in an MBR the
    second and those behind it are logical ones.
    """
    places, at = [], 40
    for content in contents:
        sectors = -(-len(content) // SECTOR)
        places.append((at, at + sectors - 1))
        at += sectors + 4
    if table == "gpt":
        entries = [gpt_entry(*place, "abcdefgh"[n]) for n, place in enumerate(places)]
        disk = gpt(at + 20, *entries, capacity=8)
    else:
        disk = bytearray((at + 20) * SECTOR)
        (first, last), *others = places
        room = last + 1
        disk[:SECTOR] = record(
            (0x83, first, last - first + 1), (0x05, room, len(disk) // SECTOR - room)
        )
        begins = [room, *(place[0] - 2 for place in others[1:])]
        for n, (begin, (first, last)) in enumerate(zip(begins, others, strict=False)):
            own = (0x83, first - begin, last - first + 1)
            link = [(0x05, begins[n + 1] - room, 1)] if n + 1 < len(begins) else []
            put(disk, begin * SECTOR, record(own, *link))
    for (first, _), content in zip(places, contents, strict=True):
        put(disk, first * SECTOR, content)
    return bytes(disk)
