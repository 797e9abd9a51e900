"""Reading tar archives: ustar, pax and GNU's dialect, none of it trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import define

from ..entry import NANOSECONDS, decode
from ..errors import ImageError, printable
from ..image import Image, ImageEntry, Kind, Report
from ..layout import Fact
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


@define
class _Extended:
    """What extended headers said about the member that comes next."""

    records: dict[bytes, bytes]
    name: bytes | None = None
    linkname: bytes | None = None


class TarImage(Image):
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
        for _, block, following in self._headers(_fail):
            if block.magic == header.GNU:
                dialect = "gnu"
            elif block.typeflag in (header.EXTENDED, header.GLOBAL):
                dialect = "pax"
            members += block.typeflag in _KINDS and block.name != b"./".ljust(100, b"\0")
            end = following
        return {"dialect": dialect, "entries": members, "end": end + len(header.END)}

    def _read_entries(self, report: Report) -> Iterator[ImageEntry]:
        overall: dict[bytes, bytes] = {}
        extended = _Extended({})
        seen: dict[str, Kind] = {}
        for at, block, _ in self._headers(report):
            if block.typeflag in _META:
                self._extend(block, at, overall, extended, report)
                continue
            entry = self._entry(block, at, overall | extended.records, extended, report)
            extended = _Extended({})
            if entry is None:
                continue
            if entry.path in seen and not entry.kind == seen[entry.path] == "directory":
                report(f"{printable(entry.path)}: is in the archive twice")
            if entry.kind == "hardlink" and seen.get(entry.target) != "file":
                report(f"{printable(entry.path)}: links to a file that is not before it")
            seen[entry.path] = entry.kind
            yield entry
        if extended.records or extended.name or extended.linkname:
            report("the archive ends after an extended header")

    def _headers(self, report: Report) -> Iterator[tuple[int, Header, int]]:
        """Each header: its offset, its fields, and the offset of the one after its content."""
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
                size_record = self._size_record(at + BLOCK, size)
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
            yield at, fields, following
            at = following
        if any(self.read_at(at, min(len(header.END), self.size - at))):
            report(f"the archive ends at byte {at:,} with one block of zeros, not two")

    def _size_record(self, offset: int, length: int) -> int | None:
        try:
            records = dict(pax.parse(self.read_at(offset, length)))
            return int(records[b"size"]) if b"size" in records else None
        except ValueError:
            return None  # reported where the records are used

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
            records = overall if block.typeflag == header.GLOBAL else extended.records
            try:
                records.update(pax.parse(payload))
            except ValueError as error:
                report(f"the extended header at byte {at:,}: {error}")

    def _entry(
        self,
        block: Header,
        at: int,
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
        kind = _KINDS.get(block.typeflag, "other")
        if kind == "file" and name.endswith(b"/"):
            kind = "directory"  # before POSIX
        path = decode(name.removeprefix(b"./").strip(b"/"))
        if path in ("", "."):
            return None
        linkname = records.get(b"linkpath", extended.linkname or _text(block.linkname))
        try:
            size = int(records.get(b"size", _number(block.size) or 0)) if kind == "file" else 0
            mtime = _time(records[b"mtime"]) if b"mtime" in records else None
        except ValueError:
            report(f"{printable(path)}: an extended header has a number that is none")
            size, mtime = _number(block.size) or 0, 0
        if mtime is None:
            mtime = (_number(block.mtime) or 0) * NANOSECONDS
        if kind == "hardlink":
            linkname = linkname.removeprefix(b"./")
        return ImageEntry(
            path=path,
            kind=kind,
            size=size,
            mode=(_number(block.mode) or 0) & 0o7777,
            mtime_ns=mtime,
            target=decode(linkname) if kind in ("hardlink", "symlink") else "",
            extents=((at + BLOCK, size),) if size else (),
        )

    def _verify_rest(self, report: Report) -> None:
        """After the end there are zeros, as far as the image goes."""
        end = int(self.info()["end"])
        for at in range(min(end, self.size), self.size, _SCAN):
            if any(self.read_at(at, min(_SCAN, self.size - at))):
                report(f"there is something after the archive's end at byte {end:,}")
                return


_META = (header.EXTENDED, header.GLOBAL, header.GNU_LONG_NAME, header.GNU_LONG_LINK)
_WITHOUT_CONTENT = (header.HARDLINK, header.SYMLINK, header.DIRECTORY, b"3", b"4", b"6")


def _fail(problem: str) -> None:
    raise ImageError(problem)


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


def _time(value: bytes) -> int:
    """A pax time, seconds with a fraction, in nanoseconds. Raises `ValueError`."""
    whole, _, fraction = value.partition(b".")
    nanoseconds = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    seconds = int(whole)
    return seconds * NANOSECONDS + (-nanoseconds if whole.startswith(b"-") else nanoseconds)
