"""Containers: what is around a pack so that its reader finds it.

``docteur`` is MirageOS' (docteur 0.0.7), ``bundle`` is git's own (gitformat-bundle(5)), ``pack`` is
the pack alone, as git-kv restores from it, if need be in a OneFFS. See docs/format/git.md.
"""

from __future__ import annotations

import struct
import zlib
from typing import Literal

Container = Literal["docteur", "bundle", "pack"]

DOCTEUR_HEADER = struct.Struct("<20sQ")
"""The commit's id, raw, and the byte at which the pack's index begins."""

_ONEFFS = struct.Struct(">2sQI")
_ONEFFS_MAGIC = b"\x1f\x1f"
_CRC = struct.Struct(">I")


def docteur_header(commit: bytes, index_offset: int) -> bytes:
    """What stands before the pack; its index begins at `index_offset` of the image."""
    return DOCTEUR_HEADER.pack(commit, index_offset)


def bundle_header(commit: bytes, branch: str, object_format: str) -> bytes:
    """What stands before the pack: the version, and what refers to the commit."""
    lines = ["# v2 git bundle"]
    if object_format != "sha1":
        lines = ["# v3 git bundle", f"@object-format={object_format}"]
    oid = commit.hex()
    lines += [f"{oid} refs/heads/{branch}", f"{oid} HEAD", ""]
    return "".join(f"{line}\n" for line in lines).encode()


def oneffs_header(size: int, crc: int, sector_size: int) -> bytes:
    """The sector before `size` bytes whose CRC-32 is `crc`."""
    head = _ONEFFS.pack(_ONEFFS_MAGIC, size, crc)
    return (head + _CRC.pack(zlib.crc32(head))).ljust(sector_size, b"\0")
