"""The EROFS volume: its options, and what speaks against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from attrs import field, frozen

from ...arguments import checked
from ...errors import UsageError
from ...model.limits import SECTOR_SIZES
from ...model.tree import Tree
from ...planning.layout import Layout, LayoutWarning
from ...planning.options import not_one_of, parse_size
from ...planning.posix_volume import PosixVolume
from ...workers.processors import Jobs
from .plan import ErofsPlan
from .structures import BLOCK_SIZES
from .survey import Survey

INLINE_BELOW = 1 << 20
"""Files below this size (bytes) have their tails behind their inodes. Of what is larger, a block is
next to nothing, and it lies in one piece."""

_LABEL_BYTES = 15  # and a NUL


def _label(label: str) -> str:
    """A label; empty for none. Raises `UsageError`."""
    if not label.isprintable():
        remedy = "give a text in UTF-8, of characters that can be printed"
        raise UsageError("", f"invalid label {label!r}", remedy)
    if len(label.encode()) > _LABEL_BYTES:
        raise UsageError("", f"invalid label {label!r}", f"give {_LABEL_BYTES} bytes at most")
    return label


@checked
@frozen(kw_only=True)
class ErofsVolume(PosixVolume):
    """An EROFS file system as an image, without compression and extended attributes.

    `label` has up to 15 bytes of UTF-8. `block_size` (bytes) is 4096, or less for devices of
    smaller sectors, which takes Linux 6.4. `inline` ``auto`` puts the ends of files below 1 MiB
    behind their inodes; ``off`` puts none there, so that all of each can be mapped (DAX).
    """

    format: ClassVar[str] = "erofs"
    root_type: ClassVar[str] = "erofs"
    smaller: ClassVar[Mapping[str, int | None]] = {"block_size": None, "inline": None}

    label: str = field(default="", converter=_label)
    block_size: int = field(default=4096, converter=parse_size)
    inline: Literal["auto", "off"] = "auto"

    def refusals(self) -> Iterator[UsageError]:
        """Which options are wrong, or do not go together, or are nothing for the profile."""
        yield from super().refusals()
        if self.block_size not in BLOCK_SIZES:
            yield not_one_of("block_size", self.block_size, BLOCK_SIZES)
            return
        yield from self.unread("block_size", self.profile.erofs.block_sizes, "blocks of {} bytes")
        if self.sector_size in SECTOR_SIZES and self.block_size < self.sector_size:
            rule = f"no device of {self.sector_size}-byte sectors has blocks of {self.block_size}"
            yield UsageError("", rule, option=f"block_size={self.sector_size}")

    @property
    def inline_below(self) -> int:
        """The size (bytes) from which on files have no tails behind their inodes."""
        return INLINE_BELOW if self.inline == "auto" else 0

    def plan(self, tree: Tree, *, jobs: Jobs = 1) -> Layout:
        """The layout of the file system that holds `tree`; no file is opened. Raises `Problems`
        with all that EROFS or the profile cannot hold.
        """
        return ErofsPlan(Survey.of(self, tree)).layout(tree.forkable)

    @property
    def warnings(self) -> tuple[LayoutWarning, ...]:
        """What some of the profile's readers have against such images."""
        if self.block_size not in self.profile.erofs.doubtful_block_sizes:
            return ()
        text = f"blocks of {self.block_size} bytes are read from Linux 6.4 on, and by late 6.1"
        return (LayoutWarning("", "small-blocks", text),)
