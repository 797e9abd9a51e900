"""Profiles: what the consumers of images accept, as data.

A profile is a set of limits, each with its reason. Volumes ask the profile; no code anywhere
asks for a profile's name. See docs/profiles.md for the readers behind them.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from ..errors import UsageError

GiB = 1 << 30
"""Bytes in a gibibyte."""

Names = Literal["unicode", "bmp", "ascii"]
"""The characters in a long name: all of Unicode, those of one UTF-16 unit, or ASCII."""


@frozen(kw_only=True)
class FatLimits:
    """What a reader of FAT accepts. Sizes are in bytes."""

    types: tuple[int, ...] = (12, 16, 32)
    sector_sizes: tuple[int, ...] = (512, 4096)
    sector_size: int = 512
    file_size: int = 4 * GiB - 1
    names: Names = "unicode"
    path_units: int = 256
    """UTF-16 units in a path: Windows' 260 less a drive letter and the final NUL."""
    exact_short_names: bool = False
    """Names that look like 8.3 names are looked up by their short names alone."""
    terminated_long_names: bool = False
    """Every long name ends in a NUL, even where that takes one more directory entry."""
    label_entry: bool = True
    """Whether the label may stand in the root directory (it always is in the boot sector)."""
    windows: bool = False
    """Whether Windows may read it, so that names of its devices are worth a warning."""
    large_file: int | None = None
    """Files from this size on are worth a warning, for the reader holds them in memory."""


@frozen(kw_only=True)
class TarLimits:
    """What a reader of tar accepts. Sizes are in bytes."""

    links: bool = True
    """Whether symbolic and hard links are understood."""
    extended_header: int | None = None
    """The longest payload of an extended header (pax or GNU)."""
    base_256: bool = True
    """Whether numbers too large for octal may be written in base 256 (GNU)."""
    sector_size: int = 512
    """The largest sector of its devices: it does not read a shorter tail."""
    long_padding: bool = False
    """Whether padding may have extended headers of more than 512 bytes, so that none of it need be
    an entry ``./``, which gives the directory that is extracted into its mode."""


@frozen(kw_only=True)
class GitLimits:
    """What a reader of git objects accepts. Sizes are in bytes."""

    executables: bool = True
    """Whether files may have the mode of an executable one."""
    symlinks: bool = True
    """Whether symbolic links are understood."""
    object_formats: tuple[str, ...] = ("sha1", "sha256")
    """The hashes that make ids."""
    large_blob: int | None = None
    """Files from this size on are worth a warning, for the reader holds them in memory."""


@frozen(kw_only=True)
class Profile:
    """One consumer's limits."""

    name: str
    summary: str
    fat: FatLimits = field(factory=FatLimits)
    tar: TarLimits = field(factory=TarLimits)
    git: GitLimits = field(factory=GitLimits)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="any",
            summary="what every reader accepts, as far as they agree",
            fat=FatLimits(windows=True),
        ),
        Profile(
            name="mirage",
            summary="MirageOS: tar_kv_ro (tar-mirage 3.3) and fat_ro (fat-filesystem 0.15)",
            fat=FatLimits(
                # It takes every volume below 65527 clusters for FAT16, and shows no FAT32.
                types=(16,),
                sector_size=4096,  # reads on devices of 512 and of 4096 bytes a sector
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
            summary="the Linux kernel's vfat, and tar as found on Linux",
            fat=FatLimits(path_units=4095),
            tar=TarLimits(long_padding=True),
        ),
        Profile(
            name="uefi",
            summary="UEFI firmware, such as OVMF",
            # The firmware reads 512-byte sectors, and names of UCS-2 characters only.
            fat=FatLimits(sector_sizes=(512,), names="bmp"),
        ),
    )
}
"""All profiles by name."""


def profile_named(profile: str | Profile) -> Profile:
    """The profile of that name; a profile is returned as it is. Raises `UsageError`."""
    if isinstance(profile, Profile):
        return profile
    if not isinstance(profile, str) or profile not in PROFILES:
        known = ", ".join(PROFILES)
        raise UsageError("", f"there is no profile {profile!r}", f"choose from {known}")
    return PROFILES[profile]
