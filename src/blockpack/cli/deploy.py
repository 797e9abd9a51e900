"""``blockpack deploy``."""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentParser, Namespace
from typing import Any

from ..deploy.host.rollout import DeployReport, deploy
from ..deploy.host.settings import HostSettings
from ..errors import BlockpackError, UsageError, printable
from ..planning.options import key_of
from ..sources.git.address import Address
from . import build as built
from . import flags
from .output import amount, emit_report, picked, say, say_error, say_warnings
from .progress_bar import progress_bar

_OUTCOMES = {
    "deployed": "is live",
    "activated": "is live again",
    "unchanged": "is live already",
    "held": "stays live, because it was rolled back to; "
    "deploy another commit, or 'rollback --to N'",
}

_SETTINGS = "keep", "on_activate", "identity", "key_file", "runtime_dir", "max_size", "jobs"
"""What is saved in host.toml, beside the repository and its revision."""

EXAMPLE = "blockpack deploy www.git@main --to /var/lib/www --keep 3 --save"


def arguments(parser: ArgumentParser) -> None:
    what = "local repository and revision (default HEAD)"
    flags.value(parser, "repository", "REPO[@REV]", what, nargs="?")
    flags.value(parser, "--to", "ROOT", "directory for generations of images", required=True)
    flags.switch(parser, "--save", "save these options in ROOT/host.toml, for next time")
    flags.value(parser, "--keep", "N", "remove all but the newest N that passed", type=int)
    flags.add(parser, "--on-activate")
    flags.add_secrets(parser)
    flags.value(
        parser, "--runtime-dir", "DIR", "in RAM, for images of secrets in clear (/run/blockpack)"
    )
    flags.add(parser, "--max-size")
    flags.add(parser, "--jobs", default=None)
    flags.add(parser, "--executor", "--json", "--quiet")


def run(arguments: Namespace) -> int:
    if not arguments.to:
        raise UsageError("", "--to is empty", "give the directory to deploy to")
    repository = revision = None
    if arguments.repository is not None:
        repository, revision = _address(arguments.repository)
    own = {name: getattr(arguments, name) for name in _SETTINGS}
    given = HostSettings(repository=repository, revision=revision, **own)
    saved = HostSettings.of(arguments.to)
    if given.repository not in (None, saved.repository):  # with which the revision goes
        saved = HostSettings(revision="HEAD").over(saved)
    settings = given.over(saved)
    if settings.repository is None:
        raise UsageError("", "there is no repository to deploy", "give REPO, and --save it")
    try:
        with progress_bar(quiet=arguments.quiet) as progress:
            report = deploy(
                settings.repository,
                settings.revision or "HEAD",
                arguments.to,
                keep=settings.keep,
                on_activate=settings.on_activate or None,
                executor=arguments.executor,
                jobs=settings.jobs or "auto",
                progress=progress,
                secrets=built.secrets_of(settings),
                max_size=settings.max_size,
            )
        if arguments.save:
            settings.write(arguments.to)
    except BlockpackError as error:
        say_error(error, "deploy")
        if not isinstance(error, UsageError):
            say(f"to try again: {_command(arguments, given)}")
        return error.exit_code
    if not arguments.quiet:
        say_warnings(report.build.told() if report.build else ())
        if report.damaged is not None:
            say(f"warning: built again: {report.damaged}")
        if report.left is not None:
            say(f"warning: an older generation cannot be removed: {report.left}")
        if not arguments.json:
            say(_summary(report))
    if arguments.json:
        emit_report(_json(report), f"generation {report.generation.number} is live")
    return 0


def _address(text: str) -> tuple[str, str | None]:
    """The parts of ``REPO[@REV]``; a directory with an ``@`` in its name is all of it."""
    if os.path.isdir(text) or "@" not in text:
        return text, None
    address = Address.parse(f"git:{text}")
    return address.repository, address.revision + (f":{address.subdir}" if address.subdir else "")


def _command(arguments: Namespace, given: HostSettings) -> str:
    """The command that does again what this one was to do, wherever it is run."""
    words = ["blockpack", "deploy"]
    if given.repository is not None:
        words.append(given.repository + (f"@{given.revision}" if given.revision else ""))
    words += ["--to", os.path.abspath(arguments.to)]
    for name in _SETTINGS:
        if (value := getattr(given, name)) is not None:
            words += [f"--{key_of(name)}", str(value)]
    if arguments.executor is not None:
        words += ["--executor", arguments.executor]
    if arguments.save:
        words.append("--save")
    return printable(shlex.join(words))


def _json(report: DeployReport) -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "generation": report.generation.number,
        "path": str(report.generation.path),
        "commit": report.commit,
        "build": None if report.build is None else built.as_json(report.build),
        "removed": list(report.removed),
        **picked(report, "left", "damaged", "seconds"),
    }


def _summary(report: DeployReport) -> str:
    generation = report.generation
    parts = [f"{printable(str(generation.path))} {_OUTCOMES[report.outcome]}"]
    if report.build is not None:
        images = report.build.record.volumes
        new = [image for image in images if image.name in report.build.built]
        size = sum(image.size or 0 for image in new)
        told = f" ({amount(size)})" if size else ""  # not of secret images
        parts.append(f"{len(new)} built{told}, {len(report.build.shared)} shared")
    if report.removed:
        parts.append(f"{len(report.removed)} removed")
    return ", ".join(parts)
