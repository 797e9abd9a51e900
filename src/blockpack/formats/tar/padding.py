"""Padding: members that mean nothing, to bring a payload onto a boundary.

Rule 1: readers skip it without a word. A global header with one comment is such a member; it takes
1024 bytes if the comment has 512. An empty one makes 7-Zip warn and MirageOS' reader crash on
sectors of 4096 bytes, and a longer one makes that crash everywhere. Of two that follow each other
libarchive (3.8.10) makes an error.
Rule 2: so, where MirageOS' reader may come, all but one are entries for the root of the tree,
``./``. Who extracts the archive gets the mode and the time of that, as from any archive of ``.``.
Elsewhere one header has as many comments of 512 bytes as it takes, and nothing gets anything. (Of a
longer comment Debian's pax complains.)
Rule 3: ustar knows no global headers, and an old reader would extract them; there, all is ``./``.
"""

from __future__ import annotations

from .header import BLOCK, DIRECTORY, GLOBAL, MAX_SIZE, pack


def comments(length: int) -> bytes:
    """`length` bytes of one global header with comments of a block each: a multiple of 512, and
    1024 at least, or none.
    """
    if not length:
        return b""
    count = length // BLOCK - 1
    record = b"%d comment=" % BLOCK
    record += b" " * (BLOCK - len(record) - 1) + b"\n"
    return pack(b"pax_global_header", typeflag=GLOBAL, size=count * BLOCK) + record * count


def root_entries(length: int, mtime: int) -> bytes:
    """`length` bytes, a multiple of 512, of entries ``./``.

    Their time is `mtime` (seconds since 1970) if a plain header holds it, else 1970.
    """
    mtime = mtime if 0 <= mtime <= MAX_SIZE else 0
    return pack(b"./", typeflag=DIRECTORY, mode=0o755, mtime=mtime) * (length // BLOCK)
