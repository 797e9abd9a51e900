"""What partitions are for: types by name, as data.

GUIDs are of the UEFI specification 2.10 (section 5.3.3), systemd's Discoverable Partitions
Specification, Microsoft's and others' own; MBR bytes are those that fdisk knows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .gpt import is_guid
from .mbr import type_text


class PartitionType(NamedTuple):
    """A type: its GUID in capitals (empty if it has none), and its byte in an MBR, if any."""

    guid: str
    mbr: int | None = None


_BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"

_ARCHITECTURES = {
    # root, /usr; of each: the file system, its verity data, and their signature
    "x86-64": (
        ("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "8484680C-9521-48C6-9C11-B0720656F69E"),
        ("2C7357ED-EBD2-46D9-AEC1-23D437EC2BF5", "77FF5F63-E7B6-4633-ACF4-1565B864C0E6"),
        ("41092B05-9FC8-4523-994F-2DEF0408B176", "E7BB33FB-06CF-4E81-8273-E543B413E2E2"),
    ),
    "x86": (
        ("44479540-F297-41B2-9AF7-D131D5F0458A", "75250D76-8CC6-458E-BD66-BD47CC81A812"),
        ("D13C5D3B-B5D1-422A-B29F-9454FDC89D76", "8F461B0D-14EE-4E81-9AA9-049B6FB97ABD"),
        ("5996FC05-109C-48DE-808B-23FA0830B676", "974A71C0-DE41-43C3-BE5D-5C5CCD1AD2C0"),
    ),
    "arm64": (
        ("B921B045-1DF0-41C3-AF44-4C6F280D3FAE", "B0E01050-EE5F-4390-949A-9101B17104E9"),
        ("DF3300CE-D69F-4C92-978C-9BFB0F38D820", "6E11A4E7-FBCA-4DED-B9E9-E1A512BB664E"),
        ("6DB69DE6-29F4-4758-A7A5-962190F00CE3", "C23CE4FF-44BD-4B00-B2D4-B41B3419E02A"),
    ),
    "arm": (
        ("69DAD710-2CE4-4E3C-B16C-21A1D49ABED3", "7D0359A3-02B3-4F0A-865C-654403E70625"),
        ("7386CDF2-203C-47A9-A498-F2ECCE45A2D6", "C215D751-7BCD-4649-BE90-6627490A4C05"),
        ("42B0455F-EB11-491D-98D3-56145BA9D037", "D7FF812F-37D1-4902-A810-D76BA57B975A"),
    ),
    "riscv64": (
        ("72EC70A6-CF74-40E6-BD49-4BDA08E8F224", "BEAEC34B-8442-439B-A40B-984381ED097D"),
        ("B6ED5582-440B-4209-B8DA-5FF7C419EA3D", "8F1056BE-9B05-47C4-81D6-BE53128E5B54"),
        ("EFE0F087-EA8D-4469-821A-4C2A96A8386A", "D2F9000A-7A18-453F-B5CD-4D32F77A7B32"),
    ),
}
"""Root and /usr partitions by architecture."""

_OF_ARCHITECTURES = {
    f"{mount}-{architecture}{suffix}": PartitionType(guid)
    for architecture, kinds in _ARCHITECTURES.items()
    for suffix, guids in zip(("", "-verity", "-verity-sig"), kinds, strict=True)
    for mount, guid in zip(("root", "usr"), guids, strict=True)
}

TYPES = {
    "esp": PartitionType("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 0xEF),
    "xbootldr": PartitionType("BC13C2FF-59E6-4262-A352-B275FD6F7172", 0xEA),
    "bios-boot": PartitionType("21686148-6449-6E6F-744E-656564454649"),
    "linux": PartitionType("0FC63DAF-8483-4772-8E79-3D69D8477DE4", 0x83),
    "swap": PartitionType("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", 0x82),
    **_OF_ARCHITECTURES,
    "home": PartitionType("933AC7E1-2EB4-4F13-B844-0E14E2AEF915"),
    "srv": PartitionType("3B8F8425-20E0-4F3B-907F-1A25A76F98E8"),
    "var": PartitionType("4D21B016-B534-45C2-A9FB-5C16E091FD2D"),
    "tmp": PartitionType("7EC6F557-3BC5-4ACA-B293-16EF5DF639D1"),
    "msdata": PartitionType(_BASIC_DATA, 0x07),
    "fat12": PartitionType(_BASIC_DATA, 0x01),
    "fat16": PartitionType(_BASIC_DATA, 0x06),
    "fat16-lba": PartitionType(_BASIC_DATA, 0x0E),
    "fat32": PartitionType(_BASIC_DATA, 0x0B),
    "fat32-lba": PartitionType(_BASIC_DATA, 0x0C),
    "msr": PartitionType("E3C9E316-0B5C-4DB8-817D-F92DF00215AE"),
    "lvm": PartitionType("E6D6D379-F507-44C2-A23C-238F2A3DF928", 0x8E),
    "raid": PartitionType("A19D880F-05FC-4D3B-A006-743F0F84911E", 0xFD),
    "luks": PartitionType("CA7D7CCB-63ED-4C53-861C-1742536059CC", 0xE8),
    "prep": PartitionType("9E1A2D38-C612-4316-AA26-8B49521E5A8B", 0x41),
    "u-boot-env": PartitionType("3DE21764-95BD-54BD-A5C3-4ABE786F38A8"),
    "chromeos-kernel": PartitionType("FE3A2A5D-4F32-41A7-B725-ACCC3285A309"),
    "hifive-fsbl": PartitionType("5B193300-FC78-40CD-8002-E86C45580B47"),
    "hifive-bbl": PartitionType("2E54B353-1271-4842-806F-E436D6AF6985"),
}
"""The types by name; of several with one GUID or byte, the first names it."""

_OF_FATS = {"FAT12": "fat12", "FAT16": "fat16-lba", "FAT32": "fat32-lba"}
_GUID_NAMES = {found.guid: name for name, found in reversed(TYPES.items())}
_MBR_NAMES = {type_text(found.mbr): name for name, found in TYPES.items() if found.mbr is not None}


def type_name(type: str) -> str:
    """The name of a GUID in capitals, or of a byte (``0x0c``); empty if it has none."""
    return _GUID_NAMES.get(type) or _MBR_NAMES.get(type, "")


def parse_type(type: str | int | PartitionType) -> PartitionType | None:
    """A type by its name, as a GUID, or as a byte of an MBR (a number, or ``0x0c``); or None."""
    if isinstance(type, PartitionType):
        return type
    if isinstance(type, str):
        guid = type.upper()
        if type in TYPES:
            return TYPES[type]
        if is_guid(guid) and guid.strip("0-"):  # zeros are those of an entry that is not in use
            return TYPES.get(_GUID_NAMES.get(guid, ""), PartitionType(guid))
        if re.fullmatch("(?ai)0x[0-9a-f]{1,2}", type) is None:
            return None
        type = int(type, 16)
    is_byte = isinstance(type, int) and not isinstance(type, bool) and 0 < type < 256
    return PartitionType("", type) if is_byte else None


def implied_type(name: str, title: str) -> str:
    """The type if none is given: `name` if that is one, a FAT's by the `title`, else ``linux``."""
    return name if name in TYPES else _OF_FATS.get(title, "linux")
