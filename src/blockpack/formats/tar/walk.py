"""The members of an archive as they stand, header by header, none of it trusted.

Rule 1: a damaged header costs its own member. What follows is found again by the size that it
states, or as GNU tar and bsdtar do it, by the next block that is a header.
Rule 2: where readers differ on how long a content is, the member is damaged, and reading goes on
only if one of these lengths alone leads to a header.
Rule 3: two blocks of zeros end an archive; one does, too, and so does the image's end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...errors import Deviation, ImageError, reading_errors
from ...model.entry import decode
from ..reader import ImageReader, Report
from . import header, sparse
from .blocks import ZEROS, Blocks
from .extended import Extended
from .header import (
    BLOCK,
    END,
    NAME_SIZE,
    Header,
    Numbers,
    Remembered,
    is_header,
    padded,
    text,
)

MAX_EXTENDED = 1 << 20
"""The longest extended header that is read, in bytes; no real one comes near."""

_SOLARIS_EXTENDED, _SOLARIS_ACL, _LABEL = b"X", b"A", b"V"
_EXTENDED = (header.EXTENDED, _SOLARIS_EXTENDED)
_RECORDS = (*_EXTENDED, header.GLOBAL)
META = (*_RECORDS, header.GNU_LONG_NAME, header.GNU_LONG_LINK, _LABEL, _SOLARIS_ACL)
"""The types of what is not an entry."""

_WITHOUT_CONTENT = (header.HARDLINK, header.SYMLINK, header.DIRECTORY, b"3", b"4", b"6")
_NAMES_OF_EXTENDED = (b"@LongLink", b"PaxHeader")
_BEHIND_DAMAGE = "the extended header before it is damaged"
_STRETCH = 4096
"""Plain files that are told at once, at most."""
_FILES = (header.FILE, b"\0", b"7")
_DIGITS, _TAIL = slice(124, 135), slice(156, 512)
_TYPEFLAG, _FILE, _SLASH, _ENDS = 156, ord("0"), ord("/"), b"\0 "

_MOST_SPARSE = 4 << 20
"""Bytes of blocks with pieces of one sparse file."""
_MOST_DIGITS = 19


class Stored(NamedTuple):
    """A member as it stands: its header, and `size` bytes of content from `start` on.

    `extended` is what was said about it before, None for nothing. `damage` is what makes its
    content uncertain. `pieces` are the fields with the pieces of an old GNU sparse file, and its
    size.
    """

    header: Header
    start: int
    size: int
    extended: Extended | None = None
    damage: str = ""
    pieces: tuple[bytes, bytes] | None = None

    @property
    def name(self) -> bytes:
        """The name, as the headers say it."""
        fields, said = self.header, self.extended
        if said is not None:
            name = said.records.get(b"GNU.sparse.name") or said.records.get(b"path") or said.name
            if name is not None:
                return name
        name = text(fields.name)
        if fields.prefix[0] and fields.magic[:6] == header.USTAR[:6]:
            name = text(fields.prefix) + b"/" + name
        return name

    @property
    def linkname(self) -> bytes:
        """What a link leads to, in the same way."""
        said = self.extended
        if said is not None:
            name = said.records.get(b"linkpath") or said.linkname
            if name is not None:
                return name
        return text(self.header.linkname)


class PlainFiles(NamedTuple):
    """Files one after the other, of which their own headers say all: most of most archives.

    Names, header blocks, and where contents start and how long they are (bytes).
    """

    names: list[bytes]
    blocks: list[bytes]
    starts: list[int]
    sizes: list[int]

    @property
    def stored(self) -> Iterator[Stored]:
        """The same one by one."""
        return map(Stored, map(Header.unpack, self.blocks), self.starts, self.sizes)


class Archive:
    """The members of the archive that `reader` reads, once through; `report` is told what is wrong.

    At the end, `end` is where the archive ends (bytes), and `dialect` which one it is.
    """

    def __init__(self, reader: ImageReader, report: Report) -> None:
        self._blocks = Blocks(reader)
        self.size = reader.size
        self.report = report
        self.end = 0
        self.dialect = "v7"
        self.numbers: Numbers = Remembered(header.number)
        self._plain_tails: Remembered[bytes, bool] = Remembered(self._is_plain)
        self._magic = b""
        self.searched = False
        """Whether members since were found by a search, and may be those of another archive that
        lies in a content of this one."""
        self._overall = Extended()
        self._next: Extended | None = None

    def __iter__(self) -> Iterator[Stored | PlainFiles]:
        with reading_errors("the image"):
            yield from self._members()

    def _members(self) -> Iterator[Stored | PlainFiles]:
        at: int | None = 0
        while at is not None:
            block = self._blocks.at(at)
            if len(block) < BLOCK:
                break
            # The first one comes by itself, for it may be a file system.
            if (
                at
                and block[_TYPEFLAG] == _FILE
                and self._next is None
                and not self._overall.records
            ):
                files = self._plain_files(at)
                if files.sizes:
                    yield files
                    at = files.starts[-1] + padded(files.sizes[-1])
                    continue
            if not is_header(block, self._blocks.sums):
                if block == ZEROS:
                    break
                at = self._damaged(at, Header.unpack(block))
                continue
            fields = Header.unpack(block)
            if fields.typeflag in META:
                at = self._meta(at, fields)
                continue
            if fields.magic != self._magic:
                self._meet(fields.magic)
            stored, at = self._stored(block, fields, at + BLOCK)
            yield stored
        self.end = self.size
        if at is not None:
            self._ended(at, block)
        if self._next is not None:
            self.report(ImageError("", "the archive ends after an extended header"))

    def _plain_files(self, at: int) -> PlainFiles:
        """The plain files from `at` on, or the first of them."""
        files = names, blocks, starts, sizes = PlainFiles([], [], [], [])
        buffer, base, sums = self._blocks.buffer, self._blocks.begin, self._blocks.sums
        place = at - base
        plain = b""
        served = 0
        while len(sizes) < _STRETCH:  # there may be a million, so this calls little
            block = buffer[place : place + BLOCK]
            if len(block) < BLOCK:
                self._blocks.served += len(sizes) - served
                served = len(sizes)
                block = self._blocks.at(base + place)
                if len(block) < BLOCK:
                    break
                place += base - self._blocks.begin
                buffer, base = self._blocks.buffer, self._blocks.begin
            tail, digits = block[_TAIL], block[_DIGITS]
            if tail != plain and not self._plain_tails[tail]:
                break
            plain = tail
            end = block.find(0, 0, NAME_SIZE)
            if end < 0:
                end = NAME_SIZE
            if (
                block[end - 1] == _SLASH
                or not digits.isdigit()
                or block[_DIGITS.stop] not in _ENDS
                or not is_header(block, sums)
            ):
                break
            try:
                size = int(digits, 8)
            except ValueError:
                break
            start = base + place + BLOCK
            if size > self.size - start:
                break
            names.append(block[:end])
            blocks.append(block)
            starts.append(start)
            sizes.append(size)
            place += BLOCK + (size + BLOCK - 1 & -BLOCK)
        self._blocks.served += len(sizes) - served
        return files

    def _is_plain(self, tail: bytes) -> bool:
        """Whether the fields behind the checksum are those of a file with a short name."""
        fields = Header.unpack(bytes(_TAIL.start) + tail)
        is_file = fields.typeflag == header.FILE
        return is_file and fields.magic == self._magic and not fields.prefix[0]

    def _meet(self, magic: bytes) -> None:
        """Note the dialect that a magic tells."""
        self._magic = magic
        self._plain_tails.clear()
        if magic == header.GNU:
            self.dialect = "gnu"
        elif magic[:5] == header.USTAR[:5] and self.dialect == "v7":
            self.dialect = "ustar"

    def _ended(self, at: int, block: bytes) -> None:
        """See to what is at `at`, where no header is any more."""
        if at > self.size or any(block):
            rule = f"the image ends at byte {self.size:,}, within a block; it is cut short"
            self.report(ImageError("", rule))
            return
        rest = self._blocks.read(at, len(END))
        self.end = at + len(rest)
        if len(rest) < len(END) or any(rest):
            self.end = at + len(block)
            blocks = "one block of zeros, not two" if len(block) == BLOCK else "no block of zeros"
            self.report(Deviation("", f"the archive ends at byte {at:,} with {blocks}"))

    def _damaged(self, at: int, fields: Header) -> int | None:
        """Tell of a header whose checksum is wrong; where the next one is."""
        rule = f"the header at byte {at:,} has a wrong checksum; what it describes is lost"
        self.report(ImageError("", rule))
        self._next = None
        if fields.typeflag in META or any(name in fields.name for name in _NAMES_OF_EXTENDED):
            self._coming().damage = _BEHIND_DAMAGE
        stated = self.numbers[fields.size]
        return self._found_again(at + BLOCK, () if stated is None else (stated,))

    def _meta(self, at: int, fields: Header) -> int | None:
        """Take in what is not an entry; where the next header is."""
        start = at + BLOCK
        size = self.numbers[fields.size]
        if size is None or size < 0:
            self.report(ImageError("", f"the extended header at byte {at:,} has no size"))
            self._coming().damage = _BEHIND_DAMAGE
            return self._found_again(start, ())
        if start + size > self.size:
            rule = f"the extended header at byte {at:,}: {self._beyond(start + size)}"
            self.report(ImageError("", rule))
            self._next = None
            return None
        if fields.typeflag in (_LABEL, _SOLARIS_ACL):
            return start + padded(size)
        if size > MAX_EXTENDED:
            fault = f"it has {size:,} bytes, too many for any header"
        else:
            fault = self._extend(fields.typeflag, at, self._blocks.read(start, size))
        if fault:
            self.report(ImageError("", f"the extended header at byte {at:,}: {fault}"))
            self._coming().damage = _BEHIND_DAMAGE
        return start + padded(size)

    def _coming(self) -> Extended:
        """What is said about the member that comes next."""
        if self._next is None:
            self._next = Extended()
        return self._next

    def _extend(self, typeflag: bytes, at: int, payload: bytes) -> str:
        """Take in the payload of an extended header; what is wrong with it."""
        if typeflag in _RECORDS:
            self.dialect = "pax"
        try:
            if typeflag == header.GNU_LONG_NAME:
                self._coming().name = text(payload)
            elif typeflag == header.GNU_LONG_LINK:
                self._coming().linkname = text(payload)
            elif typeflag in _EXTENDED:
                self._coming().add(payload)
            else:
                for keyword in self._overall.add_global(payload):
                    rule = f"the global header at byte {at:,} gives all members one "
                    self.report(ImageError("", f"{rule}{decode(keyword)}, which is not heeded"))
                if self._overall.damage:  # of the next one alone
                    self._coming().damage, self._overall.damage = self._overall.damage, ""
        except ValueError as error:
            return str(error)
        return ""

    def _stored(self, block: bytes, fields: Header, start: int) -> tuple[Stored, int | None]:
        """A member, and where the next header is."""
        said, self._next = self._next, None
        sizes, damage = self._sizes(fields, said)
        if self._overall.records:
            said = said or Extended()
            records = self._overall.records | said.records
            said.records = {keyword: value for keyword, value in records.items() if value}
        pieces = None
        if fields.typeflag == header.GNU_SPARSE and fields.magic == header.GNU:
            pieces, start = self._more_pieces(block, start)
        size = sizes[0] if sizes else 0
        doubt = damage or (said.damage if said else "")
        stored = Stored(fields, start, size, said, doubt, pieces)
        if fields.typeflag in _WITHOUT_CONTENT or (
            fields.typeflag in _FILES and stored.name.endswith(b"/")
        ):
            # Some writers state a size nevertheless, and of these some have a content.
            if sizes and size > 0 and self._leads(start + padded(size), start):
                rule = "has a content that none of its type has, and that is passed over"
                self.report(Deviation(decode(stored.name), rule))
                return stored._replace(size=0), start + padded(size)
            return stored._replace(size=0), start
        if damage:
            return stored, self._found_again(start, sizes)
        if start + size > self.size:
            return stored._replace(damage=self._beyond(start + size)), None
        return stored, start + padded(size)

    def _leads(self, there: int, instead_of: int) -> bool:
        """Whether there is a header at one place, and none at the other."""
        return self._blocks.is_header(there) and not self._blocks.is_header(instead_of, or_end=True)

    def _sizes(self, fields: Header, said: Extended | None) -> tuple[tuple[int, ...], str]:
        """The sizes of a content that readers find, and what is wrong if they are not one."""
        field = fields.size
        stated = self.numbers[field]
        if stated is None or stated < 0:
            return (), "its header has no size"
        record = said.records.get(b"size") if said is not None else None
        overall = self._overall.records.get(b"size")
        for found in record, overall if record is None else None:
            if found and (not found.isdigit() or len(found) > _MOST_DIGITS):
                return (stated,), "its extended header has an invalid size"
        if record:
            return (int(record),), ""
        if overall and record is None and int(overall) != stated:
            return (stated, int(overall)), "a global header gives it another size: readers differ"
        if stated and not field[0]:
            # GNU tar passes over one NUL, bsdtar takes it for the end of the number.
            return (stated, 0), "its size is led by a NUL: readers differ on what it is"
        return (stated,), ""

    def _more_pieces(self, block: bytes, start: int) -> tuple[tuple[bytes, bytes], int]:
        """The fields with the pieces of an old GNU sparse file, its size; its content's start."""
        fields = [block[sparse.IN_HEADER]]
        more = block[sparse.CONTINUED]
        while more and start + BLOCK <= self.size:
            following = self._blocks.at(start)
            if len(fields) * BLOCK <= _MOST_SPARSE:
                fields.append(following[sparse.IN_BLOCK])
            more = following[sparse.BLOCK_CONTINUED]
            start += BLOCK
        return (b"".join(fields), block[sparse.SIZE]), start

    def _beyond(self, end: int) -> str:
        """That a content ends beyond the image."""
        rule = f"its content ends at byte {end:,}, and the image at {self.size:,}"
        return f"{rule}; it is cut short or damaged"

    def _found_again(self, start: int, sizes: Iterable[int]) -> int | None:
        """Where reading goes on after a member whose content, from `start` on, may have one of
        these `sizes`, or any; None if that is not to be found.
        """
        places = {start + padded(size) for size in sizes if size >= 0}
        likely = [place for place in sorted(places) if self._blocks.is_header(place, or_end=True)]
        if len(likely) > 1:
            self.report(ImageError("", f"where it goes on after byte {start:,} is not certain"))
            return None
        found = self._blocks.search(start, likely[0] if likely else self.size)
        if not likely or (found is not None and self._chain(found, likely[0])):
            self.searched |= not likely
            return found
        return likely[0]

    def _chain(self, at: int, goal: int) -> bool:
        """Whether members end to end lead from a header to `goal`: an archive that lies in a
        content has an end of its own before.
        """
        while at < goal and self._blocks.is_header(at):
            at += BLOCK + padded(max(self.numbers[Header.unpack(self._blocks.at(at)).size] or 0, 0))
        return at == goal
