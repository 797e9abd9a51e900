"""Padding: members that mean nothing, to bring a payload onto a boundary.

Rule 1: readers skip it without a word. A global header with one comment is such a member; it takes
1024 bytes if the comment has 512. An empty one makes 7-Zip warn and MirageOS' reader crash on
sectors of 4096 bytes, and a longer one makes that crash everywhere.
Rule 2: so, where that reader may come, an odd block is an entry for the root of the tree, ``./``.
Who extracts the archive gets the mode and the time of that, as from any archive of ``.``.
Elsewhere one comment is longer, and nothing gets anything.
Rule 3: ustar knows no global headers, and an old reader would extract them; there, all is ``./``.
"""

from __future__ import annotations

from .header import BLOCK, DIRECTORY, GLOBAL, MAX_SIZE, pack


def comments(length: int) -> bytes:
    """`length` bytes of global headers with comments: a multiple of 512, but not 512 itself."""
    pairs, odd = divmod(length, 2 * BLOCK)
    if not odd:
        return _comment(BLOCK) * pairs
    return _comment(2 * BLOCK) + _comment(BLOCK) * (pairs - 1)


def _comment(size: int) -> bytes:
    """A global header whose payload is a comment of `size` bytes."""
    record = b"%d comment=" % size
    record += b" " * (size - len(record) - 1) + b"\n"
    return pack(b"pax_global_header", typeflag=GLOBAL, size=size) + record


def root_entries(length: int, mtime: int) -> bytes:
    """`length` bytes, a multiple of 512, of entries ``./``.

    Their time is `mtime` (seconds since 1970) if a plain header holds it, else 1970.
    """
    mtime = mtime if 0 <= mtime <= MAX_SIZE else 0
    return pack(b"./", typeflag=DIRECTORY, mode=0o755, mtime=mtime) * (length // BLOCK)
