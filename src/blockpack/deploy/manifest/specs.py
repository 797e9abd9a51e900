"""What a manifest asks for: the images, the volumes that are in them, and what those are made of.

An image is that of one volume, or of a disk: a partition table around several. Whoever builds,
shares, checks or attaches images asks both kinds the same: which `trees` are in it, what else tells
it from others (`facts`), how its consumers see it (`device`), and its layout (`plan`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from attrs import evolve, field, frozen

from ...errors import BlockpackError, SourceError, raise_problems
from ...formats.registry import FORMATS
from ...layers.disk.disk import Disk, Partition, Raw, planned
from ...layers.disk.verity_partitions import verity_partitions
from ...layers.verity.hash_tree import HASH_BLOCK
from ...layers.verity.verity import verity
from ...model.entry import EPOCH, File
from ...model.tree import Tree
from ...planning.layout import Layout
from ...planning.volume import Volume
from ...sources.options import Submodules, Symlinks
from ...workers.processors import Jobs
from .. import exposure
from ..file_names import DISK
from ..image_errors import Titled, noted
from .consumers import Device

Value = str | int | bool
"""What an option has; a size is in bytes."""


@frozen
class Part:
    """One source of a tree.

    `path` is in the deployment's tree; empty for all of it. `at` is where in the volume it goes:
    what a directory holds, or a file itself; empty for the volume's root.
    """

    path: str
    at: str = ""


@frozen(kw_only=True)
class TreeSpec:
    """A tree of parts. `exclude`, `symlinks` and `submodules` are as in `Tree.scan`; what is
    encrypted in a `secret` one is decrypted while it is built. `name` is what messages call it.
    """

    name: str
    parts: tuple[Part, ...]
    exclude: tuple[str, ...] = ()
    symlinks: Symlinks = "keep"
    submodules: Submodules = "error"
    secret: bool = False

    @property
    def dated(self) -> bool:
        """Whether an image shows the times of its sources."""
        return False


TreeOf = Callable[[TreeSpec], "Tree"]
"""Gives the tree that a spec stands for, opened if it is secret. Raises `BlockpackError`."""


@frozen(kw_only=True)
class VolumeSpec(TreeSpec, Titled):
    """One ``[volumes.NAME]`` table.

    `options` are the keyword arguments of the format's volume class that the manifest gives, or
    that its consumers ask for; sizes in bytes. `cipher` encrypts the image, and `allow_persistent`
    lets that of a secret volume without one be written to a disk. With `verity` a hash tree is
    behind it. `image` tells whether it has an image of its own.
    """

    format: str
    options: Mapping[str, Value] = field(factory=dict)
    cipher: str | None = None
    allow_persistent: bool = False
    verity: bool = False
    image: bool = True

    @property
    def key(self) -> object:
        """What tells it from all else that is on a disk."""
        return self.name, self.options.get("size")

    @property
    def volumes(self) -> tuple[VolumeSpec, ...]:
        """The volumes that are in the image."""
        return (self,)

    @property
    def trees(self) -> tuple[TreeSpec, ...]:
        """All trees that the image is made of."""
        return (self,)

    @property
    def dated(self) -> bool:
        """Whether an image shows the times of its sources."""
        return self.options.get("mtime", "fixed") != "fixed"

    @property
    def profile(self) -> str:
        """The name of the profile that it is made for."""
        return volume_of(self.format, **self.options).profile.name

    @property
    def facts(self) -> tuple[object, ...]:
        """What the image depends on beside what its trees hold."""
        return (
            *(self.format, zlib.ZLIB_RUNTIME_VERSION if self.format == "git" else ""),
            *(dict(sorted(self.options.items())), [part.at for part in self.parts]),
            *(self.exclude, self.symlinks, self.submodules, self.secret, self.cipher, self.verity),
        )

    @property
    def least_size(self) -> int:
        """Bytes that the image has at least before it is encrypted, whatever is in it."""
        volume = volume_of(self.format, **self.options)
        return volume.size if volume.size is not None else max(volume.free or 0, volume.pad)

    @property
    def fills(self) -> bool:
        """Whether it is to be as large as the partition that it is in."""
        is_sized = {"size", "free"} & {*self.options}
        return FORMATS[self.format].volume_class().fills and not is_sized

    def filling(self, size: object) -> VolumeSpec:
        """The volume as it is in a partition of `size` bytes."""
        if not (self.fills and isinstance(size, int)):
            return self
        return evolve(self, options={**self.options, "size": size})

    def plan(self, tree_of: TreeOf, *, epoch: int, jobs: Jobs = 1) -> Layout:
        """The layout of the image; `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's.

        Raises `BlockpackError` with all that cannot be packed.
        """
        tree = tree_of(self)
        layout = volume_of(self.format, **self.options, epoch=epoch).plan(tree, jobs=jobs)
        if self.verity:
            layout = verity(layout, jobs=jobs)
        if self.secret:
            return layout
        return evolve(layout, warnings=(*layout.warnings, *exposure.warnings(tree)))

    def device(self) -> Device:
        """The image as its consumers see it."""
        volume = volume_of(self.format, **self.options)
        size = HASH_BLOCK if self.verity else volume.size or volume.pad
        return Device(
            name=self.name,
            format=self.format,
            profile=volume.profile.name,
            sector_size=volume.sector_size,
            size=size if self.cipher is None else 2 * size,  # format/ccm: two sectors for one
            container=getattr(volume, "container", None),
            secret=self.secret,
            cipher=self.cipher,
        )


def volume_of(format: str, /, **options: Any) -> Volume:
    """The volume of such options, independent of SOURCE_DATE_EPOCH but for `epoch`. Raises
    `UsageError`.
    """
    return FORMATS[format].volume_class()(**{"epoch": EPOCH, **options})


@frozen(kw_only=True)
class FileSpec(TreeSpec):
    """A file of the tree, by its `name` there, that is taken as it is: a finished image, or a raw
    piece of a disk.
    """

    facts: ClassVar[tuple[object, ...]] = ()
    least_size: ClassVar[int] = 0

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"file {self.name}"

    @property
    def key(self) -> object:
        """What tells it from all else that is on a disk."""
        return self.name

    def plan(self, tree_of: TreeOf, *, epoch: int, jobs: Jobs = 1) -> File:
        """The file. Raises `BlockpackError`, also for what is none."""
        found = tree_of(self).get(self.name)
        if not isinstance(found, File):
            raise SourceError(self.name, "is not a file", "name a file")
        return found


@frozen(kw_only=True)
class PartitionSpec:
    """One partition of a disk: what is in it, if anything is, and the arguments of `Partition`; and
    whether one with its hash tree comes after it.
    """

    content: VolumeSpec | FileSpec | None = None
    options: Mapping[str, Any] = field(factory=dict)
    verity: bool = False

    @property
    def least_size(self) -> int:
        """Bytes that it has at least, whatever is in it."""
        size = self.options.get("size")
        own = 0 if self.content is None else self.content.least_size
        return size if isinstance(size, int) else own

    def partitions(
        self, layout_of: Callable[[VolumeSpec | FileSpec], Layout | File], jobs: Jobs
    ) -> tuple[Partition, ...]:
        """The partition, of what `layout_of` plans, and that of its hash tree."""
        content = self.content

        def plan(size: int | None) -> Layout | File | None:
            if content is None:
                return None
            return layout_of(content.filling(size) if isinstance(content, VolumeSpec) else content)

        fills = isinstance(content, VolumeSpec) and content.fills
        partition = planned(plan, self.options, fills=fills)
        return verity_partitions(partition, jobs=jobs) if self.verity else (partition,)


@frozen(kw_only=True)
class RawSpec:
    """A file at byte `offset` of a disk, beside all partitions."""

    content: FileSpec
    offset: int


@frozen(kw_only=True)
class DiskSpec(Titled):
    """One ``[disks.NAME]`` table; `options` are the arguments of `Disk` that it gives. It is secret
    as a whole if a volume in it is, and lies on a disk only if all those may.
    """

    name: str
    partitions: tuple[PartitionSpec, ...]
    raws: tuple[RawSpec, ...] = ()
    options: Mapping[str, Any] = field(factory=dict)

    format: ClassVar[str] = DISK  # type: ignore[misc]  # of all others one
    profile: ClassVar[str] = "any"
    cipher: ClassVar[None] = None

    @property
    def trees(self) -> tuple[VolumeSpec | FileSpec, ...]:
        """All that the image is made of, each once."""
        found = [each.content for each in self.partitions]
        found += (each.content for each in self.raws)
        return tuple({each.key: each for each in found if each is not None}.values())

    @property
    def volumes(self) -> tuple[VolumeSpec, ...]:
        """The volumes that are in the image."""
        return tuple(each for each in self.trees if isinstance(each, VolumeSpec))

    @property
    def secret(self) -> bool:
        """Whether a volume in it is."""
        return any(volume.secret for volume in self.volumes)

    @property
    def allow_persistent(self) -> bool:
        """Whether it may lie on a disk in the clear, if it is secret."""
        return all(volume.allow_persistent for volume in self.volumes if volume.secret)

    @property
    def facts(self) -> tuple[object, ...]:
        """What the image depends on beside what its trees hold."""
        numbers = {each.key: number for number, each in enumerate(self.trees)}
        partitions = []
        for each in self.partitions:
            number = each.content and numbers[each.content.key]
            partitions.append((dict(sorted(each.options.items())), number, each.verity))
        raws = [(numbers[raw.content.key], raw.offset) for raw in self.raws]
        trees = [each.facts for each in self.trees]
        return self.format, dict(sorted(self.options.items())), partitions, raws, trees

    @property
    def least_size(self) -> int:
        """Bytes that the image has at least, whatever is in it."""
        given = self.options.get("size")
        return sum(each.least_size for each in self.partitions) if given is None else int(given)

    def plan(self, tree_of: TreeOf, *, epoch: int, jobs: Jobs = 1) -> Layout:
        """The layout of the image; `epoch` (seconds since 1970) is SOURCE_DATE_EPOCH's.

        Raises `BlockpackError` with all that cannot be packed, also `Problems` of several volumes.
        """
        layouts: dict[object, Layout | File] = {}
        errors: list[BlockpackError] = []

        def layout_of(spec: VolumeSpec | FileSpec) -> Layout | File:
            if spec.key not in layouts:
                layouts[spec.key] = spec.plan(tree_of, epoch=epoch, jobs=jobs)
            return layouts[spec.key]

        for each in self.trees:
            with noted(errors, each.title):
                layout_of(each)
        raise_problems("this disk cannot be made", errors)

        partitions: list[Partition] = []
        for number, spec in enumerate(self.partitions, 1):
            try:
                partitions += spec.partitions(layout_of, jobs)
            except BlockpackError as error:
                for part in error.errors:
                    part.path = part.path or f"partition {number}"
                errors += error.errors
        raise_problems("this disk cannot be made", errors)
        raws = [Raw(cast(File, layouts[raw.content.key]), offset=raw.offset) for raw in self.raws]
        return Disk(partitions=partitions, raw=raws, **self.options).plan()

    def device(self) -> Device:
        """The image as its consumers see it."""
        disk = Disk(partitions=(), **self.options)
        return Device(
            name=self.name,
            format=self.format,
            profile=self.profile,
            sector_size=disk.sector_size,
            size=disk.size or disk.pad,
            secret=self.secret,
        )


ImageSpec = VolumeSpec | DiskSpec
"""What an image is made of."""
