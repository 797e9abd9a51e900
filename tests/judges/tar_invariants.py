"""A tar image, held against POSIX and against what its readers need.

Written from IEEE Std 1003.1-2017, "pax Interchange Format" and "ustar Interchange Format".
`check` asserts that every header is well-formed to the last byte, that members come in the
order of a sorted depth-first walk, that padding is zero, and that the archive ends in two
zero blocks and nothing else. Entries named ``./`` may stand anywhere and mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .image import Image, Source

BLOCK = 512
POSIX_MAGIC, GNU_MAGIC = b"ustar\x0000", b"ustar  \x00"
LONG_LINK = b"././@LongLink"

Kind = Literal["file", "directory", "symlink", "hardlink"]
KINDS: dict[bytes, Kind] = {b"0": "file", b"1": "hardlink", b"2": "symlink", b"5": "directory"}

_OCTAL = re.compile(rb"([0-7]+)[ \0]+")
_RECORD = re.compile(rb"([1-9][0-9]*) ([^=\n]+)=", re.S)
_NUMBER = re.compile(rb"0|[1-9][0-9]*")
_TIME = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]{1,9})?")
_TEXTS = frozenset({b"path", b"linkpath", b"uname", b"gname", b"comment"})
_TIMES = frozenset({b"atime", b"ctime", b"mtime"})
_NUMBERS = frozenset({b"size", b"uid", b"gid"})


@dataclass(frozen=True)
class Rules:
    """What is asked for beyond POSIX, or forgiven to another program."""

    alignment: int = 4096
    """The image ends on a multiple of this."""
    ordered: bool = True
    """Members come in the order of a sorted depth-first walk, each after its directory."""
    extended_limit: int | None = None
    """The most bytes that the payload of an extended header may have; MirageOS: 512."""
    utf8_records: bool = True
    """Text in pax records is UTF-8, unless hdrcharset says BINARY."""


STRICT = Rules()


@dataclass(frozen=True)
class Member:
    """One entry; `mtime` is in whole seconds, `offset` that of its data in the image."""

    kind: Kind
    size: int
    mode: int
    mtime: int
    linkname: bytes
    offset: int


Records = dict[bytes, bytes]


class _Header(NamedTuple):
    """A header block, with its fields decoded."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    typeflag: bytes
    linkname: bytes
    is_gnu: bool


def check(source: Source, rules: Rules = STRICT) -> dict[bytes, Member]:
    """Assert that the tar image is sound, and return its members by path, in their order."""
    with Image(source) as image:
        assert image.size % BLOCK == 0, f"{image.size} bytes are not whole blocks"
        assert image.size % rules.alignment == 0, f"the image is {image.size} bytes long"
        members: dict[bytes, Member] = {}
        for path, member in _Reader(image, rules).members():
            assert path not in members, f"{path!r} comes twice"
            if member.kind == "hardlink":
                target = members.get(member.linkname)
                assert target and target.kind == "file", f"{path!r}: no file to link to"
            members[path] = member
    if rules.ordered:
        _check_order(members)
    return members


def payload_offsets(source: Source, rules: Rules = STRICT) -> dict[bytes, int]:
    """The offset in the image of the data of each file that has any."""
    members = check(source, rules).items()
    return {path: member.offset for path, member in members if member.size}


