"""The volume: a format with its options, and the one thing that it does, `plan`.

What all formats share is here: the options and the rule for times.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from attrs import field, frozen

from ..errors import BlockpackError, EntryError, UsageError, raise_problems, raise_usage
from ..model.entry import EPOCH, NANOSECONDS, Entry
from ..model.limits import MOST, PADDING, SECTOR_SIZES
from ..model.tree import Tree
from ..workers.processors import Jobs
from .layout import Layout, round_up
from .options import optional_size, parse_size
from .profile import PROFILES, Profile, profile_named

Mtime = Literal["fixed", "keep", "clamp"]
"""Times in the image: all alike, the sources' own, or the sources' own but none later."""


def source_date_epoch() -> int:
    """SOURCE_DATE_EPOCH in seconds since 1970; 1980-01-01 if it is unset. Raises `UsageError`."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or str(EPOCH)
    try:
        return int(text)
    except ValueError:
        rule = f"SOURCE_DATE_EPOCH is {text!r}, which is not a number of seconds"
        raise UsageError("", rule, "set it to whole seconds since 1970") from None


@frozen(kw_only=True)
class Volume(ABC):
    """A format with its options.

    Sizes are in bytes, as numbers or as texts such as ``64K`` and ``2G``. `sector_size` is the
    device's. `size` is the image's; without it the image is as small as it can be, with room for
    `free` bytes more. It is a multiple of `pad` bytes. `mtime` says which times the image shows,
    `epoch` (seconds since 1970) is the time of ``fixed`` and the latest of ``clamp``.

    Raises `UsageError` for options that are wrong or do not go together.
    """

    format: ClassVar[str]
    sizing: ClassVar[tuple[str, ...]] = ("size", "free", "pad")
    """The options that say how large an image is and of which type, but not what it shows."""

    root_type: ClassVar[str] = ""
    """The name that Linux has for the file system (``rootfstype=``), if it can be a root."""
    smaller: ClassVar[Mapping[str, int | None]] = {}
    """Options that may cost room, each with the value that costs least if one is known; none where
    planning again takes long."""
    fills: ClassVar[bool] = False
    """Whether an image should fill the partition that it is for, since nothing grows it later."""

    profile: Profile = field(
        default=PROFILES["any"], converter=profile_named, repr=lambda profile: profile.name
    )
    sector_size: int = field(default=512, converter=parse_size)
    size: int | None = field(default=None, converter=optional_size)
    free: int | None = field(default=None, converter=optional_size)
    mtime: Mtime = "fixed"
    epoch: int = field(factory=source_date_epoch)
    pad: int = field(default=PADDING, converter=parse_size)

    def __attrs_post_init__(self) -> None:
        raise_usage(self.refusals())

    def refusals(self) -> Iterator[UsageError]:
        """Which options are wrong, or do not go together."""
        if self.profile.formats:
            yield from self.unread("format", self.profile.formats)
        if self.sector_size not in SECTOR_SIZES:
            rule = f"the sector size is 512 or 4096, not {self.sector_size}"
            yield UsageError("", rule, option="sector_size=512")
            return
        if self.pad < 1 or self.pad % self.sector_size:
            rule = f"padding is a multiple of the sector size {self.sector_size}, not {self.pad}"
            yield UsageError("", rule, option="pad=4096")
        if self.size is not None and self.free is not None:
            yield UsageError("", "give a size or free space, not both")
        if self.size is not None:
            yield from self._size_refused(self.size)
        if self.free is not None and self.free < 0:
            yield UsageError("", f"free space is 0 bytes or more, not {self.free}", option="free=0")
        if max(self.size or 0, self.free or 0, self.pad) > MOST:
            yield UsageError("", f"no file can have more than {MOST:,} bytes", "ask for less")
        if abs(self.epoch) > MOST:
            rule = f"no system has the time {self.epoch}, in seconds since 1970"
            yield UsageError("", rule, "give one of today: {option}", f"epoch={EPOCH}")

    def _size_refused(self, size: int) -> Iterator[UsageError]:
        """Why no image has `size` bytes."""
        if size <= 0 or size % self.sector_size:
            rule = f"the size is a multiple of the sector size {self.sector_size}, not {size}"
            yield UsageError("", rule, option=f"size={_whole(size, self.sector_size)}")

    def unread(
        self, option: str, known: Sequence[object], what: str = "{}", *, best: object = None
    ) -> Iterator[UsageError]:
        """Whether the value of an option is none of those that the profile reads, `known`. `what`
        is what a value is called, with ``{}`` in its place; `best` is advised.
        """
        value = getattr(self, option)
        if value not in known:
            wanted = " or ".join(map(what.format, known))
            rule = f"profile {self.profile.name} reads {wanted}, not {what.format(value)}"
            yield UsageError("", rule, option=f"{option}={best or known[0]}")

    @abstractmethod
    def plan(self, tree: Tree, *, jobs: Jobs = 1) -> Layout:
        """The layout of the image that holds `tree`.

        No file is opened, except by formats whose ids are hashes of contents. `jobs` is the number
        of processes that read then, or ``auto``: as many as pay.

        Raises `Problems` with all that the format or the profile cannot hold.
        """

    @property
    def layer_refused(self) -> UsageError | None:
        """Why no layer, such as encryption, may be around its images; None if one may."""
        return None

    def seconds(self, entry: Entry) -> int:
        """The time of `entry` that the image shows, in seconds since 1970."""
        return self.nanoseconds(entry) // NANOSECONDS

    def nanoseconds(self, entry: Entry) -> int:
        """The same in nanoseconds, for formats that have them."""
        fixed = self.epoch * NANOSECONDS
        if self.mtime == "fixed":
            return fixed
        return entry.mtime_ns if self.mtime == "keep" else min(entry.mtime_ns, fixed)

    def size_for(self, needed: int, problems: Iterable[BlockpackError], refused: str) -> int:
        """`image_size`, if there are no `problems`. Raises them all as `Problems`."""
        found = list(problems)
        size = needed
        try:
            size = self.image_size(needed)
        except EntryError as error:
            found.append(error)
        raise_problems(refused, found)
        return size

    def image_size(self, needed: int) -> int:
        """The length for `needed` bytes, by `size`, `free` and `pad`. Raises `EntryError`."""
        if self.size is None:
            size = round_up(needed + (self.free or 0), self.pad)
            if size > MOST:
                rule = f"the image has {size:,} bytes, more than any file can have"
                raise EntryError("", rule, "leave less room")
            return size
        if needed > self.size:
            rule = f"the tree takes {needed:,} bytes, {needed - self.size:,} more than the size"
            remedy = "give a larger size, or pack less; {option} would do"
            raise EntryError("", rule, remedy, f"size={_whole(needed, self.pad)}")
        return self.size


def _whole(size: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least `size` and not 0."""
    return round_up(max(size, 1), unit)
