"""``blockpack disk``."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from attrs import evolve

from ..errors import BlockpackError, EntryError, UsageError, printable, raise_problems
from ..formats.registry import format_named
from ..layers.ccm import encrypt
from ..layers.disk.disk import Disk, Partition, Raw, planned
from ..layers.disk.disk_plan import IMAGE
from ..layers.keys import read_key
from ..planning.layout import Layout
from ..planning.options import ALL, DISK, PARTITION, TREE, Option, key_of, keys, taken_by
from ..sources.scan import scan
from . import flags, target
from .output import say_warnings, spelled
from .outputs import check_outputs, leave_out, outputs_of, say_left_out
from .packing import FormatNames, add_option
from .run import meant

EXAMPLE = "blockpack disk card.img --partition esp=boot:fat --partition web=site:tar"

_OWN = (*keys(PARTITION), "key-file")
"""Keys of partitions; what is not among them is an option of the volume."""

_ARGUMENTS = [option.key for option in PARTITION if option.kind != "flag"]
"""Those that are arguments of `Partition`."""

_OPTIONS = {option.key: option for option in ALL if option.key not in _OWN}

_FLAGS = [each.key for each in (*_OPTIONS.values(), *PARTITION) if each.kind == "flag"]

_NEXT_KEY = re.compile(f",(?=(?:{'|'.join((*_OWN, *_OPTIONS))})=|(?:{'|'.join(_FLAGS)})(?:,|$))")
"""A comma before a key; all others are the source's, or a value's."""

_UNKNOWN_KEY = re.compile(r",([a-z][a-z-]*)=")


class Described(NamedTuple):
    """A partition as ``--partition`` describes it; `values` are those of each key."""

    name: str
    source: str
    format: str
    profile: str
    values: dict[str, list[str]]


def arguments(parser: ArgumentParser) -> None:
    target.add_target(parser)
    flags.repeatable(parser, "--partition", "P", "NAME=SOURCE:FORMAT:PROFILE,KEY=VALUE")
    flags.repeatable(parser, "--raw", "F@N", "put the file F at byte N")
    for option in DISK:
        add_option(parser, option)
    flags.switch(parser, "--plan", "show what would be written, only")
    target.add_options(parser)


def run(arguments: Namespace) -> int:
    if not arguments.plan:
        target.require_writable(arguments)
    described = [parse(text) for text in arguments.partition]
    raws = [_raw(text) for text in arguments.raw]
    files = [each.source for each in described if each.source]
    sources = [*files, *(str(raw.content) for raw in raws)]
    key_files = [key for each in described for key in each.values.get("key-file", ())]
    asked = outputs_of(arguments, "" if arguments.plan else "disk")
    outputs = check_outputs(sources, asked, key_files, allow_device=arguments.allow_device)
    if not arguments.quiet:
        say_left_out(files, outputs, key_files)
    values: dict[str, Any] = {option.name: getattr(arguments, option.name) for option in DISK}
    given = {name: value for name, value in values.items() if value is not None}
    partitions = _partitions(described, arguments, [*outputs, *key_files])
    layout = Disk(partitions=partitions, raw=raws, **given).plan()
    if arguments.plan:
        from . import plan  # slow to import, as digests and maps are

        json, rows = _told(layout)
        plan.show(layout, arguments, ["", *rows], partitions=json)
        return 0
    if not arguments.quiet:
        say_warnings(layout.warnings)
    more: dict[str, Any] = {"partitions": _told(layout)[0]} if arguments.json else {}
    target.write_layout(layout, arguments, **more)
    return 0


def _told(layout: Layout) -> tuple[list[dict[str, Any]], list[str]]:
    """What `info` tells of the partitions: JSON values, and lines."""
    from ..images.open_image import open_image  # slow to import, and seldom needed
    from .info import partition_json, partition_rows

    with open_image(layout) as image:
        return list(map(partition_json, image.partitions)), list(partition_rows(image.partitions))


def parse(text: str) -> Described:
    """A partition as it is described. Raises `UsageError` for a key that there is not."""
    head, *settings = _NEXT_KEY.split(text)
    name, _, whole = head.partition("=")
    source, format, profile = _source(whole)
    unknown = _UNKNOWN_KEY.search(head)
    if unknown is not None and not os.path.lexists(source):
        rule = f"there is no key {unknown[1]!r} of partitions{meant(unknown[1], _OPTIONS)}"
        raise UsageError(text, rule)
    values: dict[str, list[str]] = {}
    for setting in settings:
        key, has_value, value = setting.partition("=")
        if has_value and key in _FLAGS:
            raise UsageError(text, f"{key} has no value", f"give {key} alone, or leave it out")
        values.setdefault(key, []).append(value)
    return Described(name, source, format, profile, values)


def _source(text: str) -> tuple[str, str, str]:
    """Source, which has colons of its own, format and profile of ``SOURCE[:FORMAT[:PROFILE]]``."""
    known = (*FormatNames(), IMAGE)
    head, _, last = text.rpartition(":")
    if head and last in known:
        return head, last, ""
    source, _, format = head.rpartition(":")
    if source and format in known:
        return source, format, last
    return text, IMAGE if os.path.isfile(text) else "", ""


def _raw(text: str) -> Raw:
    file, _, offset = text.rpartition("@")
    if not file:
        raise UsageError(text, "is not FILE@OFFSET", "give the byte at which the file is to lie")
    return Raw(file, offset)


def _partitions(
    described: Iterable[Described], arguments: Namespace, left_out: list[str]
) -> list[Partition]:
    found: list[Partition] = []
    errors: list[BlockpackError] = []
    for each in described:
        try:
            with _errors_of(each):
                partition = _partition(each, arguments, left_out)
                if "verity" not in each.values:
                    found.append(partition)
                    continue
                from ..layers.disk.verity_partitions import verity_partitions  # slow to import

                found += verity_partitions(partition, jobs=arguments.jobs)
        except BlockpackError as error:
            errors += error.errors
    raise_problems("this disk cannot be made", errors)
    return found


@contextmanager
def _errors_of(described: Described) -> Iterator[None]:
    """Have errors name the partition, and options as its keys."""
    try:
        yield
    except BlockpackError as error:
        for part in error.errors:
            name = described.name or described.source
            is_inside = part.path and isinstance(part, EntryError)
            part.path = f"{name}/{part.path}" if is_inside else part.path or f"partition {name}"
            part.settle(_spelled)
        raise


def _spelled(name: str, value: str) -> str:
    """An option of the library as a key of the partition, if it is one."""
    key = key_of(name)
    if key in _FLAGS:
        return key
    return f"{key}={value}" if key in _OPTIONS or key in _OWN else spelled("disk", name, value)


def _partition(described: Described, arguments: Namespace, left_out: list[str]) -> Partition:
    values = described.values
    volume = None
    if described.format != IMAGE and described.source:
        volume = _planned(described, arguments, left_out)
    elif "key-file" in values:
        raise UsageError("", "only what is packed here is encrypted", "leave out key-file")
    elif described.source and (unknown := values.keys() - {*_OWN}):
        raise UsageError("", f"an image is taken as it is, without {min(unknown)}")

    def plan(size: int | None) -> Layout | str | None:
        return volume(size) if volume else described.source or None

    options: dict[str, Any] = {key: values[key][-1] for key in values if key in _ARGUMENTS}
    options["name"] = described.name
    if "flags" in values:
        options["flags"] = "+".join(values["flags"]).split("+")
    fills = volume is not None and "free" not in values
    if fills and "key-file" not in values:  # else it is read to the end
        fills = format_named(described.format).volume_class().fills
    found = planned(plan, options, fills=fills)
    # It is planned again once the disk is.
    return evolve(found, fill=found.fill and _errors_of(described)(found.fill))


def _planned(
    described: Described, arguments: Namespace, left_out: list[str]
) -> Callable[[int | None], Layout]:
    """What plans the volume that is packed for its partition: for so many bytes, or just as many as
    it takes.
    """
    if not described.format:
        rule = f"no format is given for {printable(described.source)}, which is no image file"
        raise UsageError("", rule, "put one behind it, such as ':fat', ':tar' or ':fat:uefi'")
    volume_class = format_named(described.format).volume_class()
    taken = taken_by(volume_class)
    given: dict[str, Any] = {}
    of_tree: dict[str, Any] = {}
    for key, values in described.values.items():
        if key in _OWN:
            continue
        option = _OPTIONS[key]
        if option not in (*taken, *TREE):
            rule = f"{key} is not for the format {described.format}"
            raise UsageError("", rule, "leave it out")
        (of_tree if option in TREE else given)[option.name] = _value(option, values)
    if described.profile:
        given["profile"] = described.profile
    if arguments.sector_size is not None:
        given.setdefault("sector_size", arguments.sector_size)
    volume = volume_class(**given)
    key_files = described.values.get("key-file")
    secret = read_key(key_files[-1]) if key_files else None
    tree = scan(described.source, jobs=arguments.jobs, **of_tree)
    leave_out(tree, described.source, left_out)

    def plan(size: int | None) -> Layout:
        if size is not None and secret is not None:  # which takes two sectors for one
            size = size // (2 * volume.sector_size) * volume.sector_size
        whole = volume if size is None else evolve(volume, size=size)
        layout = whole.plan(tree, jobs=arguments.jobs)
        return layout if secret is None else encrypt(layout, secret)

    return plan


def _value(option: Option, values: list[str]) -> object:
    if option.kind == "patterns":
        return [flags.entry_text(value) for value in values]
    return True if option.kind == "flag" else values[-1]
