"""Profiles: what the consumers of images accept, as data.

A profile is a set of limits, each with its reason, and the files that the consumer looks for.
Volumes ask the profile; no code anywhere asks for a profile's name. See docs/profiles.md for the
readers behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from ..arguments import checked
from ..errors import UsageError

GiB = 1 << 30
"""Bytes in a gibibyte."""

SectorSize = Literal[512, 4096]
"""Bytes in a sector of the devices that there are."""

FatBits = Literal[12, 16, 32]
"""The types of FAT."""

_Item = TypeVar("_Item")


def _require_some(values: tuple[object, ...]) -> None:
    if not values:
        raise UsageError("", "a reader that reads nothing")


Some = Annotated[tuple[_Item, ...], _require_some, "a tuple of one or more that there are"]
"""One or more."""

Names = Literal["unicode", "bmp", "cp437", "ascii"]
"""Characters of long names: all of Unicode, those of one UTF-16 unit, code page 437, or ASCII."""

LabelCase = Literal["upper", "keep"]
"""Whether a label is in capitals, as FAT has it, or as it was given."""

Syntax = Literal["any", "yaml", "json", "user-data"]
"""What a file is written in; of ``user-data``, cloud-init tells that by its first line."""

Presence = Literal["required", "expected", "optional"]
"""Whether an image without it is refused, warned of, or fine."""


class Medium(NamedTuple):
    """What a kind of medium has in its boot sector; sizes in bytes, 0 for any."""

    size: int
    media: int
    """The media byte, of the boot sector and the allocation table."""
    sectors_per_track: int
    heads: int
    root_entries: int
    cluster_size: int
    drive: int = 0
    """By which number a BIOS knows it."""


FIXED_DISK = Medium(0, 0xF8, 63, 255, 512, 0, 0x80)
"""What is no medium of its own. The specification advises 512 root entries; some readers expect
nothing else."""


class WantedFile(NamedTuple):
    """A file that the reader looks for, and what it has to be. Capitals do not matter."""

    path: str
    """Its path; the name may be several, between bars, each with ``*`` for any characters."""
    purpose: str
    """What the reader does with it, or without it."""
    presence: Presence = "expected"
    syntax: Syntax = "any"
    required_keys: tuple[str, ...] = ()
    """What it has to say: keys of a YAML or JSON mapping."""
    expected_keys: tuple[str, ...] = ()
    """Keys that are worth a warning if they are not there."""


class FatLimits(NamedTuple):
    """What a reader of FAT accepts. Sizes are in bytes."""

    types: Some[FatBits] = (12, 16, 32)
    preferred_types: tuple[FatBits, ...] = ()
    """Types that are taken before others, in this order, where the content fills them."""
    doubtful_types: tuple[FatBits, ...] = ()
    """Types that not all of these readers take, or read in full: worth a warning."""
    sector_sizes: Some[SectorSize] = (512, 4096)
    sector_size: SectorSize = 512
    media: tuple[Medium, ...] = ()
    """The media that it reads, the usual one first; if there are none, any size is fine."""
    fats: Some[Literal[1, 2]] = (2, 1)
    """How many allocation tables there may be, the usual number first."""
    spare_cluster: bool = False
    """Whether the last cluster stays free even in an image of a given size."""
    file_size: int = 4 * GiB - 1
    names: Names = "unicode"
    path_units: int = 256
    """UTF-16 units in a path: Windows' 260 less a drive letter and the final NUL."""
    exact_short_names: bool = False
    """Names that look like 8.3 names are looked up by their short names alone."""
    terminated_long_names: bool = False
    """Every long name ends in a NUL, even where that takes one more directory entry."""
    wear_levelling: bool = False
    """Whether it reads a file system in the frame of ESP-IDF's wear levelling."""
    lower_case_bits: bool = False
    """Whether short entries have the bits for lower case, too, beside their long names."""
    labels: tuple[str, ...] = ()
    """The labels that it looks for, the usual one first; if there are none, any will do."""
    label_case: LabelCase = "upper"
    """How a label is written unless it is said."""
    label_entry: bool = True
    """Whether the label may stand in the root directory (it always is in the boot sector)."""
    windows: bool = False
    """Whether Windows may read it, so that names of its devices are worth a warning."""
    large_file: int | None = None
    """Files from this size on are worth a warning, for the reader holds them in memory."""


class TarLimits(NamedTuple):
    """What a reader of tar accepts. Sizes are in bytes."""

    links: bool = True
    """Whether symbolic and hard links are understood."""
    extended_header: int | None = None
    """The longest payload of an extended header (pax or GNU)."""
    base_256: bool = True
    """Whether numbers too large for octal may be written in base 256 (GNU)."""
    sector_size: SectorSize = 512
    """The largest sector of its devices: it does not read a shorter tail."""
    long_padding: bool = False
    """Whether padding may have extended headers of more than 512 bytes, so that none of it need be
    an entry ``./``, which gives the directory that is extracted into its mode."""


