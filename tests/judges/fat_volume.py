"""The parts of a FAT volume outside its directories, held against the specification.

Written from "Microsoft Extensible Firmware Initiative FAT32 File System Specification" 1.03
(fatgen103), whose field names are kept, and from what FAT drivers disagree on. `read_volume`
asserts everything that this module knows and returns what is needed to read the directories.

Layout, in sectors: the reserved area (boot sector, and on FAT32 FSInfo at 1 and a backup of
both at 6), two equal FATs, the root directory (FAT12 and FAT16), then clusters from 2 on.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass
from typing import NamedTuple

from .image import Image

FAT12_LIMIT = 4085
"""A volume of fewer data clusters is a FAT12, whatever else it says."""
FAT16_LIMIT = 65525
BOUNDARY_MARGIN = 16
"""Drivers are off by up to 16 clusters at the two limits: stay clear of them."""

BACKUP = 6
"""The sector of FAT32's backup boot sector; no other is looked for."""
FS_INFO_UNKNOWN = 0xFFFFFFFF

_COMMON = struct.Struct("<3s8sHBHBHHBHHHII")
_EXTENDED = struct.Struct("<BBBI11s8s")
_FAT32 = struct.Struct("<IHHIHH12s")


@dataclass(frozen=True)
class Rules:
    """What is asked for beyond the specification, or forgiven to another program."""

    alignment: int = 4096
    """The data area begins, and the image ends, on a multiple of this."""
    max_cluster_size: int = 32768
    """The specification's limit; some drivers go to 65536."""
    mirage: bool = False
    """Long names of 13, 26, … units have one more entry, of a NUL and padding; short names
    may have spaces inside; the label is in the boot sector alone. MirageOS's reader asks for
    all three."""
    lower_case_bits: bool = False
    """Lower-case bits may stand in for a long name. Not all readers know of them."""
    bits_beside_names: bool = False
    """A short entry has lower-case bits beside its long name, where they say the same."""
    label_entry: bool = True
    """A label is in the root directory as well."""
    fats: int = 2
    media: int = 0xF8
    fs_info_backup: bool = True
    """The backup of FSInfo is as exact as FSInfo. mtools leaves it stale."""


STRICT = Rules()


class _Common(NamedTuple):
    """The fields that all FAT types have, at offset 0."""

    jump: bytes
    oem_name: bytes
    byts_per_sec: int
    sec_per_clus: int
    rsvd_sec_cnt: int
    num_fats: int
    root_ent_cnt: int
    tot_sec_16: int
    media: int
    fat_sz_16: int
    sec_per_trk: int
    num_heads: int
    hidd_sec: int
    tot_sec_32: int


class _Extended(NamedTuple):
    """The fields at offset 36, or 64 on FAT32."""

    drv_num: int
    reserved: int
    boot_sig: int
    vol_id: int
    vol_lab: bytes
    fil_sys_type: bytes


class _Fat32(NamedTuple):
    """The fields that FAT32 alone has, at offset 36."""

    fat_sz_32: int
    ext_flags: int
    fs_ver: int
    root_clus: int
    fs_info: int
    bk_boot_sec: int
    reserved: bytes


@dataclass(frozen=True)
class Volume:
    """What the directories are read with. Offsets and lengths are in bytes of the image."""

    fat_type: int
    label: bytes
    cluster_size: int
    clusters: int
    """Data clusters; they are numbered from 2 on."""
    fat: array[int]
    """The entries of the FAT from number 0 to the last cluster's."""
    root_offset: int
    root_length: int
    """The fixed root directory; 0 on FAT32."""
    root_cluster: int
    """The first cluster of FAT32's root directory; else 0."""
    data_offset: int

    @property
    def end_of_chain(self) -> int:
        """The least entry that ends a chain."""
        return (1 << min(self.fat_type, 28)) - 8

    def offset_of(self, cluster: int) -> int:
        """Where `cluster` begins."""
        return self.data_offset + (cluster - 2) * self.cluster_size


