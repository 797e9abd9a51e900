"""A pack as git-kv restores its state from it, and OneFFS, which opam-mirror keeps it in.

git-kv reads the pack through and holds all of it in memory. It knows no delta whose base is named
by its id, and none whose base comes later; whatever commit comes last is the head. So a pack that
is to say what the head is holds one commit.
"""

from __future__ import annotations

import zlib

from . import git_pack
from .git_pack import Pack
from .image import Image, Source
from .mirage_kv import BlockError, Crash, Device

_MAGIC = b"\x1f\x1f"
_HEADER = 14
"""Magic (2), length (8), CRC-32 of the data (4); their own CRC-32 follows."""


def restore(data: bytes) -> tuple[bytes, Pack]:
    """The head, raw, and the pack that `data` begins with; what follows it is ignored."""
    try:
        pack = git_pack.read_pack(data)
    except AssertionError as error:
        raise Crash(f"the pack: {error}") from None
    for found in pack.objects.values():
        if isinstance(found.base, bytes):
            raise Crash("there is a delta whose base is named by its id")
        if found.base is not None and found.base >= found.offset:
            raise Crash("there is a delta before its base")
    commits = [oid for oid, found in pack.objects.items() if found.kind == b"commit"]
    if not commits:
        raise Crash("there is no commit")
    assert len(commits) == 1, "there are several commits, and the last one need not be the head"
    return commits[-1], pack


def oneffs_read(source: Source, sector_size: int) -> bytes:
    """What the OneFFS of a device with sectors of `sector_size` bytes holds.

    Asserts that all that it does not read is zero.
    """
    device = Device(source, sector_size)
    head = device.read(0, sector_size)
    if head[:2] != _MAGIC:
        raise Crash("no OneFFS")
    if int.from_bytes(head[_HEADER : _HEADER + 4], "big") != zlib.crc32(head[:_HEADER]):
        raise Crash("the header's CRC-32 is wrong")
    assert not any(head[_HEADER + 4 :]), "there is something behind the header"
    size = int.from_bytes(head[2:10], "big")
    whole = -(-size // sector_size) * sector_size
    try:
        data = device.read(1, whole)
    except BlockError as error:
        raise Crash(f"the data cannot be read: {error}") from None
    if int.from_bytes(head[10:_HEADER], "big") != zlib.crc32(data[:size]):
        raise Crash("the data's CRC-32 is wrong")
    with Image(source) as image:
        image.assert_zero(sector_size + size, image.size, "what follows the data")
    return data[:size]
