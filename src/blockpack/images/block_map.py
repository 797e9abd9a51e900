"""A block map: which blocks of an image have to be right, in the format 2.0 of bmaptool.

Whoever writes the image to a card leaves out the others. A map that is made of an image that is
there can only tell holes from data. A plan knows: tables have to be right also where they are zero,
and clusters that nothing is in may be anything (`Zeros.free`).

bmap-tools' documentation, "Bmap file format"; its own digest is made with zeros in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, Self
from xml.etree import ElementTree

from attrs import frozen

from ..errors import ImageError
from ..model.extent import Zeros
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.positional import PositionalReader, reader_of

BLOCK = 4096
"""Bytes of a block."""

_PIECE = 1 << 20

_HEAD = """\
<?xml version="1.0" ?>
<!-- Blocks that have to be right in an image; written by blockpack, for 'bmaptool copy'. -->
<bmap version="2.0">
    <ImageSize> {size} </ImageSize>
    <BlockSize> {block} </BlockSize>
    <BlocksCount> {blocks} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {digest} </BmapFileChecksum>
    <BlockMap>
"""
_TAIL = "    </BlockMap>\n</bmap>\n"
_NO_DIGEST = "0" * 64


class BlockRange(NamedTuple):
    """Blocks `first` to `last`, and the SHA-256 of their bytes in hex."""

    first: int
    last: int
    digest: str


@frozen
class BlockMap:
    """What has to be right in an image of `size` bytes; all else may be anything."""

    size: int
    ranges: tuple[BlockRange, ...]

    @classmethod
    def of(cls, layout: Layout, image: BinaryIO | None = None) -> Self:
        """The map of a layout. What has to be right is read of `image`, the layout as it was
        written; without one every source is read once more.

        Raises `SourceError` if one has changed.
        """
        found = []
        with LayoutReader(layout.runs) if image is None else reader_of(image) as data:
            for first, last in _mapped(_free(layout), layout.size):
                found.append(BlockRange(first, last, digest_of(data, first, last)))
        return cls(layout.size, tuple(found))

    @property
    def mapped(self) -> int:
        """How many blocks have to be right."""
        return sum(last + 1 - first for first, last, _ in self.ranges)

    def encoded(self) -> bytes:
        """The map as it is in its file."""
        text = _HEAD.format(
            size=self.size,
            block=BLOCK,
            blocks=-(-self.size // BLOCK),
            mapped=self.mapped,
            digest=_NO_DIGEST,
        )
        for first, last, digest in self.ranges:
            blocks = str(first) if first == last else f"{first}-{last}"
            text += f'        <Range chksum="{digest}"> {blocks} </Range>\n'
        whole = (text + _TAIL).encode("ascii")
        own = hashlib.sha256(whole).hexdigest()
        return whole.replace(_NO_DIGEST.encode("ascii"), own.encode("ascii"), 1)

    @classmethod
    def parse(cls, data: bytes, name: str) -> Self:
        """The map in the file `name`; of bmaptool's as well. Raises `ImageError`."""
        try:
            root = ElementTree.fromstring(data)
            if not root.attrib["version"].startswith("2."):
                raise ValueError(f"version {root.attrib['version']}")
            told = {each.tag: (each.text or "").strip() for each in root}
            if told["ChecksumType"] != "sha256" or int(told["BlockSize"]) != BLOCK:
                raise ValueError("of other digests or blocks")
            own = told["BmapFileChecksum"].encode("ascii")
            if hashlib.sha256(data.replace(own, b"0" * 64, 1)).hexdigest().encode() != own:
                raise ValueError("its own digest is another")
            found = tuple(map(_range, root.iter("Range")))
            size = int(told["ImageSize"])
        except (ValueError, KeyError, ElementTree.ParseError) as error:
            rule = f"is not a block map of version 2 with SHA-256: {error}"
            raise ImageError(name, rule, "make it again") from None
        blocks = -(-size // BLOCK)
        ends = [-1, *(block for first, last, _ in found for block in (first, last)), blocks]
        if any(a >= b for a, b in zip(ends[::2], ends[1::2], strict=True)) or any(
            last < first for first, last, _ in found
        ):
            rule = f"has ranges that are not in order, or not in an image of {size:,} bytes"
            raise ImageError(name, rule, "make it again")
        return cls(size, found)


def digest_of(data: PositionalReader, first: int, last: int) -> str:
    """The SHA-256 of blocks, in hex; the last one of an image may be cut short."""
    digest = hashlib.sha256()
    end = min((last + 1) * BLOCK, data.size)
    for start in range(first * BLOCK, end, _PIECE):
        digest.update(data.read_at(start, min(_PIECE, end - start)))
    return digest.hexdigest()


def _range(element: ElementTree.Element) -> BlockRange:
    first, _, last = (element.text or "").strip().partition("-")
    return BlockRange(int(first), int(last or first), element.attrib["chksum"])


def _free(layout: Layout) -> Iterator[tuple[int, int]]:
    """The stretches of a layout that may be anything, in order."""
    for run in layout.runs:
        if not run.dense:
            for extent in run.make(0, len(run)):
                if type(extent) is Zeros and extent.free:
                    yield extent.offset, extent.offset + extent.length


def _mapped(free: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The first and last blocks of all that is not in the `free` stretches as a whole."""
    at = 0
    for start, end in free:
        first, stop = -(-start // BLOCK), -(-end // BLOCK) if end == size else end // BLOCK
        if first < stop:
            if at < first:
                yield at, first - 1
            at = stop
    if at * BLOCK < size:
        yield at, -(-size // BLOCK) - 1
