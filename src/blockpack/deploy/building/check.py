"""`check`: what is wrong with a deployment, and how large its images would be; nothing is written.

It goes as far as a build does before that writes, so what passes here fails there only for want of
room, or if a file cannot be read. Secrets stay closed: of a secret volume it is known only whether
all that is committed is encrypted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from ...errors import BlockpackError, EntryError, raise_problems
from ...planning.layout import LayoutWarning
from ...planning.options import Size
from ...planning.volume import source_date_epoch
from ...workers.processors import Jobs
from ...writing.progress import Meter, Progress
from ..image_errors import Titled, noted
from ..manifest.parser import Manifest
from ..manifest.specs import ImageSpec
from ..secrets.opening import require_encrypted
from ..secrets.redact import redacted
from ..source.deployment import Deployment
from ..source.open_deployment import open_deployment
from .limit import limit_of, require_within
from .task import Task, plan

UNSEEN = LayoutWarning("", "secret", "not opened by check")
"""The warning of a secret volume."""


@frozen(kw_only=True)
class CheckedVolume(Titled):
    """An image that can be built, of a volume or a disk; `size` in bytes, None for a secret one."""

    name: str
    format: str
    size: int | None
    warnings: tuple[LayoutWarning, ...] = ()


def check(
    source: str | os.PathLike[str],
    *,
    jobs: Jobs = 1,
    max_size: Size | None = None,
    consumers: Sequence[str] = (),
    progress: Callable[[Progress], object] | None = None,
) -> tuple[CheckedVolume, ...]:
    """Plan all images of the deployment `source`, a directory or ``git:REPO@REV``.

    `jobs` processes read directories. Volumes whose images would have more than `max_size` bytes
    are refused; of secret ones it is known how much room the manifest asks for, and no more.
    They are for `consumers`, or else for what the manifest names: what those cannot use is refused,
    and what a user should hear of is among the warnings. `progress` is called after each volume.

    Raises `SourceError` if there is no manifest, and `Problems` with all that is wrong with it, or
    else with all that the volumes cannot hold.
    """
    limit = limit_of(max_size)
    epoch = source_date_epoch()
    checked: list[CheckedVolume] = []
    errors: list[BlockpackError] = []
    with open_deployment(source, jobs=jobs) as deployment:
        manifest = deployment.manifest
        if consumers:
            manifest = Manifest.parse(deployment.text, deployment.manifest_file, consumers)
        hints = list(manifest.hints())
        meter = Meter("checking", len(manifest.images), progress, "volumes")
        for spec in manifest.images.values():
            # Errors of a secret image name it already.
            with noted(errors, "" if spec.secret else spec.title):
                volume = _checked(deployment, spec, epoch, jobs, limit)
                texts = [text for name, text in hints if name == spec.name]
                told = (LayoutWarning("", "consumer", text) for text in texts)
                checked.append(evolve(volume, warnings=(*volume.warnings, *told)))
            meter.advance()
        meter.finish()
    raise_problems("this deployment cannot be built", errors)
    return tuple(checked)


def _checked(
    deployment: Deployment, spec: ImageSpec, epoch: int, jobs: Jobs, max_size: int | None
) -> CheckedVolume:
    if spec.secret:
        redacted(spec, lambda: require_within(spec, spec.least_size, max_size), EntryError)
        for volume in spec.volumes:
            if volume.secret:
                require_encrypted(deployment, volume)
        return CheckedVolume(name=spec.name, format=spec.format, size=None, warnings=(UNSEEN,))
    # Nothing is made, so nowhere.
    layout = plan(Task(deployment.reopened(), spec, os.devnull, epoch, jobs, max_size), deployment)
    return CheckedVolume(
        name=spec.name, format=spec.format, size=layout.size, warnings=layout.warnings
    )
