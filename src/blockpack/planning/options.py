"""The options of volumes and trees, by the names that the command line and manifests share.

Which options a format takes is for its volume's class to say, and so is which values they have;
here is how each is written. On the command line an option is ``--KEY``, in a manifest ``KEY =``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from attrs import AttrsInstance

Kind = Literal["size", "alignment", "choice", "number", "text", "flag", "patterns"]
"""How a value is written: a size; a size or ``auto``; one of the choices; a number or a word; any
text; present or not; patterns."""

_SIZE = r"(?ai)(\d{1,19})([KMGT]?)(i?B)?"
_POWERS = "KMGT"


def parse_size(size: int | str) -> int:
    """A number of bytes; in a text, with K, M, G or T for powers of 1024. Raises `UsageError`."""
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    match = re.fullmatch(_SIZE, size.strip()) if isinstance(size, str) else None
    if match is None:
        raise UsageError("", f"{size!r} is not a size", "give one such as 4096, 64K, 16M or 2G")
    power = _POWERS.index(match[2].upper()) + 1 if match[2] else 0
    return int(match[1]) << 10 * power


def optional_size(size: int | str | None) -> int | None:
    """The same for an option that may be left out."""
    return None if size is None else parse_size(size)


class Option(NamedTuple):
    """One option.

    `name` is that of the volume's attribute, `help` what it does in a few words. `metavar` stands
    for a value. `default` is the value that a tree's option has if it is not given; a volume's own
    is for its class to say. `spelling` is how it is written, where that is not its name.
    """

    # A tuple, and no class of attrs: those take longer to make than to parse a command line.
    name: str
    kind: Kind
    help: str
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    default: str | None = None
    spelling: str | None = None

    @property
    def key(self) -> str:
        """How it is written in a manifest, and after two dashes."""
        return self.spelling or self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """How it is written on a command line."""
        return f"--{self.key}"


COMMON = (
    Option(
        name="profile",
        kind="text",
        metavar="P",
        help="what reads it: any, mirage, linux or uefi (any)",
    ),
    Option(name="sector_size", kind="size", metavar="N", help="the device's: 512 or 4096"),
    Option(name="size", kind="size", metavar="N", help="the image's size (K, M, G)"),
    Option(name="free", kind="size", metavar="N", help="room to leave (K, M, G)"),
    Option(name="pad", kind="size", metavar="N", help="make it a multiple of this (4096)"),
    Option(
        name="mtime",
        kind="choice",
        metavar="T",
        choices=("fixed", "keep", "clamp"),
        help="times to show: fixed, keep or clamp (fixed)",
    ),
)
"""What every format takes."""

TREE = (
    Option(
        name="exclude",
        kind="patterns",
        metavar="PATTERN",
        help="leave out, as in .gitignore; may be repeated",
    ),
    Option(
        name="symlinks",
        kind="choice",
        metavar="HOW",
        choices=("error", "follow", "keep", "skip"),
        default="keep",
        help="symbolic links: error, follow, keep or skip (keep)",
    ),
    Option(
        name="submodules",
        kind="choice",
        metavar="HOW",
        choices=("error", "skip"),
        default="error",
        help="submodules of a git source: error or skip (error)",
    ),
)
"""What makes a tree of a source, whatever the format."""

FAT = (
    Option(name="label", kind="text", metavar="L", help="up to 11 characters"),
    Option(
        name="fat_type",
        kind="choice",
        metavar="T",
        choices=("auto", "12", "16", "32"),
        help="12, 16 or 32; by content if auto (auto)",
    ),
    Option(name="cluster_size", kind="size", metavar="N", help="512 to 64K (by content)"),
)

TAR = (
    Option(
        name="dialect",
        spelling="tar-dialect",
        kind="choice",
        metavar="D",
        choices=("pax", "ustar", "gnu"),
        help="long names by pax, ustar or gnu rules (pax)",
    ),
    Option(
        name="align",
        kind="alignment",
        metavar="N",
        help="files of N bytes or more begin at one of N (auto)",
    ),
    Option(name="owner", kind="text", metavar="0:0|keep", help="owner of all entries (0:0)"),
    Option(
        name="mode",
        kind="choice",
        metavar="M",
        choices=("normal", "keep"),
        help="permission bits: normal or keep (normal)",
    ),
)

GIT = (
    Option(
        name="container",
        kind="choice",
        metavar="C",
        choices=("docteur", "bundle", "pack"),
        help="docteur, bundle or pack (docteur)",
    ),
    Option(
        name="compression",
        kind="number",
        metavar="N",
        help="level, 0 (store everything) to 9 (auto)",
    ),
    Option(
        name="object_format",
        kind="choice",
        metavar="H",
        choices=("sha1", "sha256"),
        help="ids by sha1 or sha256 (sha1)",
    ),
    Option(name="message", kind="text", metavar="TEXT", help="the commit's message"),
    Option(name="author", kind="text", metavar="WHO", help="its author, 'NAME <EMAIL>'"),
    Option(
        name="branch",
        kind="text",
        metavar="NAME",
        help="the branch that is at the commit (main)",
    ),
    Option(
        name="history",
        kind="flag",
        help="with a git: source, all commits before it as well",
    ),
    Option(
        name="oneffs",
        kind="flag",
        help="a pack in a OneFFS, as some unikernels keep it",
    ),
)

OWN = {"FAT": FAT, "tar": TAR, "git": GIT}
"""What only one format takes, under its title."""

VOLUME = (*COMMON, *FAT, *TAR, *GIT)
"""All options of volumes."""

ALL = (*VOLUME, *TREE)
"""All options."""


def taken_by(volume_class: type[AttrsInstance]) -> tuple[Option, ...]:
    """The options that volumes of this class take."""
    from attrs import fields

    known = {field.alias for field in fields(volume_class)}
    return tuple(option for option in VOLUME if option.name in known)


def key_of(name: str) -> str:
    """How the option that the library calls `name` is written elsewhere."""
    return next((option.key for option in ALL if option.name == name), name.replace("_", "-"))


def as_key(name: str, value: str) -> str:
    """An option of the library as a line of a manifest."""
    is_bare = value.isdigit() or value.isupper()  # a number, or a word that stands for a value
    shown = value if is_bare else f'"{value}"' if value else "true"
    return f"{key_of(name)} = {shown}"


def keys(options: Iterable[Option]) -> tuple[str, ...]:
    """How the options are written."""
    return tuple(option.key for option in options)
