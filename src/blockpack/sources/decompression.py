"""Archives that are compressed, or come through a pipe: written once to a temporary file.

It takes constant memory, and what is zeros takes no room there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, BinaryIO

from ..errors import UsageError
from ..reading.spool import Spool
from .hierarchy import foreign_errors

_PIECE = 1 << 20
"""Bytes that are decompressed at once."""

_FRAME_PIECE = 2 << 10
"""Bytes of zstd that are decompressed at once where it is not said how many come of them: 64 MiB at
the most."""

_MAGIC = 6
"""Bytes that tell how a file is compressed."""

HEAD = 4096
"""Bytes that tell what an archive or an image is."""


class _Rewound:
    """A file whose first bytes were read, from its start."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def read(self, most: int = -1, /) -> bytes:
        head, self._head = self._head[:most], self._head[most:]
        return head or self._file.read(most)


def is_compressed(descriptor: int) -> bool:
    """Whether a file is compressed, by how it begins. Raises `OSError`."""
    return _unpacker(os.pread(descriptor, _MAGIC, 0)) is not None


def spooled(descriptor: int, name: str, require: Callable[[bytes], object]) -> Spool:
    """What comes through a pipe or from a file, decompressed if need be; `require` refuses what is
    no archive by its first bytes, `HEAD` at least: it may have no end.

    Raises what that does, `SourceError` if it is damaged, `TargetError` if it cannot be kept, and
    `UsageError` without a library for it.
    """
    spool = Spool()
    begin, end = b"", 0
    with open(descriptor, "rb", closefd=False) as file:
        with foreign_errors(name):
            magic = file.read(_MAGIC)
        pieces = _told((_unpacker(magic) or _pieces)(_Rewound(magic, file)), name)
        while len(begin) < HEAD and (data := next(pieces, None)) is not None:
            begin += data
        require(begin)
        for data in chain([begin], pieces):
            if data.strip(b"\0"):
                spool.write(data, end)
            end += len(data)
    spool.truncate(end)
    return spool


_Unpack = Callable[[Any], Iterator[bytes]]
"""From a file object to what is in it, piece by piece."""


def _unpacker(head: bytes) -> _Unpack | None:
    return next((unpack for magic, unpack in _KINDS.items() if head.startswith(magic)), None)


def _told(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The `pieces`, whose every error is a `SourceError` about `name`."""
    with foreign_errors(name, "cannot be decompressed"):
        yield from pieces


def _pieces(file: Any) -> Iterator[bytes]:
    while data := file.read(_PIECE):
        yield data


def _streams(
    file: Any, begin: Callable[[], Any], most: int = _PIECE, *bound: int
) -> Iterator[bytes]:
    """One stream after another, and zeros between them, `most` bytes at a time; as many come out
    as the `bound` says. (The libraries' own file objects take what follows a stream, and is none,
    for nothing: a damaged stream would be lost without a word. And zstandard's takes what was cut
    short for whole.)
    """
    stream: Any = None
    while data := file.read(most):
        while data := data if stream else data.lstrip(b"\0"):
            stream = stream or begin()
            yield stream.decompress(data, *bound)
            while bound and not (stream.eof or stream.needs_input):
                yield stream.decompress(b"", *bound)
            data, stream = (stream.unused_data, None) if stream.eof else (b"", stream)
    if stream is not None:
        raise EOFError("it is cut short")


def _zstd(file: Any) -> Iterator[bytes]:
    for library in ("compression.zstd", "backports.zstd"):
        try:
            found = import_module(library)
        except ImportError:
            continue
        return _pieces(found.ZstdFile(file))
    try:
        import zstandard
    except ImportError:
        rule = "zstd takes Python 3.14, or the library backports.zstd or zstandard"
        raise UsageError("", rule, "install one, or decompress it") from None
    frame = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj
    return _streams(file, frame, _FRAME_PIECE)


def _bounded(file: Any, library: str, decompressor: str) -> Iterator[bytes]:
    return _streams(file, getattr(import_module(library), decompressor), _PIECE, _PIECE)


_KINDS: dict[bytes, _Unpack] = {
    b"\x1f\x8b": lambda file: _pieces(import_module("gzip").GzipFile(fileobj=file)),
    b"BZh": lambda file: _bounded(file, "bz2", "BZ2Decompressor"),
    b"\xfd7zXZ\0": lambda file: _bounded(file, "lzma", "LZMADecompressor"),
    b"\x28\xb5\x2f\xfd": _zstd,
}
"""What a compressed file begins with, and what decompresses it."""
