"""``blockpack build``."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from ..deploy.building.build_state import unchanged
from ..deploy.source.inventory import Inventory
from ..errors import printable
from . import flags
from .output import amount, counted, emit_report, picked, say, say_warnings

if TYPE_CHECKING:
    from ..deploy.building.build import BuildReport
    from ..deploy.host.settings import HostSettings
    from ..deploy.secrets import Secrets

EXAMPLE = "blockpack build --out dist"


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "source")
    flags.value(parser, "--out", "DIST", "directory for the images", required=True)
    flags.repeatable(parser, "--only", "NAME", "build only this volume")
    flags.add(parser, "--jobs", "--executor")
    flags.value(parser, "--depfile", "FILE", "write a rule for Make and Ninja")
    flags.add_secrets(parser)
    flags.add(parser, "--max-size", "--json", "--quiet")


def run(arguments: Namespace) -> int:
    """Build the volumes of a deployment whose inputs changed."""
    asked = arguments.only or arguments.depfile or arguments.json or arguments.key_file
    begun, inventory = time.monotonic(), Inventory(arguments.jobs)
    if not asked and arguments.max_size is None:  # found out before anything slow is imported
        names = unchanged(arguments.source, arguments.out, inventory)
        if names is not None:
            if not arguments.quiet:
                say(_unchanged(len(names), time.monotonic() - begun))
            return 0
    from ..deploy.building.build import build
    from ..deploy.source.open_deployment import open_deployment
    from .progress_bar import progress_bar

    opened = open_deployment(arguments.source, jobs=arguments.jobs, inventory=inventory)
    with opened as deployment, progress_bar(quiet=arguments.quiet) as progress:
        report = build(
            deployment,
            arguments.out,
            only=arguments.only,
            executor=arguments.executor,
            jobs=arguments.jobs,
            depfile=arguments.depfile,
            progress=progress,
            secrets=secrets_of(arguments),
            max_size=arguments.max_size,
        )
    if not arguments.quiet:
        say_warnings(report.told())
    if arguments.json:
        emit_report(as_json(report), "the images are built")
    elif not arguments.quiet:
        _say_summary(report, printable(arguments.out))
    return 0


def secrets_of(arguments: Namespace | HostSettings) -> Secrets | None:
    """How secret volumes are opened and encrypted; None if nothing is said of them."""
    runtime = getattr(arguments, "runtime_dir", None)
    if arguments.identity is None and arguments.key_file is None and runtime is None:
        return None
    from ..deploy.secrets import Secrets

    return Secrets(identity=arguments.identity, key_file=arguments.key_file, runtime=runtime)


def as_json(report: BuildReport) -> dict[str, Any]:
    """The report as JSON values (docs/json.md)."""
    return {
        "name": report.record.name,
        "volumes": [
            {
                **picked(image, "name", "file", "size", "sha256"),
                "outcome": outcome(report, image.name),
            }
            for image in report.record.volumes
        ],
        "removed": list(report.removed),
        "warnings": [{"volume": name, "warning": str(told)} for name, told in report.warnings],
        "seconds": report.seconds,
    }


def outcome(report: BuildReport, name: str) -> str:
    """What became of a volume: ``built``, ``shared``, ``unchanged`` or ``left`` alone."""
    for what in ("built", "shared", "unchanged"):
        if name in getattr(report, what):
            return what
    return "left"


def _say_summary(report: BuildReport, out: str) -> None:
    images = {image.name: image for image in report.record.volumes}
    for image in map(images.__getitem__, report.built):
        shown = "" if image.size is None else f", {amount(image.size)}"
        say(f"{out}/{image.file}: built{shown}")
    for name in report.removed:
        say(f"{out}/{name}: removed")
    if report.unchanged:
        say(_unchanged(len(report.unchanged), report.seconds))


def _unchanged(count: int, seconds: float) -> str:
    return f"{counted(count, 'image')} unchanged, in {seconds:.2f} s"
