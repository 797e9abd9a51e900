"""Planning an EROFS image: the metadata, then files, in the tree's order, each in one piece.

A file's bytes begin on a block, and large ones on 4096 bytes, whatever the block is: so a file
system that clones can let the image share them. Tails are with the metadata.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from ...errors import EntryError
from ...model.entry import File
from ...model.extent import Zeros, cut
from ...planning.layout import CLONE_BLOCK, WORTH_CLONING, Layout, Placement, round_up
from ...planning.runs import Part, Run, zeros
from .metadata import Metadata
from .structures import NULL_ADDRESS, SLOT, SUPERBLOCK_OFFSET
from .survey import Survey


class ErofsPlan:
    """Places everything, and makes the extents of files."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.volume = survey.volume
        self.metadata = Metadata(survey)
        self._files = array("I")
        """The files that have blocks, by their numbers."""
        self._offsets = array("Q")
        """Where these begin, and where the last one ends."""
        self.end = self._place_files()

    def _place_files(self) -> int:
        """Place all files; the image's byte behind them."""
        survey, addresses = self.survey, self.metadata.addresses
        block_size = self.volume.block_size
        at = self.metadata.end
        sizes, inline = survey.sizes, survey.inline
        for number, entry in enumerate(survey.entries):
            if type(entry) is not File or sizes[number] == inline[number]:
                continue
            length = sizes[number] - inline[number]
            if length >= WORTH_CLONING:
                at = round_up(at, CLONE_BLOCK)
            if at + length > NULL_ADDRESS * block_size:
                rule = f"the image has more than {NULL_ADDRESS:,} blocks of {block_size:,} bytes"
                best = "block_size=4096" if block_size < 4096 else ""
                remedy = "take larger blocks, or pack less" if best else "pack less"
                survey.problems.append(EntryError("", rule, remedy, best))
                break
            self._files.append(number)
            self._offsets.append(at)
            addresses[number] = at // block_size
            at = round_up(at + length, block_size)
        self._offsets.append(at)
        return at

    def layout(self, forkable: bool) -> Layout:
        """The layout of it all. Raises `Problems` with all that EROFS cannot hold."""
        refused = "this tree does not fit an EROFS image"
        size = self.volume.size_for(self.end, self.survey.problems, refused)
        metadata, block_size = self.metadata, self.volume.block_size
        blocks = self.end // block_size
        return Layout(
            format=self.volume.format,
            title="EROFS",
            runs=(
                zeros(0, SUPERBLOCK_OFFSET),
                *metadata.runs(blocks),
                zeros(metadata.end, self._offsets[0]),
                Run(self._offsets, self._contents, dense=True),
                zeros(self.end, size, free=True),
            ),
            sector_size=self.volume.sector_size,
            largest_sector=self.volume.block_size,
            geometry={
                "block_size": block_size,
                "blocks": blocks,
                "inodes": metadata.inodes,
                "metadata": metadata.end,
                "uuid": metadata.uuid,
                "label": self.volume.label,
            },
            warnings=self.volume.warnings,
            placements=self.placements,
            forkable=forkable,
        )

    def _contents(self, start: int, stop: int) -> Iterator[Part]:
        survey = self.survey
        for index in range(start, stop):
            number = self._files[index]
            offset, end = self._offsets[index : index + 2]
            file = survey.entries[number]
            assert type(file) is File
            length = file.size - survey.inline[number]
            if length == file.size:
                yield b"", file
            else:
                yield cut(file.extent(offset), 0, length, offset)
            if end > offset + length:
                yield Zeros(offset + length, end - offset - length)

    def placements(self) -> Iterator[Placement]:
        """Each entry and where its content lies: in blocks, behind its inode, or partly so."""
        survey, metadata = self.survey, self.metadata
        for number, entry in enumerate(survey.entries[1:], 1):
            first = survey.first.get(number, number)
            if type(entry) is not File or not entry.size:
                yield Placement(entry, None)
                continue
            tail = survey.inline[first]
            blocks = metadata.addresses[first] * self.volume.block_size, entry.size - tail
            inline = metadata.nids[first] * SLOT + survey.widths[first], tail
            if blocks[1] and tail:
                yield Placement(entry, None, (blocks, inline))
            else:
                yield Placement(entry, inline[0] if tail else blocks[0])
