"""Reading tar archives: ustar, pax and GNU's dialect, none of it trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import define, evolve

from ...errors import ImageError, printable
from ...model.entry import NANOSECONDS, decode
from ...planning.layout import Fact
from ..reader import ImageEntry, ImageReader, Kind, Report
from . import header, pax
from .header import BLOCK, Header

MAX_EXTENDED = 1 << 20
"""The longest extended header that is read, in bytes; no real one comes near."""

_SCAN = 1 << 20

_KINDS: Mapping[bytes, Kind] = {
    header.FILE: "file",
    b"\0": "file",  # before POSIX
    b"7": "file",  # contiguous
    header.HARDLINK: "hardlink",
    header.SYMLINK: "symlink",
    header.DIRECTORY: "directory",
}


_META = (header.EXTENDED, header.GLOBAL, header.GNU_LONG_NAME, header.GNU_LONG_LINK)
_WITHOUT_CONTENT = (header.HARDLINK, header.SYMLINK, header.DIRECTORY, b"3", b"4", b"6")

_USED = (b"path", b"linkpath", b"mtime")
"""The extended records that make an entry; ``size`` is seen to where headers are found."""
_ONE_MEMBERS = (b"path", b"linkpath", b"size")
"""Those that say what no two members have in common."""
_OLD_SPARSE = b"S"
_SPARSE = b"GNU.sparse."
"""What the records of GNU's sparse files begin with, whose content is not what it seems."""

_MAX_DIGITS = 19
_MAX_SECONDS = (1 << 63) - 1
"""The latest time that a machine has, and the number of its digits."""
_TIME = re.compile(rb"(-?)(\d{1,19})(?:\.(\d*))?")


@define
class _Extended:
    """What extended headers said about the member that comes next."""

    records: dict[bytes, bytes]
    name: bytes | None = None
    linkname: bytes | None = None
    sparse: bool = False


