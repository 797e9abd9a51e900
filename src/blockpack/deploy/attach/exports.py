"""What a deployment has to serve: its images by name, planned, or the images that are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from ...errors import BlockpackError, UsageError, raise_problems
from ...planning.volume import source_date_epoch
from ...serving.export import Servable
from ...workers.processors import Jobs
from ..file_names import MANIFEST, RECORD
from ..host.generations import CURRENT
from ..image_errors import noted
from ..source.open_deployment import open_deployment
from .disks import deployed

Say = Callable[[str], object]
"""Hears what is not served."""


def is_deployment(source: str) -> bool:
    """Whether `source` has a manifest, or images that were built or deployed."""
    has = any(os.path.lexists(os.path.join(source, name)) for name in (MANIFEST, RECORD, CURRENT))
    return source.startswith("git:") or has


@contextmanager
def exports(source: str, say: Say, jobs: Jobs = 1) -> Iterator[Mapping[str, Servable]]:
    """The images of a deployment, as `serve` takes them; of a commit, while this is open.

    Those of a build or of a host are its images. Secret ones are left out, unless they are
    encrypted images. Raises `Problems` with all that cannot be planned, `UsageError` if nothing is
    left, and as `open_deployment` does.
    """
    found: dict[str, Servable] = {}
    with ExitStack() as opened:
        if source.startswith("git:") or os.path.lexists(os.path.join(source, MANIFEST)):
            deployment = opened.enter_context(open_deployment(source, jobs=jobs))
            epoch = source_date_epoch()
            problems: list[BlockpackError] = []
            for name, spec in deployment.manifest.images.items():
                if spec.secret:
                    say(f"{spec.title}: secret, and not served")
                    continue
                with noted(problems, spec.title):
                    found[name] = spec.plan(deployment.tree, epoch=epoch, jobs=jobs)
            raise_problems("this deployment cannot be served", problems)
        else:
            images = deployed(source)
            for error in images.problems:
                say(str(error))
            found |= {disk.name: disk.path for disk in images.disks if not disk.in_clear}
        if not found:
            raise UsageError(source, "has no image to serve", "give a deployment that has")
        yield found
