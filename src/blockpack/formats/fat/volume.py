"""The FAT volume: its options, and what speaks against them and their tree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from attrs import Factory, evolve, field, frozen

from ...arguments import checked
from ...errors import BlockpackError, EntryError, Problems, UsageError, problems, raise_problems
from ...model.entry import name_of
from ...model.limits import SECTOR_SIZES
from ...model.tree import Tree
from ...planning.layout import Layout, LayoutWarning
from ...planning.options import number_or_word, optional_size, parse_size
from ...planning.profile import FIXED_DISK, FatLimits, LabelCase, Medium
from ...planning.volume import Volume
from ...planning.wanted_files import lacking, matching
from ...workers.processors import Jobs
from . import boot_sector, flash_frame, names
from .geometry import choose, cluster_sizes
from .plan import FatPlan
from .survey import Survey

FatType = Literal["auto"] | int


def _label(label: str) -> str:
    """A label; empty for none. Raises `UsageError`."""
    if label and not boot_sector.is_label(label):
        wanted = 'printable ASCII characters, none of "*+,./:;<=>?[\\]|, no space at either end'
        raise UsageError("", f"invalid label {label!r}", f"give 1 to 11 {wanted}")
    return label


def _by(choose: Callable[[FatLimits], Any]) -> Any:
    """The default that the limits of the volume's profile give."""
    return Factory(lambda volume: choose(volume.profile.fat), takes_self=True)


