"""Git's objects as they are stored: trees, commits and tags.

A tree is entries end to end, each a mode in octal digits, a space, a name, a NUL, and an object id
as bytes. Commits and tags begin with lines, each a key, a space and a value, up to an empty line.
"""

from __future__ import annotations

import re

OID_SIZES = {"sha1": 20, "sha256": 32}
"""Bytes of an object id for each object format."""

FILE, EXECUTABLE, LINK, TREE, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o40000, 0o160000
"""The modes of a tree's entries."""

MODES = {
    b"100644": FILE,
    b"100664": FILE,  # of early git
    b"100755": EXECUTABLE,
    b"120000": LINK,
    b"40000": TREE,
    b"040000": TREE,  # of programs that are not git
    b"160000": SUBMODULE,
}
"""The modes that there are, as they are written."""

MOST_BYTES = 1 << 30
"""A tree, commit or tag that is larger (bytes) is not taken for one."""

_COMMITTER = re.compile(rb"^committer [^\n]*> (\d{1,19}) [+-]\d{4}$", re.M)


RawEntry = tuple[bytes, bytes, bytes]
"""An entry of a tree as it stands there: mode, name, object id."""

_ENTRIES = {
    size: re.compile(rb"([0-9]{1,7}) ([^\0]*)\0(.{%d})" % size, re.S) for size in OID_SIZES.values()
}


def tree_entries(data: bytes, oid_size: int) -> list[RawEntry]:
    """The entries of a tree. Raises `ValueError` where it is no sound one."""
    found: list[RawEntry] = _ENTRIES[oid_size].findall(data)
    taken = sum(len(mode) + len(name) for mode, name, _ in found) + len(found) * (2 + oid_size)
    if taken != len(data):  # there is something between two of them, or at an end
        raise ValueError("it holds what is no entry")
    return found


def field(data: bytes, key: bytes) -> str | None:
    """The value of the first line of a commit or a tag, if its key is `key`."""
    found, _, value = data.partition(b"\n")[0].partition(b" ")
    return value.decode("ascii", "replace") if found == key else None


def committed(data: bytes) -> int | None:
    """When a commit was committed, in seconds since 1970; None if it does not say so."""
    found = _COMMITTER.search(data.partition(b"\n\n")[0])
    return int(found[1]) if found else None


def is_oid(text: str, size: int) -> bool:
    """Whether `text` is an object id of `size` bytes in hexadecimal digits."""
    return len(text) == 2 * size and re.fullmatch(r"[0-9a-f]+", text) is not None
