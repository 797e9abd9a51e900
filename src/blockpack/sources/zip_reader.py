"""Reading zip archives, by the standard library.

What a member is on Unix (links, permission bits, owners, times in UTC) is in the upper half of its
external attributes and in extra fields, of Info-ZIP and others (APPNOTE 4.4.15, 4.5; Info-ZIP's
proginfo/extrafld.txt). Times without a zone are taken for UTC, so that a machine's zone has no say.

Members that are stored are checked as they are found: nobody does so when they are copied.
"""

from __future__ import annotations

import stat
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import IO, Any, BinaryIO, cast
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from attrs import evolve

from ..errors import Deviation, ImageError, SourceError
from ..formats.reader import ImageEntry, ImageReader, Kind, Pieces, Report
from ..model.entry import EPOCH, NANOSECONDS, decode
from ..planning.layout import Fact
from ..reading.inflate import crc32, crc_of
from ..reading.positional import PositionalReader
from .hierarchy import ForeignFile, foreign_errors

_LOCAL = struct.Struct("<4s22xHH")
"""A local file header: magic, and the lengths of the name and the extra fields that follow it."""

_CENTRAL = struct.Struct("<4s24xHHH12x")
"""One of the central directory: magic, and the lengths of name, extra fields and comment."""

_MAGICS = (b"PK\3\4", b"PK\5\6")
"""What an archive begins with, and one of nothing."""

_CENTRAL_MAGIC = b"PK\1\2"

_HEADERS = "cannot be read: its two headers differ, or it is cut short"

_END_SIZE = 22
_LONGEST_END = _END_SIZE + 0xFFFF
"""Bytes of the end of the central directory, with the longest comment."""

_DOS, _UNIX, _DARWIN = 0, 3, 19
"""Systems that archives are made on."""

_ENCRYPTED, _UTF8 = 1 << 0, 1 << 11
_WAS_UTF8 = 1 << 15
"""A flag that is reserved, in the place of the one for UTF-8 (`_NamesAsBytes`)."""

_READ_ONLY = 1
_KINDS: Mapping[int, Kind] = {
    0: "file",
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
}
_MOST_TARGET = 1 << 16
"""The longest target of a link that is read, in bytes."""

_UNICODE_PATH, _WAS_UNICODE_PATH = 0x7075, 0x7070  # the latter as `_WAS_UTF8`
_TIMESTAMP, _OLD_UNIX, _NTFS, _OWNER = 0x5455, 0x5855, 0x000A, 0x7875
"""The numbers of extra fields."""

_NTFS_EPOCH = 11_644_473_600
"""Seconds from 1601 to 1970."""