class _Reader:
    def __init__(self, image: Image, rules: Rules) -> None:
        self._image = image
        self._rules = rules
        self._offset = 0
        self._magic: bytes | None = None

    def members(self) -> Iterator[tuple[bytes, Member]]:
        """Every member but the root, to the very end of the image."""
        extended: Records = {}
        ended = shared_before = False
        while header := self._header():
            where = f"the header before {self._offset}"
            is_shared = header.typeflag == b"g"
            assert not (shared_before and is_shared), f"{where}: two of 'g' in a row"
            shared_before = is_shared
            if is_shared:
                assert not extended, f"{where}: an extended header has no member"
                shared = self._records(header)
                assert shared.keys() == {b"comment"}, f"{where}: 'g' changes what follows"
            elif header.typeflag == b"x":
                assert not ended, f"{where}: an extended header has no member"
                records = self._records(header)
                # Behind GNU's long names 'x' may say the rest.
                assert not records.keys() & extended.keys(), f"{where}: two names"
                extended |= records
                ended = True
            elif header.typeflag in (b"L", b"K"):
                assert not ended, f"{where}: 'x' is not followed by its member"
                keyword = b"path" if header.typeflag == b"L" else b"linkpath"
                assert keyword not in extended, f"{where}: two long names"
                extended[keyword] = self._long_name(header)
            else:
                yield from self._member(header, extended)
                extended, ended = {}, False
        assert not extended, "an extended header has no member"
        assert self._offset + BLOCK <= self._image.size, "there is only one zero block"
        self._image.assert_zero(self._offset, self._image.size, "what follows the end")

    def _member(self, header: _Header, extended: Records) -> Iterator[tuple[bytes, Member]]:
        path = extended.get(b"path", header.name)
        assert header.typeflag in KINDS, f"{path!r}: typeflag {header.typeflag!r}"
        kind = KINDS[header.typeflag]
        size = int(extended.get(b"size", header.size))
        if kind != "file":
            assert size == 0, f"{path!r}: a {kind} with data"
        is_directory = path.endswith(b"/")
        assert is_directory == (kind == "directory"), f"{path!r}: typeflag {header.typeflag!r}"
        linkname = extended.get(b"linkpath", header.linkname)
        assert bool(linkname) == (kind in ("symlink", "hardlink")), f"{path!r}: {linkname!r}"
        mtime = extended.get(b"mtime")
        seconds = header.mtime if mtime is None else _floor(mtime)
        offset = self._skip(size, f"{path!r}: the padding of its data")
        if path == b"./":
            return
        parts = path.removesuffix(b"/").split(b"/")
        assert not {b"", b".", b".."}.intersection(parts), f"{path!r} is not a plain path"
        assert b"\0" not in path, f"{path!r} has a NUL"
        assert header.mode <= 0o7777, f"{path!r}: mode {header.mode:o}"
        member = Member(kind, size, header.mode, seconds, linkname, offset)
        yield path.removesuffix(b"/"), member

    def _header(self) -> _Header | None:
        """The next header, or None at the first of the zero blocks."""
        where = f"the header at {self._offset}"
        block = self._image.read(self._offset, BLOCK)
        self._offset += BLOCK
        if not any(block):
            return None
        checksum = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
        assert _number(block[148:156], where) == checksum, f"{where}: checksum"
        magic = block[257:265]
        assert magic in (POSIX_MAGIC, GNU_MAGIC), f"{where}: magic {magic!r}"
        is_gnu = magic == GNU_MAGIC
        name = _string(block[:100], where)
        for field in (block[265:297], block[297:329]):
            assert field[-1] == 0, f"{where}: uname or gname is not terminated"
            _string(field, where)
        for field in (block[329:337], block[337:345]):
            # Only devices have them: all others may leave them blank.
            device = _number(field, where) if any(field) else 0
            assert device == 0, f"{where}: a device number"
        if self._offset == BLOCK and name == b".erofs":
            assert block[500:] == b"EROFS".ljust(12, b"\0"), f"{where}: not marked"
            block = block[:500] + bytes(12)
        if is_gnu:
            assert not any(block[345:]), f"{where}: something where ustar has its prefix"
        else:
            prefix = _string(block[345:500], where)
            assert not any(block[500:]), f"{where}: something behind the prefix"
            name = prefix + b"/" + name if prefix else name
        assert name, f"{where}: no name"
        # GNU's long names and the padding are what every reader takes in any archive.
        if block[156:157] not in b"LKg" and name != b"./":
            assert self._magic in (None, magic), f"{where}: two dialects in one archive"
            self._magic = magic
        return _Header(
            name=name,
            mode=_number(block[100:108], where),
            uid=_number(block[108:116], where, binary=is_gnu),
            gid=_number(block[116:124], where, binary=is_gnu),
            size=_number(block[124:136], where, binary=is_gnu),
            mtime=_number(block[136:148], where, binary=is_gnu),
            typeflag=block[156:157],
            linkname=_string(block[157:257], where),
            is_gnu=is_gnu,
        )

    def _payload(self, header: _Header) -> bytes:
        """The payload of an extended header."""
        where = f"the extended header before {self._offset}"
        assert header.size, f"{where}: its payload is empty"
        limit = self._rules.extended_limit
        assert limit is None or header.size <= limit, f"{where}: {header.size} bytes"
        return self._image.read(self._skip(header.size, where), header.size)

    def _long_name(self, header: _Header) -> bytes:
        where = f"the long name before {self._offset}"
        assert header.is_gnu and header.name == LONG_LINK, f"{where}: not GNU's"
        payload = self._payload(header)
        assert payload.find(b"\0") == len(payload) - 1 > 0, f"{where}: {payload!r}"
        return payload[:-1]

    def _records(self, header: _Header) -> Records:
        where = f"the pax records at {self._offset}"
        assert not header.is_gnu, f"{where}: they are not of GNU's dialect"
        payload = self._payload(header)
        records: Records = {}
        at = 0
        while at < len(payload):
            found = _RECORD.match(payload, at)
            assert found, f"{where}: no record at byte {at}"
            end = at + int(found[1])
            assert found.end() < end <= len(payload), f"{where}: a record of {found[1]!r} bytes"
            assert payload[end - 1] == ord("\n"), f"{where}: a record does not end in a newline"
            again = found[2] in records and found[2] != b"comment"
            assert not again, f"{where}: {found[2]!r} comes twice"
            records[found[2]] = payload[found.end() : end - 1]
            at = end
        self._check_records(records, where)
        return records

    def _check_records(self, records: Records, where: str) -> None:
        binary = records.get(b"hdrcharset") == b"BINARY"
        for keyword, value in records.items():
            where_value = f"{where}: {keyword!r} is {value!r}"
            if keyword in _TEXTS:
                assert b"\0" not in value, where_value
                if self._rules.utf8_records and not binary:
                    assert value.decode("utf-8", "replace").encode() == value, where_value
            elif keyword in _NUMBERS:
                assert _NUMBER.fullmatch(value), where_value
            elif keyword in _TIMES:
                assert _TIME.fullmatch(value), where_value
            else:
                # Vendors' keywords are in capitals, as in SCHILY.dev.
                vendor = keyword.partition(b".")[0]
                assert keyword == b"hdrcharset" or vendor.isupper(), where_value

    def _skip(self, size: int, what: str) -> int:
        """Go past `size` bytes of data, and return where they began."""
        start, end = self._offset, self._offset + size
        self._offset = end + -size % BLOCK
        assert self._offset <= self._image.size, f"{what}: past the end of the image"
        self._image.assert_zero(end, self._offset, what)
        return start


