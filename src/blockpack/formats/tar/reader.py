"""Reading tar archives: v7, ustar, pax and GNU's dialect, none of it trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from ...errors import Deviation, ImageError
from ...model.entry import NANOSECONDS, decode
from ...model.limits import MOST
from ...planning.layout import Fact
from ..reader import ImageEntry, ImageReader, Kind, Pieces, Report
from . import header, sparse
from .extended import Extended
from .header import Header
from .names import Names
from .walk import META, Archive, PlainFiles, Stored

if TYPE_CHECKING:
    from ..erofs.reader import ErofsReader

_KINDS: Mapping[bytes, Kind] = {
    header.FILE: "file",
    b"\0": "file",  # before POSIX
    b"7": "file",  # contiguous
    header.GNU_SPARSE: "file",
    header.GNU_CONTINUED: "file",
    header.HARDLINK: "hardlink",
    header.SYMLINK: "symlink",
    header.DIRECTORY: "directory",
    b"D": "directory",  # GNU's, with the names in it as its content
    b"3": "other",
    b"4": "other",
    b"6": "other",
}
_TIME = re.compile(rb"(-?)(\d{1,19})(?:\.(\d*))?")
_MAX_ID = (1 << 32) - 1
_IDS, _MTIME = slice(100, 124), slice(136, 148)
_ODD = ("\0\0", "//", "\0/", "\0./", "/./", "\0.\0", "/.\0")
"""What occurs in names, each between two NULs, if one of them is not a normal path: if it is empty
or absolute, or has two slashes in a row, or ``.`` as a part."""

_MOST_NAME = 1 << 16
_SOME_PIECES = 1 << 16
"""Pieces of sparse files that any archive may have; a larger one more."""


class TarReader(ImageReader):
    """A tar archive."""

    format = "tar"
    whole = "archive"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the first header's magic, or where there is none (v7) by its checksum and fields; an
        archive of nothing is blocks of zeros.
        """
        if head[257:262] == header.USTAR[:5]:
            return True
        if len(head) >= len(header.END) and not any(head):
            return True
        block = head[: header.BLOCK]
        if len(block) < header.BLOCK or not header.is_header(
            block, header.Remembered(header.low_half)
        ):
            return False
        fields = Header.unpack(block)
        numbers = map(header.number, (fields.mode, fields.uid, fields.gid, fields.size))
        known = fields.typeflag in _KINDS or fields.typeflag in META
        # Bytes that add up to nothing, as signed ones, have not the checksum of an empty field.
        stated = bool(fields.checksum.strip(b"\0 "))
        return fields.name[0] > 0 and known and stated and None not in numbers

    def info(self) -> Mapping[str, Fact]:
        """The dialect, the number of entries, where it ends (bytes), and which EROFS it is."""
        archive = Archive(self, lambda _: None)
        members = 0
        for found in archive:
            if isinstance(found, PlainFiles):
                members += len(found.names) - found.names.count(b".")
            else:
                members += found.name not in (b"./", b".")
        facts: dict[str, Fact] = {}
        if self._erofs is not None:
            members -= 1
            told = self._erofs.info()
            facts = {f"erofs_{key}": told[key] for key in ("block_size", "inodes", "uuid")}
        return {"dialect": archive.dialect, "entries": members, "end": archive.end, **facts}

    def options(self) -> Mapping[str, str | bool]:
        """Whether it is an EROFS, too, and the size of blocks and sectors if it is."""
        if self._erofs is None:
            return {}
        return {"erofs": True, "sector_size": str(self._erofs.block_size)}

    @property
    def _is_erofs(self) -> bool:
        """Whether the archive is an EROFS, too, be it a damaged one."""
        try:
            return self._erofs is not None
        except ImageError:
            return True

    @cached_property
    def _erofs(self) -> ErofsReader | None:
        """The EROFS that the archive is, too. Raises `ImageError` if it is damaged."""
        if not header.begins_erofs(self.data.read_at(0, header.BLOCK)):
            return None
        from ..erofs.reader import ErofsReader  # slow to import, and seldom needed

        return ErofsReader(self.data, device=self.device)

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Each path once, as the archive is extracted."""
        _, names = self._read(report)
        yield from names

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """An EROFS holds the same, too."""
        archive, names = self._read(report)
        self.end = archive.end
        entries = list(names)
        yield from entries
        self._compare(entries, report)

    @cached_property
    def end(self) -> int:
        """Behind its last member, and the blocks of zeros that follow."""
        archive = Archive(self, lambda _: None)
        for _ in archive:
            pass
        return archive.end

    def _compare(self, entries: list[ImageEntry], report: Report) -> None:
        """Report what an EROFS holds otherwise."""
        try:
            if self._erofs is not None:
                from .erofs_member import compare

                compare(self._erofs, entries, report)
        except ImageError as error:
            report(error)

    def _read(self, report: Report) -> tuple[Archive, Names]:
        """The archive, read to its end, and what its members come to."""
        archive = Archive(self, report)
        names = Names(report)
        members = _Members(self, archive, report)
        for found in archive:
            one_by_one: Iterable[Stored] = ()
            if isinstance(found, Stored):
                if found.start != header.BLOCK or not self._is_erofs:
                    one_by_one = (found,)
            elif (files := members.files(found)) is not None:
                names.extend(files, doubtful=archive.searched)
            else:
                one_by_one = found.stored
            for stored in one_by_one:
                entry = members.entry(stored)
                if entry is not None:
                    names.add(entry, doubtful=archive.searched)
        return archive, names


class _Members:
    """Makes entries of members."""

    def __init__(self, reader: TarReader, archive: Archive, report: Report) -> None:
        self._read_at = reader.read_at
        self._numbers = archive.numbers
        self._report = report
        # Each piece takes some content, so that honest ones are far below.
        self._most_pieces = _SOME_PIECES + reader.size // 64
        self._alike = header.Remembered(self._alike_numbers)

    def files(self, files: PlainFiles) -> list[ImageEntry] | None:
        """The entries of plain files, all at once; None if one has an odd name or number."""
        text = decode(b"\0".join((b"", *files.names, b"")))
        if text.count("\0./") == len(files.names):  # as ``tar -c .`` writes them
            text = text.replace("\0./", "\0")
        found = [self._alike[block[_IDS] + block[_MTIME]] for block in files.blocks]
        alike = [numbers for numbers in found if numbers]
        if len(alike) < len(found) or any(odd in text for odd in _ODD):
            return None
        rows = zip(text.split("\0")[1:-1], files.sizes, alike, files.starts, strict=True)
        return [
            ImageEntry(
                path, "file", size, mode, mtime, uid, gid, "", ((start, size),) if size else ()
            )
            for path, size, (mode, mtime, uid, gid), start in rows
        ]

    def _alike_numbers(self, fields: bytes) -> tuple[int, int, int, int] | None:
        """What `_numbers_of` makes of the fields of mode, owners and time; None if one is odd."""
        mode, uid, gid = (self._numbers[fields[at : at + 8]] for at in (0, 8, 16))
        seconds = self._numbers[fields[24:]]
        if mode is None or uid is None or gid is None or seconds is None:
            return None
        mtime = seconds * NANOSECONDS
        return None if any(_invalid(mode, mtime, uid, gid)) else (mode & 0o7777, mtime, uid, gid)

    def entry(self, stored: Stored) -> ImageEntry | None:
        """The entry that a member describes; None for the root, and for one that has no name."""
        fields = stored.header
        named = self._named(stored, fields)
        if named is None:
            return None
        path, kind = named
        mode, mtime, uid, gid = self._numbers_of(fields, stored.extended, path)
        target = ""
        if kind in ("symlink", "hardlink"):
            target = decode(stored.linkname)
        if kind == "hardlink":
            target = _normal(target)
        content: tuple[int, Pieces, str] = 0, (), stored.extended.damage if stored.extended else ""
        if kind == "file":
            content = self._content(stored, fields.typeflag)
        size, pieces, damage = content
        if damage:
            self._report(ImageError(path, damage))
        return ImageEntry(path, kind, size, mode, mtime, uid, gid, target, pieces, damage)

    def _named(self, stored: Stored, fields: Header) -> tuple[str, Kind] | None:
        """The path and the kind of a member; None for the root, and for one that has no name."""
        name = stored.name
        if len(name) > _MOST_NAME:
            rule = f"has a name of {len(name):,} bytes, more than any system takes"
            self._report(ImageError(f"{decode(name[:100])}…", rule))
            return None
        path = _normal(decode(name))
        kind = _KINDS.get(fields.typeflag)
        if kind == "file" and name[-1:] == b"/":
            kind = "directory"  # before POSIX
        if not path:
            if kind != "directory":
                self._report(ImageError("", f"the member before byte {stored.start:,} has no name"))
            return None
        if name[:1] == b"/":
            self._deviates(path, "has an absolute name, of which the leading slash is left out")
        if kind is None:
            self._deviates(path, f"is of the type {decode(fields.typeflag)!r}, read as a file")
        return path, kind or "file"

    def _content(self, stored: Stored, typeflag: bytes) -> tuple[int, Pieces, str]:
        """The size of a file, where its bytes lie, and what is wrong with that."""
        start, size, said = stored.start, stored.size, stored.extended
        if stored.damage or typeflag == header.GNU_CONTINUED:
            return size, (), stored.damage or "begins in another volume of its archive"
        end = start + size
        most = self._most_pieces
        try:
            if stored.pieces is not None:
                size = header.number(stored.pieces[1]) or 0
                found = sparse.old_map(stored.pieces[0])
            elif typeflag == header.GNU_SPARSE:
                return 0, (), "is a sparse file of star's, which is not read here"
            elif said is not None and said.sparse:
                size, found, start = sparse.pax_map(said, self._read_at, start, size, most)
            else:
                return size, ((start, size),) if size else (), ""
            pieces = sparse.pieces(size, found, start, end, most)
        except ValueError as error:
            return 0, (), f"is a sparse file that cannot be read: {error}"
        self._most_pieces -= len(pieces)
        return size, pieces, ""

    def _numbers_of(
        self, fields: Header, said: Extended | None, path: str
    ) -> tuple[int, int, int, int]:
        """The mode, the time (nanoseconds) and the owners of a member."""
        numbers = self._numbers
        mode, uid, gid = numbers[fields.mode], numbers[fields.uid], numbers[fields.gid]
        seconds = numbers[fields.mtime]
        mtime = None if seconds is None else seconds * NANOSECONDS
        if said is not None:
            records = said.records
            if time := records.get(b"mtime"):
                mtime = _time(time)
            if owner := records.get(b"uid"):
                uid = _id(owner)
            if group := records.get(b"gid"):
                gid = _id(group)
        for what in _invalid(mode, mtime, uid, gid):
            self._deviates(path, f"has an invalid {what}")
            if what == "time":
                mtime = 0
            elif what == "owner":
                uid = gid = 0
        return (mode or 0) & 0o7777, mtime or 0, uid or 0, gid or 0

    def _deviates(self, path: str, rule: str) -> None:
        self._report(Deviation(path, rule))


def _invalid(
    mode: int | None, mtime: int | None, uid: int | None, gid: int | None
) -> Iterator[str]:
    """Which numbers of a member are none, or more than there can be."""
    if mode is None:
        yield "mode"
    if mtime is None or abs(mtime) > MOST * NANOSECONDS:
        yield "time"
    if uid is None or gid is None or not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
        yield "owner"


def _normal(path: str) -> str:
    """`path` without leading slashes, and without parts that are empty or ``.``."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _id(value: bytes) -> int | None:
    """A pax owner; None for what is invalid."""
    return int(value) if value.isdigit() and len(value) <= 10 else None


def _time(value: bytes) -> int | None:
    """A pax time, seconds with a fraction, in nanoseconds; None for what is invalid."""
    found = _TIME.fullmatch(value)
    if found is None:
        return None
    sign = -1 if found[1] else 1
    rest = int(found[3][:9].ljust(9, b"0")) if found[3] else 0
    return sign * (int(found[2]) * NANOSECONDS + rest)
