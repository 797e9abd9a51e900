"""The member that makes an archive an EROFS file system, too: none of its bytes is there twice.

    header | zeros    | superblock, inodes, directories | header, payload | header, payload | …
    of 512 | to 1024  | of the EROFS: one member's      | of a file
           |          | payload, with the zeros         |

EROFS looks for its superblock at byte 1024, and its files may lie anywhere on whole blocks. Blocks
of 512 bytes are what a tar's payloads begin on; on devices of larger sectors all of them are
brought onto those. Readers of tars see one more file, `NAME`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import EntryError, ImageError, UsageError, raise_usage
from ...model.entry import File
from ...model.extent import Data
from ...model.tree import Tree
from ...planning.layout import Fact
from ...planning.runs import Run, zeros
from ..erofs.metadata import Metadata
from ..erofs.reader import ErofsReader
from ..erofs.structures import NULL_ADDRESS, SUPERBLOCK_OFFSET
from ..erofs.survey import Survey
from ..erofs.volume import ErofsVolume
from ..reader import ImageEntry, Report, differing
from . import header
from .header import EROFS_MEMBER as NAME

if TYPE_CHECKING:
    from .volume import TarVolume

_DIFFERS = {
    "kind": "is something else",
    "size": "has another size",
    "mode": "has another mode",
    "uid": "has another owner",
    "gid": "has another group",
    "target": "leads elsewhere",
    "extents": "lies elsewhere",
}
"""What both say of an entry, and how it is told that they do not agree. (A tar has whole seconds.)
"""


class ErofsMember:
    """The metadata of an EROFS in front of the archive of `tree`; raises as `ErofsVolume` does."""

    def __init__(self, volume: TarVolume, tree: Tree) -> None:
        erofs = _erofs_volume(volume)
        self.warnings = erofs.warnings
        self._survey = Survey.of(erofs, tree)
        self._metadata = Metadata(self._survey)
        self._volume = volume
        self.problems: list[EntryError] = self._survey.problems
        if NAME in tree:
            rule = "has the name of the member that holds the EROFS file system"
            self.problems.append(EntryError(NAME, rule, "rename it"))

    @property
    def end(self) -> int:
        """The image's byte behind it, on a block."""
        return self._metadata.end

    @property
    def facts(self) -> dict[str, Fact]:
        """What there is to say of the EROFS; `info` says the same of the image."""
        return {
            "erofs_block_size": self._volume.sector_size,
            "erofs_inodes": self._metadata.inodes,
            "erofs_uuid": self._metadata.uuid,
        }

    def place(self, offsets: Sequence[int]) -> None:
        """Note where payloads lie, by the offsets of all members behind and of their end."""
        block_size = self._volume.sector_size
        if offsets[-1] > NULL_ADDRESS * block_size:
            rule = f"the image has more than {NULL_ADDRESS:,} blocks of {block_size} bytes"
            self.problems.append(EntryError("", rule, "pack less, or no EROFS beside the tar"))
            return
        survey, addresses = self._survey, self._metadata.addresses
        for number in range(1, len(offsets)):
            size = survey.sizes[number]
            if size and survey.widths[number] and type(survey.entries[number]) is File:
                addresses[number] = (offsets[number] - size) // block_size

    def runs(self, size: int) -> Iterator[Run]:
        """All of it, in an archive of `size` bytes."""
        epoch = self._volume.epoch
        yield Run.of(
            Data(
                0,
                header.pack(
                    NAME.encode(),
                    typeflag=header.FILE,
                    mode=0o444,
                    size=self.end - header.BLOCK,
                    mtime=epoch if 0 <= epoch <= header.MAX_SIZE else 0,
                    magic=header.GNU if self._volume.dialect == "gnu" else header.USTAR,
                    unused=header.EROFS_MARK,
                ),
            )
        )
        yield zeros(header.BLOCK, SUPERBLOCK_OFFSET)
        yield from self._metadata.runs(size // self._volume.sector_size)


def _erofs_volume(volume: TarVolume) -> ErofsVolume:
    """The EROFS beside the archive, whose blocks are as large as the sectors."""
    profile = volume.profile
    reads_both = "erofs" in (profile.formats or ("erofs",))
    try:
        return ErofsVolume(
            profile=profile if reads_both else "any",
            sector_size=volume.sector_size,
            block_size=volume.sector_size,
            inline="off",
            mtime=volume.mtime,
            epoch=volume.epoch,
            owner=volume.owner,
            mode=volume.mode,
        )
    except UsageError as error:
        told = [each.args for each in error.errors]
        raise_usage(
            UsageError(path, rule, remedy, option.replace("block_size", "sector_size"))
            for path, rule, remedy, option in told
        )
        raise  # never: there is one at least


def compare(erofs: ErofsReader, members: Iterable[ImageEntry], report: Report) -> None:
    """Report what the EROFS holds otherwise than the `members` of its archive do."""
    found = {entry.path: entry for entry in erofs.verify(report)}
    shown = {member.path: member for member in members}
    for path in sorted(found.keys() | shown.keys()):
        if path not in found:
            report(ImageError(path, "is in the tar, and not in its EROFS"))
        elif path not in shown:
            report(ImageError(path, "is in the EROFS, and not in its tar"))
        else:
            entry, member = _file(path, found), _file(path, shown)
            if entry.damage or member.damage:
                continue  # which has been told
            if what := " and ".join(map(_DIFFERS.__getitem__, differing(entry, member, _DIFFERS))):
                report(ImageError(path, f"{what} in the EROFS than in the tar"))


def _file(path: str, entries: Mapping[str, ImageEntry]) -> ImageEntry:
    """The entry, or the file that it is a link to."""
    entry = entries[path]
    return entries.get(entry.target, entry) if entry.kind == "hardlink" else entry