class ZipReader(ImageReader):
    """A zip archive."""

    format = "zip"

    def __init__(self, data: PositionalReader, *, device: bool = False) -> None:
        super().__init__(data, device=device)
        try:
            with foreign_errors(""):
                self._zip = ZipFile(cast("IO[bytes]", _NamesAsBytes(data.file())))
        except SourceError as error:
            raise ImageError("", f"is a damaged zip archive ({error.rule})") from None
        self._opening = threading.Lock()  # the library looks at the position that all share
        members = self._zip.infolist()
        if any(info.header_offset < 0 for info in members):
            raise ImageError("", "is a damaged zip archive (what it begins with is missing)")
        self._members = {_path(info): info for info in members}
        self._overlapping = set(_overlapping(members))

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """By the magic of the first header."""
        return head.startswith(_MAGICS)

    @classmethod
    def recognises_end(cls, data: PositionalReader) -> bool:
        """By the last record, which ends with a comment of which it has the length: before the
        first header there may be a program that unpacks it.
        """
        length = min(data.size, _LONGEST_END)
        tail = data.read_at(data.size - length, length)
        begin = tail.rfind(_MAGICS[1])
        comment = begin + _END_SIZE
        told = int.from_bytes(tail[comment - 2 : comment], "little")
        return begin >= 0 and comment + told == length

    def info(self) -> Mapping[str, Fact]:
        """The number of entries."""
        return {"entries": len(self._members)}

    def entries(self, report: Report) -> Iterator[ImageEntry]:
        """Those of the central directory; of a name that is there twice the last."""
        for path, member in self._members.items():
            if path:
                yield self._entry(path, member, report)

    def verify(self, report: Report) -> Iterator[ImageEntry]:
        """`entries`: what is compressed is checked by whoever reads it."""
        return self.entries(report)

    def content(self, entry: ImageEntry) -> PositionalReader:
        """The bytes of a file, as they are or decompressed."""
        if entry.extents:
            return super().content(entry)
        member = self._members[entry.path]
        return _Member(lambda: self._opened(entry.path, member), entry.size, entry.path)

    def _opened(self, path: str, member: ZipInfo) -> IO[bytes]:
        """What is decompressed. The library has names in code page 437, and would tell those."""
        try:
            with self._opening:
                found = cast("Any", self._zip.open(member))
        except BadZipFile as error:
            if str(error).startswith("File name in directory"):
                raise ImageError(path, _HEADERS) from None
            raise
        found.name = path
        return cast("IO[bytes]", found)

    def _entry(self, path: str, member: ZipInfo, report: Report) -> ImageEntry:
        unix = member.external_attr >> 16 if member.create_system in (_UNIX, _DARWIN) else 0
        kind = _KINDS.get(stat.S_IFMT(unix), "other")
        if member.filename.endswith("/") and kind == "file":
            kind = "directory"
        mode = unix & 0o7777
        if not unix:
            mode = 0o755 if kind == "directory" else 0o644
            if member.external_attr & _READ_ONLY:
                mode &= ~0o222
        extra = dict(_extra_fields(member.extra))
        mtime_ns = _extra_time(extra)
        if mtime_ns is None and (mtime_ns := _time(member)) is None:
            report(Deviation(path, "has an invalid time"))
            mtime_ns = EPOCH * NANOSECONDS
        uid, gid = _owner(extra)
        size = member.file_size if kind == "file" else 0
        entry = ImageEntry(
            path=path, kind=kind, size=size, mode=mode, mtime_ns=mtime_ns, uid=uid, gid=gid
        )
        try:
            return self._with_content(entry, member)
        except (ImageError, SourceError) as error:
            report(ImageError(path, error.rule))
            return evolve(entry, damage=error.rule)

    def _with_content(self, entry: ImageEntry, member: ZipInfo) -> ImageEntry:
        """`entry` with what or where its bytes are. Raises `ImageError` and `SourceError`."""
        if member.header_offset in self._overlapping and entry.size:
            raise ImageError(entry.path, "cannot be read: its bytes are another file's, too")
        if member.flag_bits & _ENCRYPTED and entry.kind in ("file", "symlink"):
            raise ImageError(entry.path, "cannot be read: it is encrypted")
        if entry.kind == "symlink":
            return evolve(entry, target=decode(self._target(entry.path, member)))
        if entry.kind == "file":
            if member.compress_type == ZIP_STORED:
                return evolve(entry, extents=self._stored(entry.path, member))
            with foreign_errors(entry.path):
                self._opened(entry.path, member).close()  # tells of unknown methods
        return entry

    def _target(self, path: str, member: ZipInfo) -> bytes:
        if member.file_size > _MOST_TARGET:
            raise ImageError(path, f"is a link with a target of {member.file_size:,} bytes")
        with foreign_errors(path), self._opened(path, member) as file:
            return file.read()

    def _stored(self, path: str, member: ZipInfo) -> Pieces:
        """Where the bytes of a stored file lie; they are as their checksum says."""
        head = self.read_at(member.header_offset, _LOCAL.size)
        magic, name, extra = _LOCAL.unpack(head)
        start = member.header_offset + _LOCAL.size + name + extra
        size = member.file_size
        if magic != _MAGICS[0] or member.compress_size != size or start + size > self.size:
            raise ImageError(path, _HEADERS)
        if crc_of(self.pieces(start, start + size)) != member.CRC:
            raise ImageError(path, "cannot be read: Bad CRC-32")
        return ((start, size),) if size else ()


class _Member(ForeignFile):
    """A file in a zip archive, which may tell a wrong size of it."""

    remedy = "make the archive anew"


