"""``blockpack deploy``."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import Any

from ..deploy.host.rollout import DeployReport, deploy
from ..errors import UsageError, printable
from ..sources.git.address import Address
from . import build as built
from . import flags
from .output import amount, emit_report, say
from .progress_bar import progress_bar

_OUTCOMES = {
    "deployed": "is live",
    "activated": "is live again",
    "unchanged": "is live already",
    "held": "stays live, for it was rolled back to; deploy another commit, or roll forward",
}


EXAMPLE = "blockpack deploy www.git@main --to /var/lib/www --keep 3"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "repository", metavar="REPO[@REV]", help="local repository and revision (default HEAD)"
    )
    parser.add_argument(
        "--to", metavar="ROOT", required=True, help="directory for generations of images"
    )
    parser.add_argument(
        "--keep", type=int, metavar="N", help="remove all but the newest N generations"
    )
    flags.add_on_activate(parser)
    flags.add_secrets(parser)
    parser.add_argument(
        "--runtime-dir",
        metavar="DIR",
        help="in RAM, for images of secrets in clear (/run/blockpack)",
    )
    flags.add_max_size(parser)
    flags.add_jobs(parser, "number of processes")
    flags.add_executor(parser)
    flags.add_json(parser)
    flags.add_quiet(parser)


def run(arguments: Namespace) -> int:
    """Make a commit the live generation."""
    if not arguments.to:
        raise UsageError("", "--to is empty", "give the directory to deploy to")
    repository, revision = _address(arguments.repository)
    with progress_bar(quiet=arguments.quiet) as progress:
        report = deploy(
            repository,
            revision,
            arguments.to,
            keep=arguments.keep,
            on_activate=arguments.on_activate,
            executor=arguments.executor,
            jobs=arguments.jobs,
            progress=progress,
            secrets=built.secrets_of(arguments),
            max_size=arguments.max_size,
        )
    if not arguments.quiet:
        for name, warning in report.build.warnings if report.build else ():
            say(f"warning: volume {name}: {warning}")
        if report.left is not None:
            say(f"warning: an older generation cannot be removed: {report.left}")
        if not arguments.json:
            say(_summary(report))
    if arguments.json:
        emit_report(_json(report), f"generation {report.generation.number} is live")
    return 0


def _address(text: str) -> tuple[str, str]:
    """The parts of ``REPO[@REV]``; a directory with an ``@`` in its name is all of it."""
    if os.path.isdir(text) or "@" not in text:
        return text, "HEAD"
    address = Address.parse(f"git:{text}")
    return address.repository, address.revision + (f":{address.subdir}" if address.subdir else "")


def _json(report: DeployReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "generation": report.generation.number,
        "path": str(report.generation.path),
        "commit": report.commit,
        "build": None if report.build is None else built.as_json(report.build),
        "removed": list(report.removed),
        "left": report.left,
        "seconds": report.seconds,
    }


def _summary(report: DeployReport) -> str:
    generation = report.generation
    parts = [f"{printable(str(generation.path))} {_OUTCOMES[report.outcome]}"]
    if report.build is not None:
        images = report.build.record.volumes
        new = [image for image in images if image.name in report.build.built]
        size = sum(image.size or 0 for image in new)
        parts.append(f"{len(new)} built ({amount(size)}), {len(report.build.shared)} shared")
    if report.removed:
        parts.append(f"{len(report.removed)} removed")
    return ", ".join(parts)
