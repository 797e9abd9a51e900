"""Padding: members that mean nothing, to bring a payload onto a boundary.

Rule 1: readers skip it without a word. A global header with one comment is such a member; it takes
1024 bytes if the comment has 512. An empty one makes 7-Zip warn and MirageOS' reader crash on
sectors of 4096 bytes, and a longer one makes that crash everywhere.
Rule 2: so, where that reader may come, an odd block is an entry for the root of the tree, ``./``.
Who extracts the archive gets the mode and the time of that, as from any archive of ``.``.
Elsewhere one header has two comments of 512 bytes, and nothing gets anything. (Of one of 1024,
Debian's pax complains.)
Rule 3: ustar knows no global headers, and an old reader would extract them; there, all is ``./``.
"""

from __future__ import annotations

from .header import BLOCK, DIRECTORY, GLOBAL, MAX_SIZE, pack


def comments(length: int) -> bytes:
    """`length` bytes of global headers with comments: a multiple of 512, but not 512 itself."""
    pairs, odd = divmod(length, 2 * BLOCK)
    longer = [_comments(2)] if odd else []
    return b"".join([*longer, *[_comments(1)] * (pairs - len(longer))])


def _comments(count: int) -> bytes:
    """A global header whose payload is `count` comments of a block each."""
    record = b"%d comment=" % BLOCK
    record += b" " * (BLOCK - len(record) - 1) + b"\n"
    return pack(b"pax_global_header", typeflag=GLOBAL, size=count * BLOCK) + record * count


def root_entries(length: int, mtime: int) -> bytes:
    """`length` bytes, a multiple of 512, of entries ``./``.

    Their time is `mtime` (seconds since 1970) if a plain header holds it, else 1970.
    """
    mtime = mtime if 0 <= mtime <= MAX_SIZE else 0
    return pack(b"./", typeflag=DIRECTORY, mode=0o755, mtime=mtime) * (length // BLOCK)