@checked
@frozen(kw_only=True)
class FatVolume(Volume):
    """A FAT file system as an image, without a partition table.

    `sector_size` is the logical sector, in bytes; the default is the profile's. `label` has up
    to 11 characters; they become capitals unless `label_case` is ``keep``. `fat_type` (12, 16, 32)
    and `cluster_size` (bytes) are chosen by the content if not given. `fats` is the number of
    allocation tables. With `wear_levelling` the image is framed as ESP-IDF has it in flash, and its
    `size` is the partition's.
    """

    format: ClassVar[str] = "fat"
    sizing: ClassVar[tuple[str, ...]] = (
        *Volume.sizing,
        "fat_type",
        "cluster_size",
        "fats",
        "wear_levelling",
    )

    smaller: ClassVar[Mapping[str, int | None]] = {"cluster_size": 512, "fat_type": None}
    fills: ClassVar[bool] = True

    wear_levelling: bool = False
    sector_size: int = field(converter=parse_size)
    size: int | None = field(
        default=_by(lambda fat: next((medium.size for medium in fat.media), None)),
        converter=optional_size,
    )
    label: str = field(default=_by(lambda fat: next(iter(fat.labels), "")), converter=_label)
    label_case: LabelCase = field(default=_by(lambda fat: fat.label_case))
    fat_type: FatType = field(default="auto", converter=number_or_word)
    cluster_size: int | None = field(default=None, converter=optional_size)
    fats: int = field(default=_by(lambda fat: fat.fats[0]), converter=number_or_word)

    @sector_size.default
    def _profile_sector_size(self) -> int:
        return flash_frame.SECTOR if self.wear_levelling else self.profile.fat.sector_size

    def __attrs_post_init__(self) -> None:
        if self.label_case == "upper":
            object.__setattr__(self, "label", self.label.upper())
        super().__attrs_post_init__()

    def refusals(self) -> Iterator[UsageError]:
        """Which options are wrong, or do not go together, or are nothing for the profile."""
        limits = self.profile.fat
        if limits.media and (self.medium not in limits.media or self.free is not None):
            known = ", ".join(f"{medium.size >> 10}K" for medium in limits.media)
            rule = f"profile {self.profile.name} reads media of {known}, and no other sizes"
            if self.medium not in limits.media:
                yield UsageError("", rule, option=f"size={limits.media[0].size}")
            if self.free is not None:
                yield UsageError("", rule, "leave free space out")
        else:
            yield from super().refusals()
        if limits.labels and self.label not in limits.labels:
            known = " or ".join(limits.labels)
            rule = f"profile {self.profile.name} reads volumes labelled {known}, not {self.label!r}"
            keeps = self.label_case != limits.label_case == "keep"
            remedy, option = ("", "label_case=keep") if keeps else ("leave the label out", "")
            yield UsageError("", rule, remedy, option)
        if self.sector_size in SECTOR_SIZES:
            yield from self.unread("sector_size", limits.sector_sizes, "sectors of {} bytes")
            sizes = cluster_sizes(self.sector_size, self.medium)  # none for sectors it has not
            if sizes and self.cluster_size not in (None, *sizes):
                rule = f"{self.cluster_size} is not a cluster size"
                yield UsageError("", rule, f"give one of {', '.join(map(str, sizes))}")
        if self.fat_type != "auto":
            yield from self.unread("fat_type", limits.types, "FAT{}", best="auto")
        yield from self.unread("fats", limits.fats, "a FAT count of {}")
        if self.wear_levelling and not limits.wear_levelling:
            rule = f"profile {self.profile.name} reads no frame of wear levelling"
            yield UsageError("", rule, option="profile=fatfs")

    def _size_refused(self, size: int) -> Iterator[UsageError]:
        """Why no image has `size` bytes, with its frame."""
        return flash_frame.refusals(size) if self.wear_levelling else super()._size_refused(size)

    @property
    def medium(self) -> Medium:
        """What the image is of."""
        media = self.profile.fat.media
        return next((medium for medium in media if medium.size == self.size), FIXED_DISK)

    def plan(self, tree: Tree, *, jobs: Jobs = 1) -> Layout:
        """The layout of the file system that holds `tree`; of its files only those are opened that
        the profile's reader has to understand. Raises `Problems` with all that cannot be held.
        """
        if self.wear_levelling:
            return self._framed(tree)
        survey = Survey.of(self, tree, label_entry=self.has_label_entry)
        lacks = list(lacking(self.profile, tree))
        found = [*survey.problems, *(each for each in lacks if isinstance(each, BlockpackError))]
        refused = "this tree does not fit a FAT file system"
        if self.profile.files:
            refused += f" for profile {self.profile.name}"
        try:
            geometry = choose(survey)
        except EntryError as error:
            raise problems(refused, [*found, error]) from None
        raise_problems(refused, found)
        survey.warnings += (each for each in lacks if isinstance(each, LayoutWarning))
        survey.warnings += self._doubts(geometry.bits, tree)
        return FatPlan(self, survey, geometry).layout(tree.forkable)

    def _framed(self, tree: Tree) -> Layout:
        """The layout with the frame of wear levelling. Raises as `plan` does."""
        size = None if self.size is None else flash_frame.room(self.size)
        inner = evolve(self, wear_levelling=False, size=size, pad=flash_frame.SECTOR)
        try:
            layout = inner.plan(tree)
        except Problems as group:
            raise Problems(group.args[0], list(map(self._with_frame, group.errors))) from None
        size = self.size or flash_frame.partition_size(layout.size, self.pad)
        serial = str(layout.geometry["serial"]).replace("-", "")
        return flash_frame.framed(layout, size, int(serial, 16))

    def _with_frame(self, error: BlockpackError) -> BlockpackError:
        """An error whose remedy, if it is a size, has room for the frame."""
        name, _, size = error.option.partition("=")
        if name != "size":
            return error
        path, rule, remedy, _ = error.args
        return EntryError(path, rule, remedy, f"size={flash_frame.partition_size(int(size), 1)}")

    def _doubts(self, bits: int, tree: Tree) -> Iterator[LayoutWarning]:
        """What some of the profile's readers have against this type of FAT."""
        limits = self.profile.fat
        if bits not in limits.doubtful_types:
            return
        sound = (f"FAT{each}" for each in limits.types if each not in limits.doubtful_types)
        better = " or ".join(sound)
        text = f"some of the profile's readers have trouble with FAT{bits}; {better} suits better"
        yield LayoutWarning("", "doubtful-type", text)
        for file in (file for each in self.profile.files for file in matching(each, tree)):
            if not names.is_short(name_of(file.path).upper()):
                text = f"some of the profile's readers cut names to 8.3 on FAT{bits}, and miss it"
                yield LayoutWarning(file.path, "cut-name", text)

    @property
    def padded_label(self) -> bytes:
        """The label's 11 bytes; empty for none."""
        return self.label.ljust(11).encode("ascii") if self.label else b""

    @property
    def has_label_entry(self) -> bool:
        """Whether the root directory has an entry for the label."""
        return bool(self.label) and self.profile.fat.label_entry
