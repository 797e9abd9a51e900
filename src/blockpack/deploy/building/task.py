"""One image: from its spec to files in a directory where builds put what is not yet whole.

A task is a value that any process can be given, on this machine or on another one that sees the
same files.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from typing import Any

from attrs import frozen

from ...errors import BlockpackError
from ...images.contents import manifest
from ...planning.layout import Layout, LayoutWarning
from ...workers.processors import Jobs
from ...writing.progress import SILENT, Meter
from ...writing.targets import target_errors
from ...writing.write import write, write_bytes
from ..file_names import IMAGE, PLACEMENTS
from ..image_errors import out_of_memory
from ..manifest.specs import ImageSpec
from ..record import HashTreeRecord, ImageRecord
from ..source.deployment import Deployment, Reopen
from .limit import require_within


@frozen
class Task:
    """An image to be made in the directory `staging`, which is there.

    `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's, whatever the environment of the process
    that does it. `jobs` processes write. `max_size` (bytes) is the largest image that is allowed.
    """

    reopen: Reopen
    spec: ImageSpec
    staging: str
    epoch: int
    jobs: Jobs = 1
    max_size: int | None = None


@frozen
class Built:
    """An image that was made, and what a user should hear of."""

    record: ImageRecord
    warnings: tuple[LayoutWarning, ...]


@frozen
class Refused:
    """What is wrong with an image that cannot be planned."""

    error: BlockpackError


def plan(task: Task, deployment: Deployment) -> Layout:
    """The layout of the image. Raises `BlockpackError` with all that cannot be packed, and
    `EntryError` if it is larger than is allowed.
    """
    layout = task.spec.plan(deployment.tree, epoch=task.epoch, jobs=task.jobs)
    require_within(task.spec, layout.size, task.max_size)
    return layout


def make(task: Task, layout: Layout, meter: Meter) -> Built:
    """Write the image and its placements; all of it is written, and then read for its digests:
    `meter` counts both. Raises `SourceError` and `TargetError`.
    """
    spec = task.spec
    names = spec.name + IMAGE, spec.name + PLACEMENTS
    image, placements = (os.path.join(task.staging, name) for name in names)
    write(layout, image, progress=meter.part(), jobs=task.jobs, private=True)
    with target_errors(image), open(image, "rb") as file:
        found = manifest(layout, file, progress=meter.part())
    # An entry a line: in one piece it takes twice the time.
    entries = ",\n".join(f"    {json.dumps(entry)}" for entry in found["entries"])
    head = json.dumps({name: found[name] for name in found if name != "entries"}, indent=2)
    text = f'{head[:-2]},\n  "entries": [\n{entries}\n  ]\n}}\n'
    write_bytes(text.encode("ascii"), placements, private=True)
    digests = {name: found[name] for name in ("sha256", "tree_sha256")}
    record = image_record(spec, layout, size=layout.size, placements=names[1], **digests)
    return Built(record, layout.warnings)


def image_record(spec: ImageSpec, layout: Layout, **more: Any) -> ImageRecord:
    """What the record says of an image of that layout."""
    container = layout.geometry.get("container")
    return ImageRecord(
        name=spec.name,
        file=spec.name + IMAGE,
        format=spec.format,
        profile=spec.profile,
        sector_size=layout.sector_size,
        container=None if container is None else str(container),
        verity=HashTreeRecord.of(layout.geometry),
        **more,
    )


def perform(task: Task) -> Built | Refused:
    """Plan and make the image: all of a task. Raises `BlockpackError` if it cannot be made."""
    try:
        with ExitStack() as opened:
            try:
                deployment = opened.enter_context(task.reopen(task.jobs))
                layout = plan(task, deployment)
            except BlockpackError as error:
                return Refused(error)
            return make(task, layout, SILENT)
    except MemoryError:
        raise out_of_memory() from None
