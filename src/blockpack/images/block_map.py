"""A block map: which blocks of an image have to be right, in the format 2.0 of bmaptool.

Whoever writes the image to a card leaves out the others. A map that is made of an image that is
there can only tell holes from data. A plan knows: tables have to be right also where they are zero,
and clusters that nothing is in may be anything (`Zeros.free`).

bmap-tools' documentation, "Bmap file format"; its own digest is made with zeros in its place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, Self
from xml.etree import ElementTree

from attrs import frozen

from ..errors import ImageError
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.gaps import with_gaps
from ..reading.positional import PositionalReader, reader_of

BLOCK = 4096
"""Bytes of a block."""

_PIECE = 1 << 16

MOST = 16 << 20
"""Bytes of a map's file, at most: those of 150,000 ranges."""

_TOLD = (
    *("bmap", "BlockMap", "ImageSize", "BlockSize", "BlocksCount", "MappedBlocksCount"),
    *("ChecksumType", "BmapFileChecksum"),
)
"""The elements that are there once."""

_LONGEST = 1000
"""Characters of a text in a map, at most."""

_DIGITS = re.compile(r"[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

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
        """The map of a layout, read of `image`, the layout as it was written; without one every
        source is read once more. Raises `SourceError` if one has changed.
        """
        found = []
        with LayoutReader(layout.runs) if image is None else reader_of(image) as data:
            for first, last in _mapped(layout.zeros(free=True), layout.size):
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
            size, found = _parsed(data)
        except (ValueError, ElementTree.ParseError) as error:
            rule = f"is not a block map of version 2 with SHA-256: {error}"
            raise ImageError(name, rule, "make it again") from None
        blocks = -(-size // BLOCK)
        ends = [-1, *(block for first, last, _ in found for block in (first, last)), blocks]
        if any(a >= b for a, b in zip(ends[::2], ends[1::2], strict=True)) or any(
            last < first for first, last, _ in found
        ):
            rule = f"has ranges that are not in order, or not in an image of {size:,} bytes"
            raise ImageError(name, rule, "make it again")
        return cls(size, tuple(found))


def digest_of(data: PositionalReader, first: int, last: int) -> str:
    """The SHA-256 of blocks, in hex; the last one of an image may be cut short."""
    digest = hashlib.sha256()
    end = min((last + 1) * BLOCK, data.size)
    for start in range(first * BLOCK, end, _PIECE):
        digest.update(data.read_at(start, min(_PIECE, end - start)))
    return digest.hexdigest()


class _Parsed:
    """What is in a map's file, taken in element by element: of a hostile one nothing else is kept.

    Its methods are called by the parser, and raise `ValueError`.
    """

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.ranges: list[BlockRange] = []
        self._digest = self._text = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        version = attributes.get("version", "")
        if tag == "bmap" and not version.startswith("2."):
            raise ValueError(f"its version is {version[:20]!r}, and 2.0 is read")
        if tag != "Range":
            if tag not in _TOLD or tag in self.told:
                raise ValueError(f"it has an element {tag[:40]!r} too much")
            self.told[tag] = ""
        self._digest, self._text = attributes.get("chksum", "").lower(), ""

    def data(self, text: str) -> None:
        """A part of a text."""
        self._text += text
        if len(self._text) > _LONGEST:
            raise ValueError(f"it has a text of more than {_LONGEST} characters")

    def end(self, tag: str) -> None:
        """An element ends."""
        text, self._text = self._text.strip(), ""
        if tag in _TOLD:
            self.told[tag] = text
        elif tag == "Range":
            first, _, last = text.partition("-")
            if not _DIGEST.fullmatch(self._digest):
                raise ValueError(f"the range {text[:40]} has no digest")
            self.ranges.append(BlockRange(_number(first), _number(last or first), self._digest))


def _parsed(data: bytes) -> tuple[int, list[BlockRange]]:
    """The size and the ranges in a map's file. Raises `ValueError` and `ElementTree.ParseError`."""
    if len(data) > MOST:
        raise ValueError(f"it has more than {MOST:,} bytes")
    text = data.decode("utf-8")  # for a file may choose an encoding that hides what it has
    if "<!DOCTYPE" in text:  # which may define entities without end
        raise ValueError("it has a document type")
    found = _Parsed()
    parser = ElementTree.XMLParser(target=found)
    for at in range(0, len(text), _PIECE):
        parser.feed(text[at : at + _PIECE])  # it goes to the end of a piece, whatever is raised
    parser.close()
    told = found.told
    if missing := [name for name in _TOLD if name not in told]:
        raise ValueError(f"it has no {missing[0]}")
    if told["ChecksumType"] != "sha256":
        raise ValueError(f"its digests are {told['ChecksumType']!r}, and sha256 is read")
    if _number(told["BlockSize"]) != BLOCK:
        raise ValueError(f"its blocks have {told['BlockSize']} bytes, and {BLOCK:,} are read")
    own = told["BmapFileChecksum"].encode()
    if hashlib.sha256(data.replace(own, b"0" * 64, 1)).hexdigest().encode() != own:
        raise ValueError("its own digest is another")
    return _number(told["ImageSize"]), found.ranges


def _number(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a number of blocks or bytes")
    return int(text)


def _mapped(free: Iterable[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The first and last blocks of all that is not in the `free` stretches as a whole."""
    whole = (
        (-(-start // BLOCK), -(-end // BLOCK) if end == size else end // BLOCK)
        for start, end in free
    )
    blocks = with_gaps((each for each in whole if each[0] < each[1]), 0, -(-size // BLOCK))
    return ((begin, end - 1) for begin, end, is_free in blocks if not is_free)