def _number(field: bytes, where: str, *, binary: bool = False) -> int:
    """An octal number; `binary` allows GNU's numbers in base 256 as well."""
    if binary and field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if binary and field[0] == 0xFF:
        return int.from_bytes(field, "big", signed=True)
    found = _OCTAL.fullmatch(field)
    assert found, f"{where}: {field!r} is not an octal number with an end"
    return int(found[1], 8)


def _string(field: bytes, where: str) -> bytes:
    """Text up to a NUL, or all of the field; only NULs follow the first one."""
    text = field.rstrip(b"\0")
    assert b"\0" not in text, f"{where}: {field!r} goes on after its NUL"
    return text


def _floor(time: bytes) -> int:
    seconds, _, fraction = time.partition(b".")
    return int(seconds) - (time.startswith(b"-") and any(fraction.strip(b"0")))


def _check_order(members: dict[bytes, Member]) -> None:
    """Each member follows its directory, and siblings are sorted, by bytes or code points.

    The two differ only in where bytes that are not UTF-8 go; one order holds throughout.
    """
    unsorted = {"bytes": b"", "code points": b""}
    newest: dict[bytes, bytes] = {}
    open_directories = [b""]
    for path, member in members.items():
        parent, _, name = path.rpartition(b"/")
        while open_directories[-1] != parent:
            open_directories.pop()
            assert open_directories, f"{path!r} does not follow its directory"
        previous = newest.get(parent)
        if previous is not None:
            if previous >= name:
                unsorted["bytes"] = path
            if _code_points(previous) >= _code_points(name):
                unsorted["code points"] = path
        newest[parent] = name
        if member.kind == "directory":
            open_directories.append(path)
    assert not all(unsorted.values()), f"not in order: {unsorted}"


def _code_points(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
