"""The boot sector and FAT32's FSInfo sector (FAT specification, sections 3 and 5).

`COMMON`, `TAIL_16` and `TAIL_32` are the structures, once: the writer packs by them, the reader
unpacks by them, and docs/format/fat.md shows them. All numbers are little-endian.
"""

from __future__ import annotations

from attrs import fields, frozen

from ..structure import Structure

COMMON = (
    # name, struct format; names are the specification's BPB_ and BS_ fields
    ("jump", "3s"),
    ("oem_name", "8s"),
    ("bytes_per_sector", "H"),
    ("sectors_per_cluster", "B"),
    ("reserved_sectors", "H"),
    ("number_of_fats", "B"),
    ("root_entries", "H"),
    ("total_sectors_16", "H"),
    ("media", "B"),
    ("sectors_per_fat_16", "H"),
    ("sectors_per_track", "H"),
    ("heads", "H"),
    ("hidden_sectors", "I"),
    ("total_sectors_32", "I"),
)
"""Bytes 0 to 35, for all types."""

TAIL_16 = (
    ("drive", "B"),
    ("reserved", "B"),
    ("boot_signature", "B"),
    ("serial", "I"),
    ("label", "11s"),
    ("type_name", "8s"),
)
"""Bytes 36 to 61 of FAT12 and FAT16."""

TAIL_32 = (
    ("sectors_per_fat_32", "I"),
    ("flags", "H"),
    ("version", "H"),
    ("root_cluster", "I"),
    ("fsinfo_sector", "H"),
    ("backup_sector", "H"),
    ("reserved_32", "12s"),
    *TAIL_16,
)
"""Bytes 36 to 89 of FAT32."""

FSINFO = Structure(
    ("lead_signature", "I"),
    ("unused", "480s"),
    ("signature", "I"),
    ("free_clusters", "I"),
    ("next_free", "I"),
    ("unused_2", "12s"),
    ("trail_signature", "I"),
)
"""The FSInfo sector, bytes 0 to 511."""

SIGNATURE = b"\x55\xaa"
"""Bytes 510 and 511, whatever the sector size."""

SECTOR_SIZES = (512, 1024, 2048, 4096)

MEDIA_FIXED = 0xF8
ONE_ACTIVE, ACTIVE = 0x80, 0x0F
"""Bits of a FAT32's flags: whether one table alone is kept, and which."""
BOOT_SIGNATURE, SERIAL_ALONE = 0x29, 0x28
FSINFO_SECTOR = 1
BACKUP_SECTOR = 6
LEAD, STRUCT, TRAIL = 0x41615252, 0x61417272, 0xAA550000
UNKNOWN = 0xFFFFFFFF
NO_NAME = b"NO NAME    "


def is_label(text: str) -> bool:
    """Whether a volume can have this label, in capitals or not."""
    return (
        0 < len(text) <= 11
        and text.isascii()
        and text.isprintable()
        and text == text.strip()
        and not set(text) & set('"*+,./:;<=>?[\\]|')
    )


_NOT_BOOTABLE = b"\xcd\x18\xeb\xfe"  # int 18h (no boot device), then stay


_BOOT_16 = Structure(*COMMON, *TAIL_16)
_BOOT_32 = Structure(*COMMON, *TAIL_32)


@frozen(kw_only=True)
class BootSector:
    """The fields that differ from volume to volume; sizes in the units of their names."""

    bits: int
    """12, 16 or 32."""
    bytes_per_sector: int
    sectors_per_cluster: int
    reserved_sectors: int
    root_entries: int
    total_sectors: int
    sectors_per_fat: int
    serial: int = 0
    label: bytes = NO_NAME
    number_of_fats: int = 2
    root_cluster: int = 0
    fsinfo_sector: int = 0
    backup_sector: int = 0
    media: int = MEDIA_FIXED
    sectors_per_track: int = 63
    heads: int = 255
    drive: int = 0x80
    flags: int = 0
    """Of FAT32: bit 7 says that one table is in use alone, bits 0 to 3 which."""
    boot_signature: int = BOOT_SIGNATURE
    """29 (hexadecimal) if there are a serial and a label, 28 if there is a serial alone."""

    def pack(self) -> bytes:
        """The sector, with an end that says that nothing boots from here."""
        wide = self.bits == 32
        small = self.total_sectors < 1 << 16 and not wide
        values = {
            "jump": b"\xeb\x58\x90" if wide else b"\xeb\x3c\x90",
            "oem_name": b"MSWIN4.1",  # the specification's advice: some drivers look for it
            "total_sectors_16": self.total_sectors if small else 0,
            "total_sectors_32": 0 if small else self.total_sectors,
            "sectors_per_fat_16": 0 if wide else self.sectors_per_fat,
            "sectors_per_fat_32": self.sectors_per_fat,
            "type_name": b"FAT%d   " % self.bits,
        }
        values |= {name: getattr(self, name) for name in _OWN}
        head = (_BOOT_32 if wide else _BOOT_16).pack(**values) + _NOT_BOOTABLE
        return (head.ljust(510, b"\0") + SIGNATURE).ljust(self.bytes_per_sector, b"\0")

    @classmethod
    def unpack(cls, sector: bytes) -> BootSector:
        """The fields of at least 512 bytes, unchecked; `bits` is 32 or 16, for clusters tell 12."""
        values = _BOOT_16.unpack(sector)
        wide = values["sectors_per_fat_16"] == 0
        if wide:
            values = _BOOT_32.unpack(sector)
        values["bits"] = 32 if wide else 16
        values["total_sectors"] = values["total_sectors_16"] or values["total_sectors_32"]
        values["sectors_per_fat"] = values["sectors_per_fat_32" if wide else "sectors_per_fat_16"]
        return cls(**{name: values[name] for name in _OWN if name in values})

    @property
    def own_label(self) -> bytes | None:
        """The label, if one is stated."""
        is_stated = self.boot_signature == BOOT_SIGNATURE and self.label != NO_NAME
        return self.label if is_stated else None

    @property
    def is_possible(self) -> bool:
        """Whether a FAT file system can have these counts: what Linux asks of them."""
        sector, cluster = self.bytes_per_sector, self.sectors_per_cluster
        return bool(
            sector in SECTOR_SIZES
            and cluster
            and not cluster & cluster - 1
            and self.reserved_sectors
            and self.number_of_fats
            and self.sectors_per_fat
            and self.total_sectors
        )

    @property
    def is_usual(self) -> bool:
        """Whether these counts are too much like those of a FAT to be anything else by chance."""
        return self.number_of_fats <= 4 and (self.media == 0xF0 or self.media >= MEDIA_FIXED)


_OWN = tuple(field.name for field in fields(BootSector))


def pack_fsinfo(free_clusters: int, next_free: int, sector_size: int) -> bytes:
    """FAT32's FSInfo sector: how many clusters are free, and where to look for the next."""
    marks = {"lead_signature": LEAD, "signature": STRUCT, "trail_signature": TRAIL}
    counts = {"free_clusters": free_clusters, "next_free": next_free}
    return FSINFO.pack(**marks, **counts).ljust(sector_size, b"\0")


def unpack_fsinfo(sector: bytes) -> tuple[int, int] | None:
    """(free clusters, next free cluster) of an FSInfo sector; None if it is not one."""
    found = FSINFO.unpack(sector)
    marks = found["lead_signature"], found["signature"], found["trail_signature"]
    return (found["free_clusters"], found["next_free"]) if marks == (LEAD, STRUCT, TRAIL) else None
