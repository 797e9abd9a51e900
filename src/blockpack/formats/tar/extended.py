"""Extended headers: pax records (POSIX pax, IEEE Std 1003.1) and GNU's long names.

A pax header is one of type ``x`` (for the next member) or ``g`` (for all that follow) whose content
is records ``LENGTH KEYWORD=VALUE\\n``; the length counts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import Factory, define

from .header import EXTENDED, pack, padded

OVERALL = (b"mtime", b"uid", b"gid")
"""The records that a global header may give to all members."""

_ONE_MEMBERS = (b"path", b"linkpath")
_ONCE = frozenset({*_ONE_MEMBERS, b"size"})
_USED = _ONCE | {*OVERALL}
_SPARSE = b"GNU.sparse."
_PAIR = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
_TWO = "has two extended headers, of which readers take one or the other"
_ELSEWHERE = {
    b"GNU.volume.": "begins in another volume of its archive",
    b"SUN.holesdata": "is a sparse file of Solaris, which is not read here",
}


def record(keyword: bytes, value: bytes) -> bytes:
    """One record."""
    rest = len(keyword) + len(value) + 3  # a space, '=' and a newline
    length = rest + len(str(rest))
    length = rest + len(str(length))  # the length's own digits may add one
    return b"%d %b=%b\n" % (length, keyword, value)


def extended_header(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The blocks of an ``x`` header with these records."""
    payload = b"".join(record(keyword, value) for keyword, value in records)
    header = pack(b"././@PaxHeader", typeflag=EXTENDED, size=len(payload))
    return header + payload.ljust(padded(len(payload)), b"\0")


def parse(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The records of an extended header. Raises `ValueError` if they are not well-formed."""
    at = 0
    while at < len(payload):
        space = payload.find(b" ", at, at + 20)
        digits = payload[at:space]
        if space < 0 or not digits.isdigit():
            raise ValueError("a record has no length")
        end = at + int(digits)
        keyword, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if end > len(payload) or end <= space + 1 or payload[end - 1 : end] != b"\n":
            raise ValueError("a record's length is wrong")
        if not equals or not keyword:
            raise ValueError("a record has no keyword")
        yield keyword, value
        at = end


@define
class Extended:
    """What was said about one member, or about all.

    `records` are those that an entry is made of, by keyword; only they are kept, or hostile headers
    would fill the memory. `name` and `linkname` are GNU's. `pairs` are the offsets and lengths of a
    sparse file whose records repeat (GNU's version 0.0). `damage` is what makes the member's bytes,
    or its name, uncertain.
    """

    records: dict[bytes, bytes] = Factory(dict)
    name: bytes | None = None
    linkname: bytes | None = None
    pairs: list[bytes] = Factory(list)
    damage: str = ""
    sparse: bool = False
    """Whether it is a sparse file of GNU tar's pax formats."""

    def add(self, payload: bytes) -> None:
        """Take in the records of an ``x`` header. Raises `ValueError` if they are not well-formed,
        with all before the fault taken in.
        """
        if self.sparse or not _ONCE.isdisjoint(self.records):
            self.damage = _TWO
        for keyword, value in parse(payload):
            if keyword in _USED:
                # One without a value takes back an earlier one (POSIX pax).
                self.records[keyword] = value
            elif keyword in _PAIR:
                self.pairs.append(value)
                self.sparse = True
            elif keyword.startswith(_SPARSE):
                self.records[keyword] = value
                self.sparse = True
            else:
                self._pass_over(keyword)
        if self.name not in (None, self.records.get(b"path", self.name)):
            self.damage = _TWO

    def add_global(self, payload: bytes) -> Iterator[bytes]:
        """Take in the records of a ``g`` header; the keywords of those that not all readers heed.
        Raises as `add` does.
        """
        for keyword, value in parse(payload):
            if keyword in OVERALL or keyword == b"size":
                self.records[keyword] = value
            elif keyword in _ONE_MEMBERS:
                yield keyword
            else:
                self._pass_over(keyword)

    def _pass_over(self, keyword: bytes) -> None:
        for start, damage in _ELSEWHERE.items():
            if keyword.startswith(start):
                self.damage = damage
