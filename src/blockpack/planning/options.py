"""The options of volumes, trees and disks, by the names that the command line and manifests share.

Which options a format takes is for its volume's class to say, and so is which values they have;
here is how each is written. On the command line an option is ``--KEY``, in a manifest ``KEY =``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from attrs import AttrsInstance

Kind = Literal["size", "size or word", "choice", "number", "text", "texts", "flag", "patterns"]
"""How a value is written: a size; a size or one of the choices; one of these alone; a number or a
word; any text; several; present or not; patterns."""

_SIZE = r"(?ai)(\d{1,19})([KMGT]?)(i?B)?"
_POWERS = "KMGT"


def parse_size(size: Size) -> int:
    """A number of bytes; in a text, with K, M, G or T for powers of 1024. Raises `UsageError`."""
    if isinstance(size, int) and not isinstance(size, bool):
        return size
    match = re.fullmatch(_SIZE, size.strip()) if isinstance(size, str) else None
    if match is None:
        raise UsageError("", f"{size!r} is not a size", "give one such as 4096, 64K, 16M or 2G")
    power = _POWERS.index(match[2].upper()) + 1 if match[2] else 0
    return int(match[1]) << 10 * power


Size = Annotated[int | str, parse_size, "a size such as 4096, 64K, 16M or 2G"]
"""A number of bytes, or a text that is one."""


def optional_size(size: Size | None) -> int | None:
    """The same for an option that may be left out."""
    return None if size is None else parse_size(size)


class Option(NamedTuple):
    """One option.

    `name` is that of the volume's attribute, `metavar` stands for a value, `meaning` says what it
    does in a few words, and `words` are the choices. `default` is the value that a tree's option
    has if it is not given; a volume's own, mostly the first word, is for its class to say.
    `spelling` is how it is written, where that is not its name.
    """

    # A tuple, and no class of attrs: those take longer to make than to parse a command line.
    name: str
    kind: Kind
    metavar: str | None
    meaning: str
    words: str = ""
    default: str | None = None
    spelling: str | None = None

    @property
    def help(self) -> str:
        """What it does; with the words and the default, where the meaning ends in a colon."""
        if self.meaning[-1] != ":":
            return self.meaning
        *others, last = self.choices
        return f"{self.meaning} {', '.join(others)} or {last} ({self.default or self.choices[0]})"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be, if it is one of some."""
        return tuple(self.words.split())

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
        "profile",
        "text",
        "P",
        "reader of the image: any, mirage, linux, linux-5.10, uefi, nocloud, "
        "configdrive, raspberrypi, fatfs, mfat or floppy (any)",
    ),
    Option("sector_size", "size", "N", "sector size of the device: 512 or 4096"),
    Option("size", "size", "N", "size of the image (K, M, G)"),
    Option("free", "size", "N", "free space to leave (K, M, G)"),
    Option("pad", "size", "N", "make the size a multiple of N (4096)"),
    Option("mtime", "choice", "T", "times of entries:", "fixed keep clamp"),
)
"""What every format takes."""

TREE = (
    Option("exclude", "patterns", "PATTERN", "leave files out, as in .gitignore; repeatable"),
    Option("symlinks", "choice", "HOW", "symbolic links:", "error follow keep skip", "keep"),
    Option("submodules", "choice", "HOW", "submodules of a git source:", "error skip", "error"),
)
"""What makes a tree of a source, whatever the format."""

SOME = (
    Option("label", "text", "L", "label of a FAT or EROFS: 11 characters, 15 bytes"),
    Option("owner", "text", "0:0|keep", "owner of all entries (0:0)"),
    Option("mode", "choice", "M", "permission bits:", "normal keep"),
)
"""What several formats take, and not all."""

FAT = (
    Option("label_case", "choice", "C", "case of the label:", "upper keep"),
    Option("fat_type", "choice", "T", "12, 16, 32 or auto: by content (auto)", "auto 12 16 32"),
    Option("cluster_size", "size", "N", "bytes of a cluster, 512 to 64K (by content)"),
    Option("fats", "choice", "N", "number of allocation tables:", "2 1"),
    Option("wear_levelling", "flag", None, "frame it for flash, as ESP-IDF does"),
)

