"""Reading EROFS file systems as Linux reads them, none of it trusted.

What keeps a file's bytes from being read is an `ImageError`: that they lie beyond the image, or are
compressed. Files may share blocks, which deduplicating writers have them do. Extended attributes
are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...errors import Deviation, ImageError, printable
from ...planning.ids import dashed
from ...planning.layout import Fact
from ...reading.positional import PositionalReader
from ..reader import ImageEntry, ImageReader, Report
from . import structures as disk
from .walk import Walk

_BLOCK_BITS = range(9, 17)
"""From 512 bytes to the largest pages of Linux."""

_ROOT_NID = slice(8, 16)
"""The bytes of `reserved` that are the root's number where block addresses have 48 bits."""


class ErofsReader(ImageReader):
    """An EROFS file system."""

    format = "erofs"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the superblock's magic."""
        magic = head[disk.SUPERBLOCK_OFFSET :][:4]
        return int.from_bytes(magic, "little") == disk.MAGIC

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        found = self.read_at(disk.SUPERBLOCK_OFFSET, disk.SUPERBLOCK.size)
        self.superblock = superblock = disk.SUPERBLOCK.unpack(found)
        bits = superblock["blkszbits"]
        if superblock["magic"] != disk.MAGIC:
            raise ImageError("", "its superblock is not that of an EROFS file system")
        if bits not in _BLOCK_BITS:
            raise ImageError("", f"its blocks have 2^{bits} bytes, which Linux does not read")
        if superblock["dirblkbits"]:
            rule = "its directories have blocks of their own, which Linux does not read"
            raise ImageError("", rule)
        self.block_size: int = 1 << bits

    def info(self) -> Mapping[str, Fact]:
        """What the superblock says; features are those that a reader has to know."""
        superblock = self.superblock
        needed = superblock["feature_incompat"]
        features = [name for bit, name in disk.INCOMPAT_FEATURES.items() if needed & bit]
        return {
            "block_size": self.block_size,
            "blocks": superblock["blocks"],
            "inodes": superblock["inos"],
            "label": printable(self._label()),
            "uuid": dashed(superblock["uuid"].hex()).upper(),
            "features": ", ".join(features) or "none",
            "build_time": superblock["build_time"],
            "checksum": self._checksum(),
        }

    def options(self) -> Mapping[str, str | bool]:
        """The label, and the size of blocks."""
        label = {"label": self._label()} if self._label() else {}
        return {"block_size": str(self.block_size), **label}

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Directory by directory, by the order of names."""
        if self._checksum() == "wrong":
            rule = "the superblock's checksum is wrong, so that Linux does not mount it"
            report(ImageError("", f"{rule}: something in its first block was changed"))
        if unknown := self.superblock["feature_incompat"] & ~sum(disk.INCOMPAT_FEATURES):
            rule = f"it needs features that are not known here ({unknown:#x})"
            report(ImageError("", f"{rule}: what it holds may be misread"))
        yield from Walk(self, report).entries()

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """The superblock is as it should be, too."""
        if self.end > self.size:
            rule = f"the file system has {self.end:,} bytes, the image {self.size:,}"
            report(Deviation("", f"{rule}; it is cut short"))
        if self.superblock["volume_name"][-1]:
            report(Deviation("", "its label has no NUL at its end, which older kernels want"))
        yield from self.entries(report)

    @property
    def end(self) -> int:
        """Behind the last of its blocks, whose number may have 48 bits, as addresses have."""
        high = self.superblock["root_nid"] if self._wide_root else 0
        return int(high << 32 | self.superblock["blocks"]) * self.block_size

    @property
    def root(self) -> int:
        """The number of the root directory."""
        return self._wide_root or int(self.superblock["root_nid"])

    @property
    def _wide_root(self) -> int:
        """The number of the root directory, if it has 64 bits; else 0."""
        has_wide = self.superblock["feature_incompat"] & disk.INCOMPAT_48BIT
        return int.from_bytes(self.superblock["reserved"][_ROOT_NID], "little") if has_wide else 0

    def _label(self) -> str:
        name: bytes = self.superblock["volume_name"]
        return name.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _checksum(self) -> str:
        """Whether the superblock's checksum is right, wrong, or not there."""
        if not self.superblock["feature_compat"] & disk.COMPAT_CHECKSUM:
            return "none"
        length = min(self.block_size, self.size - disk.SUPERBLOCK_OFFSET)
        data = self.read_at(disk.SUPERBLOCK_OFFSET, length)
        right = disk.checksum(data, self.block_size) == self.superblock["checksum"]
        return "right" if right else "wrong"
