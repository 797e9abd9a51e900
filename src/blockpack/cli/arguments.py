"""The arguments of each subcommand, and the volume and tree that they ask for.

Nothing is imported before it is needed: build hooks start the command often.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from argparse import _ArgumentGroup
    from pathlib import Path

    from ..formats.registry import Format
    from ..model.tree import Tree
    from ..planning.options import Option
    from ..planning.volume import Volume
    from ..workers.processors import Jobs

_SOURCE = "a directory, git:REPO@REV[:SUBDIR], or an fs URL (zip://…)"


def size(text: str) -> int:
    """A number of bytes, with K, M, G or T for powers of 1024."""
    from ..planning.options import parse_size

    try:
        return parse_size(text)
    except UsageError as error:
        raise ArgumentTypeError(str(error)) from None


def entry_text(text: str) -> str:
    """An argument that names entries: UTF-8 as in images, whatever the locale made of it."""
    from ..model.entry import decode

    return decode(os.fsencode(text))


def path(text: str) -> Path:
    """A place on this machine."""
    from pathlib import Path

    return Path(text)


def add_pack(parser: ArgumentParser) -> None:
    """The arguments of ``pack``."""
    parser.add_argument("source", metavar="SOURCE", help=_SOURCE)
    parser.add_argument("image", metavar="IMAGE", help="file or device; '-' is standard output")
    _add_volume(parser)
    _add_json(parser)
    _add_jobs(parser, "processes that write")
    parser.add_argument("--manifest", metavar="FILE", help="write offsets and digests")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    _add_key(parser, "encrypt IMAGE with the key in FILE")
    parser.add_argument("--fsync", action="store_true", help="flush the image to the disk")
    parser.add_argument(
        "--allow-device", action="store_true", help="IMAGE may be a block device; all on it is lost"
    )


def add_plan(parser: ArgumentParser) -> None:
    """The arguments of ``plan``."""
    parser.add_argument("source", metavar="SOURCE", help=_SOURCE)
    _add_volume(parser)
    _add_json(parser)


def add_build(parser: ArgumentParser) -> None:
    """The arguments of ``build``."""
    _add_deployment(parser)
    parser.add_argument("--out", metavar="DIST", required=True, help="where the images go")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="only this volume; may be repeated",
    )
    _add_jobs(parser, "processes that work")
    parser.add_argument(
        "--executor", metavar="E", help="who works instead: dask://HOST:PORT or MODULE:CALLABLE"
    )
    parser.add_argument("--depfile", metavar="FILE", help="write what Make and Ninja need")
    _add_secrets(parser)
    _add_max_size(parser)
    _add_json(parser)
    _add_quiet(parser)


def add_check(parser: ArgumentParser) -> None:
    """The arguments of ``check``."""
    _add_deployment(parser)
    _add_jobs(parser, "processes that read")
    _add_max_size(parser)
    _add_json(parser)
    _add_quiet(parser)


def add_deploy(parser: ArgumentParser) -> None:
    """The arguments of ``deploy``."""
    parser.add_argument("repository", metavar="REPO[@REV]", help="a repository here, a revision")
    parser.add_argument("--to", metavar="ROOT", required=True, help="where generations are")
    parser.add_argument("--keep", type=int, metavar="N", help="remove older generations")
    _add_on_activate(parser)
    _add_secrets(parser)
    parser.add_argument(
        "--runtime-dir",
        metavar="DIR",
        help="in RAM, for secret images that are not encrypted (/run/blockpack)",
    )
    _add_max_size(parser)
    _add_jobs(parser, "processes that work")
    parser.add_argument(
        "--executor", metavar="E", help="who works instead: dask://HOST:PORT or MODULE:CALLABLE"
    )
    _add_json(parser)
    _add_quiet(parser)


def _add_secrets(parser: ArgumentParser) -> None:
    parser.add_argument("--identity", metavar="FILE", help="what opens secrets: of age, or of SSH")
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="encrypt secret volumes with the key in FILE, not fresh ones",
    )


def _add_max_size(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--max-size",
        type=size,
        metavar="SIZE",
        help="refuse volumes whose images would be larger (K, M, G, T)",
    )


def add_secrets(parser: ArgumentParser) -> None:
    """The arguments of ``secrets``."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    encrypt = commands.add_parser("encrypt", help="encrypt files for the manifest's recipients")
    encrypt.add_argument(
        "files", metavar="FILE", nargs="+", help="becomes FILE.age; '-' is standard input"
    )
    encrypt.add_argument("-o", "--output", metavar="FILE.age", help="where that of '-' goes")
    encrypt.add_argument("--remove", action="store_true", help="wipe and remove the plain files")
    encrypt.add_argument("--force", action="store_true", help="replace what is there")
    edit = commands.add_parser("edit", help="edit an encrypted file")
    edit.add_argument("file", metavar="FILE.age")
    rekey = commands.add_parser("rekey", help="encrypt all anew, for the recipients of now")
    for command in (edit, rekey):
        command.add_argument(
            "--identity", metavar="FILE", required=True, help="what opens it: of age, or of SSH"
        )
    for command in (encrypt, edit, rekey):
        command.add_argument(
            "--deployment", metavar="DIR", help="where the manifest is (at or above what is named)"
        )


