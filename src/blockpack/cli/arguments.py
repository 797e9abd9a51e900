"""The arguments of each subcommand, and the volume and tree that they ask for."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import fields

from ..entry import decode
from ..errors import UsageError
from ..formats import FORMATS, Format, format_named, format_of_file

if TYPE_CHECKING:
    from ..tree import Tree
    from ..volume import Volume

_SIZE = re.compile(r"(\d{1,19})([KMGT]?)(i?B)?", re.IGNORECASE)
_POWERS = "KMGT"

VOLUME_OPTIONS = (
    *("profile", "sector_size", "size", "free", "mtime", "pad"),
    *("dialect", "align", "owner", "mode"),
    *("label", "fat_type", "cluster_size"),
    *(
        "container",
        "compression",
        "object_format",
        "message",
        "author",
        "branch",
        "oneffs",
        "history",
    ),
)
"""The volumes' options by the name that arguments and attributes share."""

_FLAGS = {"dialect": "--tar-dialect"}

_SOURCE = "a directory, git:REPO@REV[:SUBDIR], or an fs URL (zip://…)"


def size(text: str) -> int:
    """A number of bytes, with K, M, G or T for powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a size, such as 4096, 64K, 16M or 2G")
    power = _POWERS.index(match[2].upper()) + 1 if match[2] else 0
    return int(match[1]) << 10 * power


def entry_text(text: str) -> str:
    """An argument that names entries: UTF-8 as in images, whatever the locale made of it."""
    return decode(os.fsencode(text))


def add_pack(parser: ArgumentParser) -> None:
    """The arguments of ``pack``."""
    parser.add_argument("source", metavar="SOURCE", help=_SOURCE)
    parser.add_argument("image", metavar="IMAGE", help="file or device; '-' is standard output")
    _add_volume(parser)
    _add_json(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that write")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="write offsets and digests")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--fsync", action="store_true", help="flush the image to the disk")
    parser.add_argument(
        "--allow-device", action="store_true", help="IMAGE may be a block device; all on it is lost"
    )


def add_plan(parser: ArgumentParser) -> None:
    """The arguments of ``plan``."""
    parser.add_argument("source", metavar="SOURCE", help=_SOURCE)
    _add_volume(parser)
    _add_json(parser)


def add_ls(parser: ArgumentParser) -> None:
    """The arguments of ``ls``."""
    _add_image(parser)
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="", type=entry_text, help="only what is there"
    )
    parser.add_argument("-l", "--long", action="store_true", help="mode, size and time as well")
    _add_json(parser)


def add_cat(parser: ArgumentParser) -> None:
    """The arguments of ``cat``."""
    _add_image(parser)
    parser.add_argument("path", metavar="PATH", type=entry_text, help="a file in the image")


def add_extract(parser: ArgumentParser) -> None:
    """The arguments of ``extract``."""
    _add_image(parser)
    parser.add_argument("directory", metavar="DIR", type=Path, help="a new or an empty directory")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def add_info(parser: ArgumentParser) -> None:
    """The arguments of ``info``."""
    _add_image(parser)
    _add_json(parser)


def add_verify(parser: ArgumentParser) -> None:
    """The arguments of ``verify``."""
    _add_image(parser)
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="also compare every byte, name and time"
    )
    _add_volume(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but problems")


def add_attach(parser: ArgumentParser) -> None:
    """The arguments of ``attach``."""
    from ..deploy.attach.names import CONSUMERS

    parser.add_argument(
        "place", metavar="ROOT|DIST", help="what was deployed to, or what was built"
    )
    parser.add_argument(
        "--for",
        dest="consumer",
        required=True,
        choices=CONSUMERS,
        metavar="CONSUMER",
        help=f"what attaches them: {', '.join(CONSUMERS)}",
    )
    parser.add_argument(
        "--writable",
        action="append",
        default=[],
        metavar="NAME",
        help="a volume of DIST that may be written to; may be repeated",
    )
    _add_json(parser)
    xen = parser.add_argument_group("xen")
    xen.add_argument(
        "--template", type=Path, metavar="NAME.xl.in", help="MirageOS' skeleton, to be filled in"
    )
    xen.add_argument("--kernel", metavar="FILE", help="the skeleton's @KERNEL@")
    xen.add_argument("--memory", type=int, metavar="N", help="its @MEMORY@, in MiB")
    xen.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="[NAME=]BRIDGE",
        help="its @NETWORK:NAME@, or all of them; may be repeated",
    )


def _add_image(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image, or a device that holds one")


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")


def _add_volume(parser: ArgumentParser) -> None:
    """What makes a tree of a source, and a volume of options; None where not given."""
    parser.add_argument("--format", choices=FORMATS, help="'.tar' in IMAGE means tar")
    parser.add_argument("--profile", metavar="P", help="who reads it: any, mirage, linux, uefi")
    parser.add_argument("--sector-size", type=size, metavar="N", help="the device's: 512 or 4096")
    parser.add_argument("--size", type=size, metavar="N", help="the image's size (K, M, G)")
    parser.add_argument("--free", type=size, metavar="N", help="room to leave (K, M, G)")
    parser.add_argument("--pad", type=size, metavar="N", help="make it a multiple of this (4096)")
    parser.add_argument("--mtime", choices=("fixed", "keep", "clamp"), help="times to show")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        type=entry_text,
        metavar="PATTERN",
        help="leave out, as in a .gitignore; may be repeated",
    )
    parser.add_argument(
        "--symlinks",
        choices=("error", "follow", "keep", "skip"),
        default="keep",
        help="what becomes of symbolic links (keep)",
    )
    parser.add_argument(
        "--submodules",
        choices=("error", "skip"),
        default="error",
        help="what becomes of submodules in a git source (error)",
    )
    fat = parser.add_argument_group("FAT")
    fat.add_argument("--label", metavar="L", help="up to 11 characters")
    fat.add_argument("--fat-type", choices=("auto", "12", "16", "32"), help="chosen by content")
    fat.add_argument("--cluster-size", type=size, metavar="N", help="512 to 64K; chosen by content")
    tar = parser.add_argument_group("tar")
    tar.add_argument(
        "--tar-dialect",
        dest="dialect",
        choices=("pax", "ustar", "gnu"),
        help="how long names and large numbers are written (pax)",
    )
    tar.add_argument(
        "--align", metavar="N", help="payloads of N bytes or more begin on a multiple of N (auto)"
    )
    tar.add_argument("--owner", metavar="0:0|keep", help="owner of all entries (0:0)")
    tar.add_argument("--mode", choices=("normal", "keep"), help="permission bits (normal)")
    _add_git(parser)


def _add_git(parser: ArgumentParser) -> None:
    git = parser.add_argument_group("git")
    git.add_argument(
        "--container",
        choices=("docteur", "bundle", "pack"),
        help="what is around the pack of objects (docteur)",
    )
    git.add_argument(
        "--compression", metavar="N", help="level of deflating, 0 (store everything) to 9 (auto)"
    )
    git.add_argument("--object-format", choices=("sha1", "sha256"), help="what makes ids (sha1)")
    git.add_argument("--message", metavar="TEXT", help="the commit's message")
    git.add_argument("--author", metavar="'NAME <EMAIL>'", help="the commit's author")
    git.add_argument("--branch", metavar="NAME", help="the branch that is at the commit (main)")
    git.add_argument(
        "--history",
        action="store_const",
        const=True,
        help="with a git: source, all commits before that one as well",
    )
    git.add_argument(
        "--oneffs",
        action="store_const",
        const=True,
        help="wrap a pack for unikernels that keep it in a OneFFS",
    )


def volume(
    arguments: Namespace,
    format: str | None = None,
    *,
    leaving_out: Iterable[str] = (),
    told: Mapping[str, str] | None = None,
) -> Volume:
    """The volume that the arguments ask for, without some of the options. Raises `UsageError`.

    Those that are `told` by an image stand in for some that are left out. Without `format` and
    ``--format`` the image's suffix tells the format.
    """
    volume_class = _format(arguments, format).volume_class()
    known = {field.alias for field in fields(volume_class)}
    given: dict[str, Any] = dict(told or {})
    for option in VOLUME_OPTIONS:
        value = getattr(arguments, option)
        if value is None or option in leaving_out:
            continue
        if option not in known:
            flag = _FLAGS.get(option, f"--{option.replace('_', '-')}")
            raise UsageError(f"{flag} is not for the format {volume_class.format}")
        given[option] = _alignment(value) if option == "align" else value
    return volume_class(**given)


def _format(arguments: Namespace, format: str | None) -> Format:
    name = format or arguments.format
    if name is not None:
        return format_named(name)
    found = format_of_file(getattr(arguments, "image", ""))
    if found is None:
        known = " or ".join(f"--format {name}" for name in FORMATS)
        raise UsageError(f"which format? Give {known}")
    return found


def _alignment(text: str) -> str | int:
    if text == "auto":
        return text
    try:
        return size(text)
    except ArgumentTypeError as error:
        raise UsageError(f"--align: {error}") from None


def tree(arguments: Namespace) -> Tree:
    """The tree of the source."""
    from ..tree import Tree

    return Tree.scan(
        arguments.source,
        exclude=arguments.exclude,
        symlinks=arguments.symlinks,
        submodules=arguments.submodules,
        jobs=getattr(arguments, "jobs", None),
    )
