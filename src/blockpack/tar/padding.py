"""Padding: members that mean nothing, to bring a payload onto a boundary.

Rule 1: readers skip it without a word. A global header with one comment of 512 bytes is such a
member, and takes 1024 bytes. A shorter one (an empty payload) makes 7-Zip warn and MirageOS' reader
crash on sectors of 4096 bytes, and a longer one makes that crash everywhere.
Rule 2: an odd block is an entry for the root of the tree, ``./``, which changes nothing.
Rule 3: ustar knows no global headers, and an old reader would extract them; there, all is ``./``.
"""

from __future__ import annotations

from .header import BLOCK, DIRECTORY, GLOBAL, pack
from .members import Dialect
from .pax import record

_COMMENT = 512
_GLOBAL = pack(b"pax_global_header", typeflag=GLOBAL, size=_COMMENT) + record(
    b"comment", b" " * (_COMMENT - len(b"512 comment=\n"))
)


def padding(length: int, mtime: int, dialect: Dialect) -> bytes:
    """`length` bytes, a multiple of 512, of members that mean nothing.

    `mtime` is the time of ``./``, in seconds since 1970.
    """
    root = pack(b"./", typeflag=DIRECTORY, mode=0o755, mtime=mtime)
    if dialect == "ustar":
        return root * (length // BLOCK)
    pairs, odd = divmod(length, 2 * BLOCK)
    return root * (odd // BLOCK) + _GLOBAL * pairs
