"""Planning what is in a partition together with it: its content for its size, and its hash tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from ...model.entry import File
from ...planning.layout import Layout
from ...planning.options import parse_size
from ...workers.processors import Jobs
from .disk import Partition
from .disk_plan import REST
from .partition_types import implied_type

Plan = Callable[[int | None], Layout | File | str | None]
"""Gives a content as large as it has to be, or of as many bytes as its partition has."""


def planned(
    plan: Plan, options: Mapping[str, Any], *, fills: bool, verity: bool, jobs: Jobs
) -> tuple[Partition, ...]:
    """The partition of what `plan` gives, and with `verity` that of its hash tree.

    `options` are arguments of `Partition`; without a type among them it has the one that its name
    or content implies. `fills` tells that the content is to be as large as the partition is.
    Raises `BlockpackError`.
    """

    def partition(size: int | None) -> Partition:
        content = plan(size)
        title = content.title if isinstance(content, Layout) else ""
        implied = implied_type(options.get("name", ""), title)
        return Partition(content, **{"type": implied, **options})

    size = options.get("size")
    given = None if size in (None, REST) or not fills else parse_size(size)
    found = evolve(partition(given), fill=partition if fills else None)
    if not verity:
        return (found,)
    from .verity_partitions import verity_partitions  # slow to import

    return verity_partitions(found, jobs=jobs)