class TarReader(ImageReader):
    """A tar archive."""

    format = "tar"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the magic of the first header; an archive of nothing is blocks of zeros."""
        if head[257:262] == b"ustar":
            return True
        return len(head) >= len(header.END) and not any(head)

    def info(self) -> Mapping[str, Fact]:
        """The dialect, the number of entries, and where the archive ends (bytes)."""
        dialect = "ustar"
        members = 0
        end = 0
        for at, block, size in self._headers(_fail):
            if block.magic == header.GNU:
                dialect = "gnu"
            elif block.typeflag in (header.EXTENDED, header.GLOBAL):
                dialect = "pax"
            members += block.typeflag in _KINDS and block.name != b"./".ljust(100, b"\0")
            end = at + BLOCK + header.padded(size)
        return {"dialect": dialect, "entries": members, "end": end + len(header.END)}

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Header by header."""
        overall: dict[bytes, bytes] = {}
        extended = _Extended({})
        seen: dict[str, Kind] = {}
        links: dict[str, str] = {}  # hard links, and the files that they lead to in the end
        for at, block, size in self._headers(report):
            if block.typeflag in _META:
                self._extend(block, at, overall, extended, report)
                continue
            records = {k: v for k, v in (overall | extended.records).items() if v}
            entry = self._entry(block, at, size, records, extended, report)
            extended = _Extended({})
            if entry is None:
                continue
            if entry.path in seen and not entry.kind == seen[entry.path] == "directory":
                report(ImageError("", f"{printable(entry.path)}: is in the archive twice"))
            if entry.kind == "hardlink":
                entry = evolve(entry, target=links.get(entry.target, entry.target))
                links[entry.path] = entry.target
            if entry.kind == "hardlink" and seen.get(entry.target) != "file":
                report(
                    ImageError(
                        "", f"{printable(entry.path)}: links to a file that is not before it"
                    )
                )
            seen[entry.path] = entry.kind
            yield entry
        if extended.records or extended.name or extended.linkname:
            report(ImageError("", "the archive ends after an extended header"))

    def _headers(self, report: Report) -> Iterator[tuple[int, Header, int]]:
        """Each header: its offset, its fields, and the size of its content in bytes."""
        at = 0
        size_record: int | None = None
        while True:
            block = self.read_at(at, BLOCK)
            if not any(block):
                break
            fields = Header.unpack(block)
            stated = _number(fields.checksum)
            if stated != header.checksum(block):
                what = f"the header at byte {at:,} has a wrong checksum"
                raise ImageError(f"{what}; the archive is damaged from there on")
            size = _number(fields.size)
            if size is None or size < 0:
                raise ImageError(f"the header at byte {at:,} has no size; the archive is damaged")
            if fields.typeflag == header.EXTENDED and size <= MAX_EXTENDED:
                size_record = self._size_record(at, size, size_record)
            elif fields.typeflag not in _META:
                size = size if size_record is None else size_record
                size_record = None
                if fields.typeflag in _WITHOUT_CONTENT:
                    size = 0
            following = at + BLOCK + header.padded(size)
            if following > self.size:
                name = printable(decode(_text(fields.name)))
                raise ImageError(
                    f"{name}: its content ends at byte {following:,}, and the image at "
                    f"{self.size:,}; it is cut short or damaged"
                )
            yield at, fields, size
            at = following
        if any(self.read_at(at, min(len(header.END), self.size - at))):
            report(
                ImageError("", f"the archive ends at byte {at:,} with one block of zeros, not two")
            )

    def _size_record(self, at: int, length: int, before: int | None) -> int | None:
        """The size that the extended header at `at` gives its member; else what was `before`."""
        try:
            records = dict(pax.parse(self.read_at(at + BLOCK, length)))
        except ValueError:
            return before  # reported where the records are used
        size = records.get(b"size")
        if size is None:
            return before
        if not size.isdigit() or len(size) > _MAX_DIGITS:
            what = f"the extended header at byte {at:,} has a size that is none"
            raise ImageError(f"{what}; the archive is damaged from there on")
        return int(size)

    def _extend(
        self,
        block: Header,
        at: int,
        overall: dict[bytes, bytes],
        extended: _Extended,
        report: Report,
    ) -> None:
        """Take in an extended header."""
        size = _number(block.size) or 0
        if size > MAX_EXTENDED:
            raise ImageError(f"the extended header at byte {at:,} has {size:,} bytes; damaged")
        payload = self.read_at(at + BLOCK, size)
        if block.typeflag == header.GNU_LONG_NAME:
            extended.name = _text(payload)
        elif block.typeflag == header.GNU_LONG_LINK:
            extended.linkname = _text(payload)
        else:
            try:
                records = dict(pax.parse(payload))
            except ValueError as error:
                report(ImageError("", f"the extended header at byte {at:,}: {error}"))
                return
            if block.typeflag == header.EXTENDED:
                # Only what is used is kept, or hostile headers would fill the memory. A record
                # without a value takes back an earlier one (POSIX pax).
                extended.records |= {key: records[key] for key in _USED if key in records}
                extended.sparse |= any(key.startswith(_SPARSE) for key in records)
                return
            if not records.keys().isdisjoint(_ONE_MEMBERS):
                report(
                    ImageError(
                        "", f"the global header at byte {at:,} gives all members one name or size"
                    )
                )
            if b"mtime" in records:
                overall[b"mtime"] = records[b"mtime"]

    def _entry(
        self,
        block: Header,
        at: int,
        size: int,
        records: Mapping[bytes, bytes],
        extended: _Extended,
        report: Report,
    ) -> ImageEntry | None:
        """The entry that a header and what was said before it describe; None for the root."""
        name = records.get(b"path", extended.name)
        if name is None:
            name = _text(block.name)
            if block.magic == header.USTAR and block.prefix[0]:
                name = _text(block.prefix) + b"/" + name
        sparse = extended.sparse or block.typeflag == _OLD_SPARSE
        kind = "other" if sparse else _KINDS.get(block.typeflag, "other")
        if kind == "file" and name.endswith(b"/"):
            kind = "directory"  # before POSIX
        path = decode(name.removeprefix(b"./").strip(b"/"))
        if path in ("", "."):
            return None
        if sparse:
            report(
                ImageError(
                    "", f"{printable(path)}: is a sparse file of GNU tar's, which is not read here"
                )
            )
        linkname = records.get(b"linkpath", extended.linkname or _text(block.linkname))
        try:
            mtime = _time(records[b"mtime"]) if b"mtime" in records else _header_time(block)
        except ValueError:
            report(ImageError("", f"{printable(path)}: has a time that is none"))
            mtime = 0
        if kind == "hardlink":
            linkname = linkname.removeprefix(b"./")
        return ImageEntry(
            path=path,
            kind=kind,
            size=size if kind == "file" else 0,
            mode=(_number(block.mode) or 0) & 0o7777,
            mtime_ns=mtime,
            target=decode(linkname) if kind in ("hardlink", "symlink") else "",
            extents=((at + BLOCK, size),) if size and kind == "file" else (),
        )

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """After the end there are zeros, too, as far as the image goes."""
        yield from self.entries(report)
        if self.device:
            return  # whatever was on it before goes on behind the image
        end = self._end()
        for at in range(min(end, self.size), self.size, _SCAN):
            length = min(_SCAN, self.size - at)
            if self.read_at(at, length) != bytes(length):
                report(
                    ImageError("", f"there is something after the archive's end at byte {end:,}")
                )
                return

    def _end(self) -> int:
        """Where the archive ends, its two blocks of zeros included."""
        end = 0
        for at, _, size in self._headers(_ignore):
            end = at + BLOCK + header.padded(size)
        return end + len(header.END)


def _fail(problem: ImageError) -> None:
    raise problem


def _ignore(_: ImageError) -> None:
    pass


def _text(field: bytes) -> bytes:
    """A field up to its first NUL."""
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int | None:
    """A number field: octal text, or base 256; None if it is neither."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] & 0x40 else value - (1 << bits - 1)
    text = field.strip(b" \0")
    if not text:
        return 0
    if text.strip(b"01234567"):
        return None
    return int(text, 8)


def _header_time(block: Header) -> int:
    """The time that a header states, in nanoseconds. Raises `ValueError`."""
    return _nanoseconds(_number(block.mtime) or 0, 0)


def _time(value: bytes) -> int:
    """A pax time, seconds with a fraction, in nanoseconds. Raises `ValueError`."""
    found = _TIME.fullmatch(value)
    if found is None:
        raise ValueError("no number")
    sign = -1 if found[1] else 1
    rest = int(found[3][:9].ljust(9, b"0")) if found[3] else 0
    return _nanoseconds(sign * int(found[2]), sign * rest)


def _nanoseconds(seconds: int, rest: int) -> int:
    if abs(seconds) > _MAX_SECONDS:
        raise ValueError("no machine has such a time")
    return seconds * NANOSECONDS + rest