def read_volume(image: Image, rules: Rules) -> Volume:
    """The volume in `image`, all of whose structures but directories and files are sound."""
    boot = image.read(0, 512)
    common = _Common._make(_COMMON.unpack_from(boot))
    _check_common(boot, common, rules)
    sector = common.byts_per_sec
    fat32 = _Fat32._make(_FAT32.unpack_from(boot, 36)) if not common.fat_sz_16 else None
    fat_sectors = fat32.fat_sz_32 if fat32 else common.fat_sz_16
    total = _total_sectors(common, is_fat32=fat32 is not None)
    assert total * sector == image.size, f"{total} sectors are not {image.size} bytes"

    root_offset = (common.rsvd_sec_cnt + common.num_fats * fat_sectors) * sector
    root_length = common.root_ent_cnt * 32
    assert root_length % sector == 0, "BPB_RootEntCnt does not fill whole sectors"
    data_offset = root_offset + root_length
    cluster_size = sector * common.sec_per_clus
    clusters = (image.size - data_offset) // cluster_size
    assert clusters > 0, "there is no data cluster"
    assert data_offset % rules.alignment == 0, f"the data area begins at {data_offset}"
    assert image.size % rules.alignment == 0, f"the image is {image.size} bytes long"
    image.assert_zero(
        data_offset + clusters * cluster_size, image.size, "what follows the clusters"
    )

    fat_type = 12 if clusters < FAT12_LIMIT else 16 if clusters < FAT16_LIMIT else 32
    for limit in (FAT12_LIMIT, FAT16_LIMIT):
        assert abs(clusters - limit) >= BOUNDARY_MARGIN, f"{clusters} clusters are near {limit}"
    assert (fat_type == 32) == (fat32 is not None), f"{clusters} clusters are for FAT{fat_type}"
    assert (fat_type == 32) == (common.root_ent_cnt == 0), "BPB_RootEntCnt is of another type"
    extended = _Extended._make(_EXTENDED.unpack_from(boot, 64 if fat32 else 36))
    _check_extended(extended, fat_type, rules)

    volume = Volume(
        fat_type=fat_type,
        label=extended.vol_lab,
        cluster_size=cluster_size,
        clusters=clusters,
        fat=_read_fat(image, common, fat_sectors * sector, fat_type, clusters),
        root_offset=root_offset,
        root_length=root_length,
        root_cluster=fat32.root_clus if fat32 else 0,
        data_offset=data_offset,
    )
    _check_fat(volume, common.media)
    used = {0}
    if fat32:
        _check_fat32(image, common, fat32, volume, rules)
        used |= {1, BACKUP, BACKUP + 1}
    _check_reserved(image, sector, common.rsvd_sec_cnt, used)
    return volume


def _check_common(boot: bytes, common: _Common, rules: Rules) -> None:
    assert boot[510:512] == b"\x55\xaa", "the boot sector has no signature"
    jump = common.jump
    assert (jump[0] == 0xEB and jump[2] == 0x90) or jump[0] == 0xE9, f"BS_jmpBoot is {jump!r}"
    assert common.byts_per_sec in (512, 1024, 2048, 4096), f"BPB_BytsPerSec: {common}"
    assert common.sec_per_clus in (1, 2, 4, 8, 16, 32, 64, 128), f"BPB_SecPerClus: {common}"
    size = common.byts_per_sec * common.sec_per_clus
    assert size <= rules.max_cluster_size, f"a cluster is {size} bytes"
    assert common.rsvd_sec_cnt >= 1, "BPB_RsvdSecCnt is 0"
    assert common.num_fats == rules.fats, f"BPB_NumFATs is {common.num_fats}"
    assert common.media == rules.media, f"the media byte is {common.media:#x}"
    assert common.hidd_sec == 0, "BPB_HiddSec is not 0, but there is no partition table"


def _total_sectors(common: _Common, *, is_fat32: bool) -> int:
    """The one of the two sector counts that is to be used; the other one is 0."""
    small, large = common.tot_sec_16, common.tot_sec_32
    assert (small == 0) != (large == 0), f"BPB_TotSec16 and BPB_TotSec32 are {small}, {large}"
    if is_fat32:
        assert small == 0, "FAT32 has no BPB_TotSec16"
    else:
        assert small or large >= 0x10000, "a count below 65536 belongs in BPB_TotSec16"
    return small or large


def _check_extended(extended: _Extended, fat_type: int, rules: Rules) -> None:
    drive = 0x80 if rules.media == 0xF8 else 0
    assert extended.drv_num == drive, f"BS_DrvNum is {extended.drv_num:#x}"
    assert extended.reserved == 0, "BS_Reserved1 is not 0: the volume is marked dirty"
    assert extended.boot_sig == 0x29, f"BS_BootSig is {extended.boot_sig:#x}"
    expected = f"FAT{fat_type}".encode().ljust(8)
    assert extended.fil_sys_type == expected, f"BS_FilSysType is {extended.fil_sys_type!r}"


