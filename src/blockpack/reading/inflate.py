"""Inflating at once, and the checksums of packs and archives, by the fastest library that is there.

ISA-L, which comes with ``blockpack[fast]``, takes a third of zlib's time for either, and gives the
very same bytes: there is but one way to inflate a stream. (It takes a few that are malformed, and
that zlib refuses, if their checksum is right.) To deflate there are many ways, and so that is left
to zlib (`formats.git.deflate`). So is to inflate piece by piece: of a stream whose pieces have
bounds, ISA-L may have read all and not know yet that this was its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # whichever it is, they are as zlib's are
    from zlib import adler32, crc32, decompress
    from zlib import error as InflateError
else:
    try:
        from isal.isal_zlib import adler32, crc32, decompress
        from isal.isal_zlib import error as InflateError
    except ImportError:
        from zlib import adler32, crc32, decompress
        from zlib import error as InflateError


def crc_of(pieces: Iterable[bytes]) -> int:
    """The CRC-32 of all `pieces`, one after the other."""
    crc = 0
    for piece in pieces:
        crc = crc32(piece, crc)
    return crc


__all__ = ["InflateError", "adler32", "crc32", "crc_of", "decompress"]