TAR = (
    Option("dialect", "choice", "D", "rules for long names:", "pax ustar gnu", None, "tar-dialect"),
    Option(
        "align",
        "size or word",
        "N",
        "start files of N bytes or more at multiples of N (auto)",
        "auto",
    ),
    Option("erofs", "flag", None, "make it an EROFS file system, too"),
)

EROFS = (
    Option("block_size", "size", "N", "bytes of a block: 4096, 2048, 1024 or 512 (4096)"),
    Option("inline", "choice", "I", "ends of files by their inodes:", "auto off"),
)

GIT = (
    Option("container", "choice", "C", "around the pack:", "docteur bundle pack"),
    Option(
        "compression", "choice", "N", "level from 0 (none) to 9 (auto)", "auto 0 1 2 3 4 5 6 7 8 9"
    ),
    Option("object_format", "choice", "H", "hash of ids:", "sha1 sha256"),
    Option("message", "text", "TEXT", "message of the commit"),
    Option("author", "text", "WHO", "author of the commit, 'NAME <EMAIL>'"),
    Option("branch", "text", "NAME", "branch that points to the commit (main)"),
    Option("history", "flag", None, "include all earlier commits of a git: source"),
    Option("oneffs", "flag", None, "wrap the pack in a OneFFS, for some unikernels"),
)

OWN = {"FAT": FAT, "EROFS": EROFS, "tar": TAR, "git": GIT}
"""What only one format takes, under its title."""

VOLUME = (*COMMON, *SOME, *(option for own in OWN.values() for option in own))
"""All options of volumes."""

ALL = (*VOLUME, *TREE)
"""All options."""

DISK = (
    Option("table", "choice", "T", "gpt, mbr, hybrid (gpt)", "gpt mbr hybrid"),
    Option("size", "size", "N", "size of the disk (K, M, G)"),
    Option("pad", "size", "N", "a multiple of N (4K)"),
    Option("sector_size", "size", "N", "512 or 4096 (512)"),
    Option("align", "size", "N", "begin partitions at multiples (1M)"),
    Option("entries", "number", "N", "room in a GPT (128)"),
    Option("entries_at", "size", "N", "byte of a GPT's entries"),
    Option("id", "text", "ID", "GUID, or 0x1234abcd (from the plan)"),
)
"""The options of a disk."""

PARTITION = (
    Option("type", "number", "T", "what it is for: a name, a GUID, or a byte of an MBR"),
    Option("size", "size or word", "N", "size, or what is left (by content)", "rest"),
    Option("offset", "size", "N", "byte where it begins (behind the one before)"),
    Option("flags", "texts", "F", "names or numbers of attributes"),
    Option("id", "text", "ID", "GUID (from the plan)"),
    Option("verity", "flag", None, "one more partition, with its hash tree"),
)
"""The options of a partition, beside its name."""


def require_choice(option: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise `UsageError` unless `value` is one of `choices`."""
    if value not in choices:
        raise not_one_of(option, value, choices)


def not_one_of(option: str, value: object, choices: tuple[object, ...]) -> UsageError:
    """That the value of an option is none of the `choices`."""
    rule = f"invalid {option.replace('_', ' ')} {value!r}"
    return UsageError("", rule, f"give one of {', '.join(map(str, choices))}")


def number_or_word(value: str | int) -> Any:
    """A choice as a number, if it is one."""
    return int(value) if re.fullmatch("[0-9]{1,9}", str(value)) else value


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
    is_bare = value.isdigit() or (value.isalpha() and value.isupper())  # a number, or any value
    shown = value if is_bare else f'"{value}"' if value else "true"
    return f"{key_of(name)} = {shown}"


def keys(options: Iterable[Option]) -> tuple[str, ...]:
    """How the options are written."""
    return tuple(option.key for option in options)
