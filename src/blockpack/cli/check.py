"""``blockpack check``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from attrs import asdict

from ..deploy.building.check import check
from ..deploy.host.settings import HostSettings
from ..deploy.manifest.consumers import CONSUMERS
from . import flags
from .output import amount, emit, emit_json, say_warnings
from .progress_bar import progress_bar

EXAMPLE = "blockpack check"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "source", "--jobs", "--max-size")
    what = "check for this consumer, not the manifest's"
    flags.repeatable(parser, "--for", "CONSUMER", what, dest="consumers", choices=CONSUMERS)
    flags.value(parser, "--to", "ROOT", "as a deploy to ROOT would: by its host.toml")
    flags.add(parser, "--json", "--quiet")


def run(arguments: Namespace) -> int:
    max_size = arguments.max_size
    if max_size is None and arguments.to is not None:
        max_size = HostSettings.of(arguments.to).max_size
    with progress_bar(quiet=arguments.quiet) as progress:
        checked = check(
            arguments.source,
            jobs=arguments.jobs,
            max_size=max_size,
            consumers=arguments.consumers,
            progress=progress,
        )
    if arguments.json:
        told = [{**asdict(each), "warnings": list(map(str, each.warnings))} for each in checked]
        emit_json({"volumes": told})
    if arguments.json or arguments.quiet:
        return 0
    for volume in checked:
        say_warnings(f"{volume.title}: {warning}" for warning in volume.warnings)
    for volume in checked:
        size = "secret" if volume.size is None else amount(volume.size)
        emit(f"{volume.name:<16} {volume.format:<4} {size:>12}")
    return 0
