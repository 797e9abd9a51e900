"""``blockpack info``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import printable, raise_problems
from ..images.open_image import open_image
from ..layers.disk.record import DISK
from . import flags
from .output import amount, emit, emit_facts, emit_json, picked

if TYPE_CHECKING:
    from ..layers.disk.reader import OpenPartition

EXAMPLE = "blockpack info www.img"

_TITLES = ("#", "name", "type", "start", "size", "content")


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "image", "--key-file", "--json")
    flags.switch(parser, "--digest", "read all of it, for the SHA-256 of it and its tree")


def run(arguments: Namespace) -> int:
    with open_image(arguments.image, key_file=arguments.key_file) as image:
        facts = dict(image.info())
        if image.layer is not None:
            facts |= image.layer.info()
        digests = {}
        if arguments.digest:
            from ..images.contents import contents  # slow to import, as is what digests come from

            found = contents(image)
            digests = {name: found[name] for name in ("sha256", "tree_sha256")}
        if arguments.json:
            told = {"format": image.format, "size": image.size, **digests, "geometry": facts}
            if image.format == DISK.name:
                told["partitions"] = list(map(partition_json, image.partitions))
            emit_json(told)
        else:
            emit_facts(image.format, image.size, {**facts, **digests})
            if image.partitions:
                emit("\n".join(["", *partition_rows(image.partitions)]))
        raise_problems("some of the image cannot be read", image.problems)
    return 0


def partition_json(partition: OpenPartition) -> dict[str, Any]:
    """A partition as JSON values."""
    entry = partition.entry
    return {
        **picked(entry, "number", "name"),
        "type": partition.type,
        "type_id": entry.type,
        **picked(entry, "id", "start", "size"),
        "flags": list(partition.flags),
        "content": partition.content,
        "label": partition.volume_label,
        "path": partition.label if partition.reader is not None else None,
    }


def partition_rows(partitions: Sequence[OpenPartition]) -> Iterator[str]:
    """The table, a partition a line; numbers are aligned to the right."""
    rows = [_TITLES]
    for each in partitions:
        entry = each.entry
        content = f"{each.content} {printable(each.volume_label)}".strip()
        names = printable(entry.name), each.type
        rows.append((str(entry.number), *names, str(entry.start), amount(entry.size), content))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, name, type, start, size, content in rows:
        columns = f"{number:>{widths[0]}}", f"{name:<{widths[1]}}", f"{type:<{widths[2]}}"
        places = f"{start:>{widths[3]}}", f"{size:>{widths[4]}}"
        yield "  ".join([*columns, *places, content]).rstrip()
