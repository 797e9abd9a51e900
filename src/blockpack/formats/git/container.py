"""Containers: what is around a pack so that its reader finds it.

``docteur`` is MirageOS' (docteur 0.0.7), ``bundle`` is git's own (gitformat-bundle(5)), ``pack`` is
the pack alone, as git-kv restores from it, if need be in a OneFFS. See docs/format/git.md.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from ..structure import Structure
from . import pack_format
from .objects import OID_SIZES

Container = Literal["docteur", "bundle", "pack"]

DOCTEUR = Structure(
    ("commit", "20s"),
    ("index_offset", "Q"),
)
"""What stands before the pack in a docteur image, little-endian."""

ONEFFS = Structure(
    ("magic", "2s"),
    ("length", "Q"),
    ("data_crc", "I"),
    ("header_crc", "I"),
    order=">",
)
"""The begin of a OneFFS, big-endian, with the CRC-32 of what is before that."""

_ONEFFS_MAGIC = b"\x1f\x1f"
_CRC = slice(ONEFFS.size - 4, ONEFFS.size)


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
    head = ONEFFS.pack(magic=_ONEFFS_MAGIC, length=size, data_crc=crc)[: _CRC.start]
    return (head + zlib.crc32(head).to_bytes(4)).ljust(sector_size, b"\0")


@frozen
class Framing:
    """Where a pack is in an image, and what the container says of it: `references`, ids (raw) by
    name; in a docteur image the byte of the pack's index. An `incomplete` bundle is for those alone
    who have the objects that it is without.
    """

    container: Container
    pack_offset: int
    object_format: str = "sha1"
    references: Mapping[str, bytes] = field(factory=dict)
    index_offset: int | None = None
    oneffs: bool = False
    incomplete: bool = False


HEAD = 4 << 20
"""As many bytes as `framing` wants to see of an image: a bundle may name any number of branches."""

_BUNDLE = re.compile(
    rb"# v[23] git bundle\n"
    rb"(?P<capabilities>(?:@[^\n]*\n)*)"
    rb"(?P<prerequisites>(?:-[0-9a-f]{40,64}[^\n]*\n)*)"
    rb"(?P<references>(?:[0-9a-f]{40}(?:[0-9a-f]{24})? [^\n]+\n)+)\n"
)

_PACK = pack_format.SIGNATURE + pack_format.VERSION.to_bytes(4)


is_bundle = re.compile(rb"# v[23] git bundle\n").match
"""Whether an image begins as a bundle, however much its header has."""


def framing(head: bytes) -> Framing | None:
    """What an image that begins with `head` is; None if it is no pack in any container."""
    if head.startswith(_PACK):
        return Framing("pack", 0)
    if head.startswith(_ONEFFS_MAGIC) and head[_CRC] == zlib.crc32(head[: _CRC.start]).to_bytes(4):
        in_512 = not any(head[32:512]) and head[512:516] == pack_format.SIGNATURE
        return Framing("pack", 512 if in_512 else 4096, oneffs=True)
    if head[DOCTEUR.size :].startswith(_PACK):
        commit, index_offset = DOCTEUR.values(head)
        return Framing("docteur", DOCTEUR.size, "sha1", {"HEAD": commit}, index_offset)
    found = _BUNDLE.match(head)
    return _bundle(found) if found else None


def _bundle(found: re.Match[bytes]) -> Framing | None:
    """A bundle by its header; None if it is of a hash that nobody knows."""
    object_format = "sha1"
    is_partial = False
    for capability in found["capabilities"].splitlines():
        name, _, value = capability.partition(b"=")
        if name == b"@object-format":
            object_format = value.decode("ascii", "replace")
        else:  # a filter: some objects are left out
            is_partial = True
    if object_format not in OID_SIZES:
        return None
    references = {}
    for line in found["references"].splitlines():
        oid, _, name = line.partition(b" ")
        if len(oid) != 2 * OID_SIZES[object_format]:
            return None
        references[name.decode("utf-8", "replace")] = bytes.fromhex(oid.decode())
    incomplete = is_partial or bool(found["prerequisites"])
    return Framing("bundle", found.end(), object_format, references, incomplete=incomplete)
