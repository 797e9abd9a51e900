"""Sparse files: a map of the pieces that are stored, and holes of zeros between them.

GNU tar writes them in four ways. Old GNU archives have a member of type ``S``, whose header holds
four pieces and says whether blocks with 21 more follow. In pax archives the map is in records,
two a piece (version 0.0) or all in one (0.1), or it is lines of text before the content (1.0).
A piece is an offset in the file and a length, both in bytes; the pieces' bytes lie end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...model.limits import MOST
from ..reader import Pieces
from .extended import Extended
from .header import BLOCK, number, padded

IN_HEADER = slice(386, 482)
"""The pieces in the header of type ``S``."""
CONTINUED = 482
"""The byte that tells whether a block with more pieces follows."""
SIZE = slice(483, 495)
"""The size of the file with its holes."""
IN_BLOCK, BLOCK_CONTINUED = slice(0, 504), 504
"""The same in a block with more pieces."""

_FIELD = 12
_DIGITS = 19
_AHEAD = 64 << 10

Map = Sequence[tuple[int, int]]
ReadAt = Callable[[int, int], bytes]


def old_map(fields: bytes) -> Map:
    """The pieces in fields of an old GNU archive. Raises `ValueError` if they are no numbers."""
    numbers = []
    for at in range(0, len(fields) - _FIELD, 2 * _FIELD):
        if fields[at + _FIELD]:
            numbers += [number(fields[at : at + _FIELD]), number(fields[at + _FIELD :][:_FIELD])]
    if None in numbers:
        raise ValueError("its map has something that is not a number")
    return _paired([found for found in numbers if found is not None])


def pax_map(extended: Extended, read_at: ReadAt, start: int, stored: int, most: int) -> _Found:
    """The size and the map that records describe, and where the content begins.

    `stored` bytes from `start` on are the member's. Raises `ValueError` if they make no sense, or
    are more than `most` pieces.
    """
    records = extended.records
    major = records.get(b"GNU.sparse.major", b"0")
    minor = records.get(b"GNU.sparse.minor", b"")
    if (major, minor) == (b"1", b"0"):
        numbers, length = _text_map(read_at, start, stored, most)
        return _size(records.get(b"GNU.sparse.realsize", b"")), _paired(numbers), start + length
    if major != b"0":
        raise ValueError("it is of a version that is not read here")
    texts = extended.pairs
    if b"GNU.sparse.map" in records:
        texts = records[b"GNU.sparse.map"].split(b",")
    return (
        _size(records.get(b"GNU.sparse.size", b"")),
        _paired([_size(text) for text in texts]),
        start,
    )


_Found = tuple[int, Map, int]


def _text_map(read_at: ReadAt, start: int, stored: int, most: int) -> tuple[list[int], int]:
    """The numbers of a map that lies before the content, and the bytes that it takes."""
    text = read_at(start, min(stored, BLOCK))
    count = _size(text.partition(b"\n")[0])
    if count > most:
        raise ValueError(f"its map has {count:,} pieces, more than so much content can have")
    while text.count(b"\n") <= 2 * count:
        if len(text) == stored:
            raise ValueError("its map does not end")
        more = min(max(_AHEAD, len(text)), stored - len(text))
        text += read_at(start + len(text), more)
    lines = text.split(b"\n", 2 * count + 1)
    length = len(text) - len(lines[-1])
    return [_size(line) for line in lines[1:-1]], padded(length)


def _paired(numbers: list[int]) -> Map:
    if len(numbers) % 2:
        raise ValueError("its map has an offset without a length")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _size(text: bytes) -> int:
    if not text.isdigit() or len(text) > _DIGITS:
        raise ValueError("its map has something that is not a number")
    return int(text)


def pieces(size: int, pieces: Map, start: int, end: int, most: int) -> Pieces:
    """Where the bytes of a file of `size` bytes lie, whose stored pieces take `start` to `end`.

    Raises `ValueError` if the map does not fit, or has more than `most` pieces.
    """
    if not 0 <= size <= MOST or len(pieces) > most:
        raise ValueError("its size or its map is too large")
    return tuple(_pieces(size, pieces, start, end))


def _pieces(size: int, pieces: Map, start: int, end: int) -> Iterator[tuple[int | None, int]]:
    at = 0
    for offset, length in pieces:
        if not at <= offset <= offset + length <= size:
            raise ValueError("its map is not in order, or goes beyond its size")
        if not length:
            continue
        if offset > at:
            yield None, offset - at
        yield start, length
        start += length
        at = offset + length
    if start != end:
        raise ValueError("its map has more or fewer bytes than are stored")
    if size > at:
        yield None, size - at
