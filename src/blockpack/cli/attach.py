"""``blockpack attach``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..deploy.attach import consumer_for
from ..deploy.attach.consumer import Consumer
from ..deploy.attach.disks import Disk, deployed
from ..deploy.attach.xl_template import filled_in, network
from ..deploy.manifest.consumers import CONSUMERS
from ..errors import UsageError, raise_problems
from . import flags
from .output import binary_output, emit_json, flush_output, picked, say

_TEMPLATE = "xen"
"""The consumer that has a skeleton to fill in."""

EXAMPLE = "blockpack attach /var/lib/www --for qemu"


def arguments(parser: ArgumentParser) -> None:
    flags.value(parser, "place", "ROOT|DIST", "directory of a deploy or build")
    how = {"dest": "consumer", "required": True, "choices": CONSUMERS}
    flags.value(parser, "--for", "CONSUMER", ", ".join(CONSUMERS), **how)
    flags.repeatable(parser, "--only", "NAME", "attach only this volume")
    flags.repeatable(parser, "--writable", "NAME", "attach this volume of DIST writable")
    flags.add(parser, "--json")
    xen = parser.add_argument_group("xen")
    flags.value(xen, "--template", "FILE", "MirageOS' NAME.xl.in to fill in")
    flags.value(xen, "--kernel", "FILE", "value of @KERNEL@")
    flags.value(xen, "--memory", "N", "value of @MEMORY@, in MiB", type=int)
    bridges = "value of @NETWORK:NAME@ as NAME=BRIDGE, or of all"
    flags.repeatable(xen, "--network", "BRIDGE", bridges)


def run(arguments: Namespace) -> int:
    _check(arguments)
    found = deployed(arguments.place, arguments.writable, arguments.only)
    consumer = consumer_for(arguments.consumer, found)
    if consumer.disks or not consumer.problems:
        _print(arguments, consumer)
        flush_output()
    raise_problems(f"{arguments.consumer} cannot use all of these images", consumer.problems)
    return 0


def _print(arguments: Namespace, consumer: Consumer) -> None:
    lines, warnings = list(consumer.lines()), list(consumer.warnings())
    if arguments.template is not None:
        told = {
            "KERNEL": arguments.kernel and os.path.abspath(arguments.kernel),
            "MEMORY": arguments.memory and str(arguments.memory),
        }
        bridges = dict(map(network, arguments.network))
        text, more = filled_in(Path(arguments.template), consumer, told, bridges)
        lines, warnings = text.splitlines(), [*warnings, *more]
    if arguments.json:
        emit_json(_json(arguments, consumer, lines, warnings))
        return
    for note in (*(f"warning: {warning}" for warning in warnings), *consumer.notes()):
        say(note)
    for line in lines:  # the paths in it are bytes, which come out as they went in
        binary_output().write(os.fsencode(line) + b"\n")


def _check(arguments: Namespace) -> None:
    """Raise `UsageError` for options of a skeleton without a skeleton."""
    if arguments.template is None:
        for option in ("kernel", "memory", "network"):
            if getattr(arguments, option):
                rule = f"--{option} fills in a skeleton"
                raise UsageError("", rule, "give --template NAME.xl.in")
    elif arguments.only:
        raise UsageError("", "a skeleton has all disks of its machine", "leave out --only")
    elif arguments.consumer != _TEMPLATE:
        raise UsageError("", f"--template is for --for {_TEMPLATE}", "leave it out")
    if arguments.memory is not None and arguments.memory < 1:
        raise UsageError("", "--memory is 1 MiB or more", "give more")


def _json(
    arguments: Namespace, consumer: Consumer, lines: list[str], warnings: list[str]
) -> dict[str, Any]:
    return {
        "for": arguments.consumer,
        **picked(consumer.deployed, "name", "live"),
        "volumes": [_volume(disk) for disk in consumer.disks],
        "arguments": consumer.arguments(),
        "lines": lines,
        "notes": list(consumer.notes()),
        "warnings": warnings,
    }


def _volume(disk: Disk) -> dict[str, Any]:
    return {
        **picked(disk, "name", "path", "format", "sector_size"),
        "read_only": not disk.writable,
        **picked(disk, "secret", "cipher", "key"),
        "root_hash": None if disk.verity is None else disk.verity.root_hash,
    }