class GitLimits(NamedTuple):
    """What a reader of git objects accepts. Sizes are in bytes."""

    executables: bool = True
    """Whether files may have the mode of an executable one."""
    symlinks: bool = True
    """Whether symbolic links are understood."""
    object_formats: Some[Literal["sha1", "sha256"]] = ("sha1", "sha256")
    """The hashes that make ids."""
    large_blob: int | None = None
    """Files from this size on are worth a warning, for the reader holds them in memory."""


class ErofsLimits(NamedTuple):
    """What a reader of EROFS accepts. Sizes are in bytes."""

    block_sizes: Some[int] = (4096, 2048, 1024, 512)
    """The sizes that a block may have, the usual one first."""
    doubtful_block_sizes: tuple[int, ...] = ()
    """Sizes that not all of these readers take: worth a warning."""


class Profile(NamedTuple):
    """One consumer's limits, and the files that it looks for."""

    name: str
    summary: str
    formats: tuple[str, ...] = ()
    """The formats that it reads; if there are none, all that have limits."""
    files: tuple[WantedFile, ...] = ()
    fat: FatLimits = FatLimits()
    tar: TarLimits = TarLimits()
    git: GitLimits = GitLimits()
    erofs: ErofsLimits = ErofsLimits()

    @classmethod
    def like(cls, other: str | Profile, **changes: Any) -> Profile:
        """One that is as `other`, a profile or its name, but for `changes`: of limits those that
        differ, by their names (``fat={"names": "ascii"}``). Raises `UsageError`.
        """
        profile = profile_named(other)
        _require_fields(profile, changes)
        for name, change in changes.items():
            limits = getattr(profile, name)
            if isinstance(change, Mapping) and hasattr(limits, "_replace"):
                _require_fields(limits, change)
                changes[name] = limits._replace(**change)
        return profile._replace(**changes)


def _require_fields(value: Any, names: Iterable[str]) -> None:
    for name in names:
        if name not in value._fields:
            rule = f"{type(value).__name__} has no {name}"
            raise UsageError("", rule, f"choose from {', '.join(value._fields)}")