class _NamesAsBytes:
    """The `file` of an archive for the library, to which no header says that its name is UTF-8.

    It would refuse the whole archive for one that is not; code page 437 has all bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, most: int = -1) -> bytes:
        """What the file has; the library reads a local header alone, and the directory whole."""
        data = self._file.read(most)
        is_local = most == _LOCAL.size and data.startswith(_MAGICS[0])
        if not is_local and not data.startswith(_CENTRAL_MAGIC):
            return data
        changed = bytearray(data)
        if is_local:
            _unflag(changed, 6)
        else:
            _unflag_all(changed)
        return bytes(changed)


def _unflag_all(directory: bytearray) -> None:
    """Have the headers of a central directory say nothing of UTF-8, nor have fields with it."""
    at = 0
    while directory.startswith(_CENTRAL_MAGIC, at) and at + _CENTRAL.size <= len(directory):
        _unflag(directory, at + 8)
        _, name, extra, comment = _CENTRAL.unpack_from(directory, at)
        field = at + _CENTRAL.size + name
        at = field + extra
        while field + 4 <= min(at, len(directory)):
            number, length = struct.unpack_from("<HH", directory, field)
            if number == _UNICODE_PATH:
                struct.pack_into("<H", directory, field, _WAS_UNICODE_PATH)
            field += 4 + length
        at += comment


def _unflag(data: bytearray, at: int) -> None:
    if data[at + 1] & _UTF8 >> 8:
        data[at + 1] ^= (_UTF8 | _WAS_UTF8) >> 8


def _overlapping(members: Iterable[ZipInfo]) -> Iterator[int]:
    """Where members begin that go on behind the begin of the next one.

    A few bytes would be those of many files, and take long to read.
    """
    for member, after in pairwise(sorted(members, key=lambda member: member.header_offset)):
        if member.header_offset + _LOCAL.size + member.compress_size > after.header_offset:
            yield member.header_offset


def _path(member: ZipInfo) -> str:
    """The path of a member: as Unicode, if it has it so; what was made on Unix, or says UTF-8, is
    bytes.
    """
    name = member.orig_filename  # of which the library itself changes things, each version others
    raw = name.encode("cp437")
    field = dict(_extra_fields(member.extra)).get(_WAS_UNICODE_PATH, b"")
    if field[:5] == b"\1" + crc32(raw).to_bytes(4, "little") and field[5:]:
        name = decode(field[5:])
    elif member.flag_bits & _WAS_UTF8 or member.create_system == _UNIX:
        name = decode(raw)
    name = name.partition("\0")[0]
    if member.create_system == _DOS and "/" not in name:
        name = name.replace("\\", "/")
    return name.removeprefix("./").strip("/")


def _extra_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each extra field's number and content, as far as they are whole."""
    while len(data) >= 4:
        number, length = struct.unpack_from("<HH", data)
        yield number, data[4 : 4 + length]
        data = data[4 + length :]


def _extra_time(extra: Mapping[int, bytes]) -> int | None:
    """The time that an extra field tells, in nanoseconds since 1970 (UTC)."""
    stamp = extra.get(_TIMESTAMP, b"")
    if len(stamp) >= 5 and stamp[0] & 1:
        return int.from_bytes(stamp[1:5], "little", signed=True) * NANOSECONDS
    old = extra.get(_OLD_UNIX, b"")
    if len(old) >= 8:
        return int.from_bytes(old[4:8], "little") * NANOSECONDS
    ntfs = extra.get(_NTFS, b"")
    if len(ntfs) >= 16 and ntfs[4:6] == b"\1\0":
        return int.from_bytes(ntfs[8:16], "little") * 100 - _NTFS_EPOCH * NANOSECONDS
    return None


def _owner(extra: Mapping[int, bytes]) -> tuple[int, int]:
    """The owner that an extra field tells: (uid, gid)."""
    data = extra.get(_OWNER, b"")
    if data[:1] != b"\1":
        return 0, 0
    ids = []
    at = 1
    for _ in range(2):
        length = data[at] if at < len(data) else 0
        ids.append(int.from_bytes(data[at + 1 : at + 1 + length], "little") & 0xFFFFFFFF)
        at += 1 + length
    return ids[0], ids[1]


def _time(member: ZipInfo) -> int | None:
    """The time without a zone, in nanoseconds since 1970; None if it is no time."""
    try:
        return int(datetime(*member.date_time, tzinfo=UTC).timestamp()) * NANOSECONDS
    except ValueError:
        return None
