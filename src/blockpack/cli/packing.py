"""What is packed, and into what: the options of trees and volumes, and what they ask for."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import UsageError, raise_usage
from ..formats.registry import FORMATS, Format, format_named, format_of_file, formats
from ..model.tree import Tree
from ..planning.layout import Layout
from ..planning.options import COMMON, OWN, SOME, TREE, VOLUME, Option, parse_size, taken_by
from ..planning.profile import PROFILES
from ..planning.volume import Volume
from ..workers.processors import Jobs
from . import flags


class FormatNames(Iterable[str]):
    """The names of all formats; other packages are asked where none of ours is meant."""

    def __contains__(self, name: object) -> bool:
        return name in FORMATS or name in {format.name for format in formats()}

    def __iter__(self) -> Iterator[str]:
        return iter(FORMATS)


def add_options(parser: ArgumentParser, default_format: str = "") -> None:
    """What makes a tree of a source, and a volume of options; None where not given.

    `default_format` says which format is taken without ``--format``.
    """
    image = parser.add_argument_group("image")
    *names, last = FORMATS
    what = f"{', '.join(names)} or {last}{default_format}"
    image.add_argument("--format", metavar="F", choices=FormatNames(), help=what)
    for title, options in {"image": (*COMMON, *SOME), "source": TREE, **OWN}.items():
        group = image if title == "image" else parser.add_argument_group(title)
        for option in options:
            add_option(group, option)


def add_option(group: ArgumentParser | _ArgumentGroup, option: Option) -> None:
    """An option of what is made; None, or the option's default, where it is not given."""
    how: dict[str, Any] = {"help": option.help, "dest": option.name, "default": option.default}
    if option.kind == "flag":
        how.update(action="store_const", const=True)
    else:
        how.update(metavar=option.metavar)
    if option.kind == "choice":
        how.update(choices=option.choices)
    if option.kind == "size":
        how.update(type=flags.told(parse_size))
    if option.kind == "number":
        how.update(type=lambda text: int(text) if text.isdecimal() else text)
    if option.kind == "patterns":
        how.update(type=flags.entry_text, action="append", default=[])
    group.add_argument(option.flag, **how)


def volume(
    arguments: Namespace,
    format: str | None = None,
    *,
    leaving_out: Iterable[str] = (),
    told: Mapping[str, str | bool] | None = None,
) -> Volume:
    """The volume that the arguments ask for. Options that are `told` by an image stand in for some
    that are left out; without `format` and ``--format`` the image's suffix tells the format, or a
    profile that reads one alone. Raises `UsageError`.
    """
    volume_class = _format(arguments, format).volume_class()
    taken = taken_by(volume_class)
    given: dict[str, Any] = dict(told or {})
    foreign = []
    for option in VOLUME:
        value = getattr(arguments, option.name)
        if value is None or option.name in leaving_out:
            continue
        if option not in taken:
            rule = f"{option.flag} is not for the format {volume_class.format}"
            foreign.append(UsageError("", rule, "leave it out"))
        given[option.name] = value
    raise_usage(foreign)
    return volume_class(**given)


def _format(arguments: Namespace, format: str | None) -> Format:
    name = format or arguments.format
    if name is not None:
        return format_named(name)
    found = format_of_file(getattr(arguments, "image", ""))
    profile = PROFILES.get(arguments.profile or "")
    if profile is not None and len(profile.formats) == 1:
        return format_named(profile.formats[0])
    if found is None:
        known = " or ".join(f"--format {name}" for name in FORMATS)
        raise UsageError("", "no format is given", f"give {known}")
    return found


def layout(volume: Volume, arguments: Namespace, left_out: Iterable[str] = ()) -> Layout:
    """The layout of the source's tree, without the files `left_out`."""
    return volume.plan(tree(arguments, left_out), jobs=getattr(arguments, "jobs", "auto"))


def tree(arguments: Namespace, left_out: Iterable[str] = ()) -> Tree:
    """The source's tree, without the files `left_out`, and with what the command adds to it."""
    # Late, for who verifies an image alone needs neither.
    from ..sources.scan import scan
    from .outputs import leave_out

    jobs: Jobs = getattr(arguments, "jobs", "auto")
    found: Tree = scan(
        arguments.source,
        exclude=arguments.exclude,
        symlinks=arguments.symlinks,
        submodules=arguments.submodules,
        jobs=jobs,
    )
    leave_out(found, arguments.source, left_out)
    if complete := getattr(arguments, "complete", None):
        complete(found, arguments)
    return found