_FLOPPIES = (
    # size, media byte, sectors of a track, heads, root entries, cluster: as DOS formats them
    Medium(1440 << 10, 0xF0, 18, 2, 224, 512),
    Medium(2880 << 10, 0xF0, 36, 2, 240, 1024),
    Medium(1200 << 10, 0xF9, 15, 2, 224, 512),
    Medium(720 << 10, 0xF9, 9, 2, 112, 1024),
    Medium(360 << 10, 0xFD, 9, 2, 112, 1024),
)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="any",
            summary="what every reader accepts, as far as they agree",
            fat=FatLimits(windows=True),
            erofs=ErofsLimits(doubtful_block_sizes=(512, 1024, 2048)),
        ),
        Profile(
            name="mirage",
            summary="MirageOS: tar_kv_ro (tar-mirage 3.3) and fat_ro (fat-filesystem 0.15)",
            formats=("tar", "fat", "git"),
            fat=FatLimits(
                # It takes every volume below 65527 clusters for FAT16, and shows no FAT32.
                types=(16,),
                sector_size=4096,  # reads on devices of 512 and of 4096 bytes a sector
                fats=(2,),
                file_size=2 * GiB - 1,  # its size field is signed
                names="ascii",  # it keeps the low byte of each UTF-16 unit
                exact_short_names=True,
                terminated_long_names=True,
                path_units=1000,  # more was not tried
                label_entry=False,  # it would show as an empty file
                large_file=64 << 20,  # it maps a file whole on each read
            ),
            tar=TarLimits(links=False, extended_header=512, base_256=False, sector_size=4096),
            git=GitLimits(
                executables=False,  # it lists plain files and directories, and nothing else
                symlinks=False,
                object_formats=("sha1",),  # neither docteur nor git-kv knows another
                large_blob=64 << 20,  # it inflates an object whole, in twice its size
            ),
        ),
        Profile(
            name="linux",
            summary="the Linux kernel's vfat and EROFS (6.1), and tar as found on Linux",
            fat=FatLimits(path_units=4095),
            tar=TarLimits(long_padding=True),
        ),
        Profile(
            name="linux-5.10",
            summary="the same of Linux 5.10",
            fat=FatLimits(path_units=4095),
            tar=TarLimits(long_padding=True),
            # Others are read from 6.4 on, and by 6.1.y, into which that came later.
            erofs=ErofsLimits(block_sizes=(4096,)),
        ),
        Profile(
            name="uefi",
            summary="UEFI firmware, such as OVMF",
            formats=("fat",),
            files=(
                WantedFile(
                    path="EFI/BOOT/BOOT*.EFI",
                    purpose="firmware starts it from a medium that it has no boot entry for",
                ),
            ),
            fat=FatLimits(
                preferred_types=(32, 16),  # some firmware, and Windows, take FAT32 alone
                doubtful_types=(12,),  # some firmware cuts long names there
                sector_sizes=(512,),
                names="bmp",  # they are UCS-2
            ),
        ),
        Profile(
            name="nocloud",
            summary="a seed for cloud-init's NoCloud",
            formats=("fat",),
            files=(
                WantedFile(
                    path="user-data",
                    presence="required",
                    syntax="user-data",
                    purpose="cloud-init takes no seed without it",
                ),
                WantedFile(
                    path="meta-data",
                    presence="required",
                    syntax="yaml",
                    expected_keys=("instance-id",),
                    purpose="cloud-init wants this file in every seed, and sees by its instance-id "
                    "whether a machine is new",
                ),
                WantedFile(
                    path="network-config",
                    presence="optional",
                    syntax="yaml",
                    purpose="cloud-init sets up the network by it",
                ),
                WantedFile(
                    path="vendor-data",
                    presence="optional",
                    syntax="user-data",
                    purpose="cloud-init reads it before user-data",
                ),
            ),
            # blkid is asked for both; from util-linux 2.33 on it reads the root directory's alone.
            fat=FatLimits(labels=("CIDATA", "cidata")),
        ),
        Profile(
            name="configdrive",
            summary="a config drive, as OpenStack gives it to cloud-init",
            formats=("fat",),
            files=(
                WantedFile(
                    path="openstack/latest/meta_data.json",
                    presence="required",
                    syntax="json",
                    required_keys=("uuid",),
                    purpose="cloud-init takes no config drive without it, nor without its uuid",
                ),
                WantedFile(
                    path="openstack/latest/user_data",
                    presence="optional",
                    syntax="user-data",
                    purpose="cloud-init runs it",
                ),
                *(
                    WantedFile(
                        path=f"openstack/latest/{name}",
                        presence="optional",
                        syntax="json",
                        purpose="cloud-init gives up on a drive where it is not JSON",
                    )
                    for name in ("network_data.json", "vendor_data.json", "vendor_data2.json")
                ),
            ),
            fat=FatLimits(labels=("config-2",), label_case="keep"),
        ),
        Profile(
            name="raspberrypi",
            summary="the firmware of the Raspberry Pi",
            formats=("fat",),
            files=(
                WantedFile(path="config.txt", purpose="the firmware reads its settings there"),
                WantedFile(
                    path="start*.elf|kernel_2712.img|boot.img",
                    purpose="up to the Raspberry Pi 4, start.elf or start4.elf is the firmware",
                ),
            ),
            fat=FatLimits(
                types=(16, 32),
                preferred_types=(32,),  # some Compute Modules 3 boot from FAT32 alone
                sector_sizes=(512,),
                spare_cluster=True,  # EEPROMs before 2024-01 do not read the last one
                # Firmware of 2020 (Zero) missed lower-case 8.3 names that had long entries and no
                # such bits, that of 2023 (Pi 5) some that had the bits and no long entries.
                lower_case_bits=True,
            ),
        ),
        Profile(
            name="fatfs",
            summary="FatFs, as in ESP-IDF, Zephyr, Mbed and 3D printers",
            formats=("fat",),
            # It shows other long names by their short ones.
            fat=FatLimits(names="cp437", wear_levelling=True),
        ),
        Profile(
            name="mfat",
            summary="mfat, for mkernel's unikernels",
            formats=("fat",),
            fat=FatLimits(
                types=(32,),  # it reads FAT32's fields, whatever the type
                fats=(2,),
                names="bmp",  # it converts UTF-16 unit by unit
                label_entry=False,  # it would take it for a part of the next long name
            ),
        ),
        Profile(
            name="floppy",
            summary="floppy disks, as DOS and Windows format them",
            formats=("fat",),
            fat=FatLimits(
                types=(12,), sector_sizes=(512,), media=_FLOPPIES, fats=(2,), windows=True
            ),
        ),
    )
}
"""All profiles by name."""

for _kind in (Medium, WantedFile, FatLimits, TarLimits, GitLimits, ErofsLimits, Profile):
    checked(_kind)  # from here on: to look at our own would take as long as to make them


def profile_named(profile: str | Profile) -> Profile:
    """The profile of that name; a profile is returned as it is. Raises `UsageError`."""
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise UsageError("", f"there is no profile {profile!r}", f"choose from {known}")
    return PROFILES[profile]