def _read_fat(
    image: Image, common: _Common, length: int, fat_type: int, clusters: int
) -> array[int]:
    """The first FAT; all are equal, and none has more entries than clusters."""
    offset = common.rsvd_sec_cnt * common.byts_per_sec
    raw = image.read(offset, length)
    for copy in range(1, common.num_fats):
        assert raw == image.read(offset + copy * length, length), "the FATs differ"
    count = clusters + 2
    needed = -(-count * fat_type // 8)
    assert needed <= length, f"a FAT of {length} bytes is too small for {clusters} clusters"
    if fat_type == 12:
        entries = array("H")
        for number in range(count):
            pair = int.from_bytes(raw[number * 3 // 2 : number * 3 // 2 + 2], "little")
            entries.append(pair >> 4 if number % 2 else pair & 0xFFF)
        if count % 2:
            assert raw[needed - 1] >> 4 == 0, "the FAT has an entry beyond the last cluster"
    else:
        entries = array("H" if fat_type == 16 else "I", raw[:needed])
        if sys.byteorder == "big":
            entries.byteswap()
    assert not any(raw[needed:]), "the FAT has entries beyond the last cluster"
    return entries


def _check_fat(volume: Volume, media: int) -> None:
    """The two reserved entries, and that every entry has a meaning."""
    fat, ones, end = volume.fat, (1 << min(volume.fat_type, 28)) - 1, volume.end_of_chain
    assert fat[0] == (ones & ~0xFF) | media, f"FAT[0] is {fat[0]:#x}, the media {media:#x}"
    # The top two bits are clear on a volume that is dirty, or had an error.
    assert end <= fat[1] <= ones, f"FAT[1] is {fat[1]:#x}: not clean"
    for number, entry in enumerate(fat):
        meaning = entry == 0 or 2 <= entry < len(fat) or end <= entry <= ones
        assert meaning or number == 0, f"FAT[{number}] is {entry:#x}"


def _check_fat32(
    image: Image, common: _Common, fat32: _Fat32, volume: Volume, rules: Rules
) -> None:
    assert fat32.ext_flags == 0, "BPB_ExtFlags: FATs are not mirrored"
    assert fat32.fs_ver == 0, f"BPB_FSVer is {fat32.fs_ver:#x}"
    assert fat32.fs_info == 1, f"BPB_FSInfo is {fat32.fs_info}"
    assert fat32.bk_boot_sec == BACKUP, f"BPB_BkBootSec is {fat32.bk_boot_sec}"
    assert not any(fat32.reserved), "BPB_Reserved is not zero"
    assert 2 <= fat32.root_clus < len(volume.fat), f"BPB_RootClus is {fat32.root_clus}"
    assert common.rsvd_sec_cnt > BACKUP + 1, "the reserved area holds no backup"
    sector = common.byts_per_sec
    assert image.read(0, sector) == image.read(BACKUP * sector, sector), "the backup differs"
    info = image.read(sector, sector)
    _check_fs_info(info, volume)
    backup = image.read((BACKUP + 1) * sector, sector)
    if rules.fs_info_backup:
        assert info == backup, "the backup of FSInfo differs"


def _check_fs_info(info: bytes, volume: Volume) -> None:
    assert info[:4] == b"RRaA", "FSI_LeadSig"
    assert info[484:488] == b"rrAa", "FSI_StrucSig"
    assert info[508:512] == b"\0\0\x55\xaa", "FSI_TrailSig"
    assert not any(info[4:484] + info[496:508] + info[512:]), "FSI_Reserved is not zero"
    told, following = struct.unpack_from("<II", info, 488)
    free = volume.fat.count(0)
    assert told == free, f"FSI_Free_Count is {told}, but {free} clusters are free"
    last_used = max(n for n, entry in enumerate(volume.fat) if entry)
    first_free = volume.fat.index(0) if free else FS_INFO_UNKNOWN
    # The specification takes the cluster that was allocated last as well as the next one.
    assert following in (first_free, last_used), f"FSI_Nxt_Free is {following}"


def _check_reserved(image: Image, sector: int, count: int, used: set[int]) -> None:
    """That the reserved area holds nothing but what it is for."""
    for number in used & {0, BACKUP}:
        image.assert_zero(number * sector + 512, (number + 1) * sector, "a boot sector's rest")
    free = sorted({*range(min(count, 16))} - used)
    for number in free:
        image.assert_zero(number * sector, (number + 1) * sector, f"reserved sector {number}")
    image.assert_zero(min(count, 16) * sector, count * sector, "the reserved area")
