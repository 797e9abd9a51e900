"""Extended headers (POSIX pax, IEEE Std 1003.1, "pax Extended Header").

An extended header is a header of type ``x`` (for the next member) or ``g`` (for all that
follow) whose content is records ``LENGTH KEYWORD=VALUE\\n``; the length counts itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .header import EXTENDED, pack, padded


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
