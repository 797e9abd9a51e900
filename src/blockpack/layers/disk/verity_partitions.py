"""A partition and its hash tree, as systemd finds them by the root hash alone (the UAPI group's
Discoverable Partitions Specification).

Rule 1: the id of the partition is the first half of the root hash, and that of the tree the second.
Rule 2: types say which belongs to which, and for which architecture: ``root-x86-64`` and
``root-x86-64-verity``; a signature is in one of the type ``root-x86-64-verity-sig``.
"""

from __future__ import annotations

from typing import Unpack

from attrs import evolve

from ...errors import UsageError
from ...planning.layout import Layout
from ...workers.processors import Jobs
from ...workers.sharing import Advance, ignore
from ..verity.signature import Signer
from ..verity.verity import TreeOptions, covered, hash_tree
from .disk import Partition
from .disk_plan import image_layout
from .gpt import NAME_UNITS
from .ids import root_hash_ids
from .partition_types import TYPES, type_name


def verity_partitions(
    partition: Partition,
    *,
    signer: Signer | None = None,
    jobs: Jobs = 1,
    advance: Advance = ignore,
    **options: Unpack[TreeOptions],
) -> tuple[Partition, ...]:
    """The `partition`, with the id that its root hash gives it, and that of its hash tree; with a
    `signer` that of its signature, too. All of its content is read; for the rest see `hash_tree`.

    Raises `UsageError` for a partition of no type that has a tree, without content, with an id, or
    that takes the rest of the disk; and as `hash_tree` does.
    """
    name = type_name(partition.type.guid)
    if f"{name}-verity" not in TYPES:
        known = ", ".join(each for each in TYPES if f"{each}-verity" in TYPES)
        rule = f"no partition with a hash tree has the type {name or partition.type.guid}"
        raise UsageError("", rule, f"give one of {known}")
    content = partition.layout
    if content is None:
        raise UsageError("", "a partition without content has no hash tree", "leave verity out")
    if partition.id is not None:
        rule = "the id of a partition with a hash tree is its root hash's"
        raise UsageError("", rule, "give none")
    if partition.is_filled:
        rule = "what takes the rest of a disk has no hash tree before its size is known"
        raise UsageError("", rule, "give it a size")
    if not isinstance(content, Layout):
        content = image_layout(content, partition.name or name, 512)
    tree = hash_tree(content, jobs=jobs, advance=advance, **options)
    root_hash = str(tree.geometry["root_hash"])
    first, second = root_hash_ids(root_hash)

    def beside(kind: str, data: Layout | bytes, id: str | None) -> Partition:
        own_name = f"{partition.name or name}-{kind}"[:NAME_UNITS]
        return Partition(data, type=f"{name}-{kind}", name=own_name, id=id)

    sealed = evolve(partition, id=first, layout=covered(content))
    found = [sealed, beside("verity", tree, second)]
    if signer is not None:
        found.append(beside("verity-sig", signer.partition(root_hash), None))
    return tuple(found)