def add_rollback(parser: ArgumentParser) -> None:
    """The arguments of ``rollback``."""
    _add_root(parser)
    parser.add_argument("--to", type=int, metavar="N", help="this generation (the one before)")
    _add_on_activate(parser)
    _add_quiet(parser)


def add_status(parser: ArgumentParser) -> None:
    """The arguments of ``status``."""
    _add_root(parser)
    parser.add_argument(
        "--diff", nargs=2, type=int, metavar=("OLD", "NEW"), help="how two generations differ"
    )
    _add_json(parser)


def add_gc(parser: ArgumentParser) -> None:
    """The arguments of ``gc``."""
    _add_root(parser)
    parser.add_argument(
        "--keep", type=int, metavar="N", required=True, help="so many of the newest, and the live"
    )
    _add_quiet(parser)


def _add_root(parser: ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="what was deployed to")


def _add_on_activate(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--on-activate", metavar="CMD", help="the shell runs it; if it fails, the switch is undone"
    )


def _add_quiet(parser: ArgumentParser) -> None:
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


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
    parser.add_argument("directory", metavar="DIR", type=path, help="a new or an empty directory")
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


def add_init(parser: ArgumentParser) -> None:
    """The arguments of ``init``."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        default=os.curdir,
        type=path,
        help="this one if left out",
    )
    parser.add_argument("--force", action="store_true", help="replace a manifest that is there")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of manifests, for editors"
    )


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
        "--template", type=path, metavar="NAME.xl.in", help="MirageOS' skeleton, to be filled in"
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


def _add_deployment(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="DIR",
        nargs="?",
        default=os.curdir,
        help="a deployment's directory (this one), or git:REPO@REV",
    )


def _add_image(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="an image, or a device that holds one")
    _add_key(parser, "IMAGE is encrypted with the key in FILE")


def _add_key(parser: ArgumentParser, help: str) -> None:
    parser.add_argument("--key-file", metavar="FILE", help=help)


def _add_jobs(parser: ArgumentParser, help: str) -> None:
    parser.add_argument("--jobs", type=_jobs, metavar="N", default="auto", help=f"{help} (auto)")


def _jobs(text: str) -> Jobs:
    try:
        return "auto" if text == "auto" else int(text)
    except ValueError:
        raise ArgumentTypeError(f"a number, or 'auto'; not {text!r}") from None


def _add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON (docs/json.md)")


def _add_volume(parser: ArgumentParser) -> None:
    """What makes a tree of a source, and a volume of options; None where not given."""
    from ..formats.registry import FORMATS
    from ..planning.options import COMMON, OWN, TREE

    parser.add_argument("--format", choices=FORMATS, help="'.tar' in IMAGE means tar")
    for option in (*COMMON, *TREE):
        _add_option(parser, option)
    for title, own in OWN.items():
        group = parser.add_argument_group(title)
        for option in own:
            _add_option(group, option)


def _add_option(parser: ArgumentParser | _ArgumentGroup, option: Option) -> None:
    how: dict[str, Any] = {"help": option.help, "dest": option.name, "default": option.default}
    if option.kind == "flag":
        how.update(action="store_const", const=True)
    elif option.kind == "choice":
        how.update(choices=option.choices)
    else:
        how.update(metavar=option.metavar)
    if option.kind == "size":
        how.update(type=size)
    if option.kind == "patterns":
        how.update(type=entry_text, action="append", default=[])
    parser.add_argument(option.flag, **how)


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
    from ..planning.options import VOLUME, taken_by

    taken = taken_by(volume_class)
    given: dict[str, Any] = dict(told or {})
    for option in VOLUME:
        value = getattr(arguments, option.name)
        if value is None or option.name in leaving_out:
            continue
        if option not in taken:
            rule = f"{option.flag} is not for the format {volume_class.format}"
            raise UsageError("", rule, "leave it out")
        given[option.name] = _alignment(value) if option.kind == "alignment" else value
    return volume_class(**given)


def _format(arguments: Namespace, format: str | None) -> Format:
    from ..formats.registry import FORMATS, format_named, format_of_file

    name = format or arguments.format
    if name is not None:
        return format_named(name)
    found = format_of_file(getattr(arguments, "image", ""))
    if found is None:
        known = " or ".join(f"--format {name}" for name in FORMATS)
        raise UsageError("", "no format is given, and the image's name tells none", f"give {known}")
    return found


def _alignment(text: str) -> str | int:
    if text == "auto":
        return text
    from ..planning.options import parse_size

    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(f"--align {text}", error.rule, error.remedy) from None


def tree(arguments: Namespace) -> Tree:
    """The tree of the source."""
    from ..sources.scan import scan

    return scan(
        arguments.source,
        exclude=arguments.exclude,
        symlinks=arguments.symlinks,
        submodules=arguments.submodules,
        jobs=getattr(arguments, "jobs", "auto"),
    )
