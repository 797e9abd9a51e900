"""Git's objects: trees, commits and tags as bytes, and the ids of objects.

A tree is entries end to end, each a mode in octal digits, a space, a name, a NUL, and an object id
as bytes. Commits and tags begin with lines, each a key, a space and a value, up to an empty line.
An object's id is the hash of its type, a space, its size in decimal digits, a NUL, and its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, pairwise
from typing import Any, Literal

from .pack_format import KINDS

ObjectFormat = Literal["sha1", "sha256"]
"""The hash that makes ids."""

OID_SIZES = {"sha1": 20, "sha256": 32}
"""Bytes of an object id for each object format."""


FILE, EXECUTABLE, LINK, TREE, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o40000, 0o160000
"""The modes of a tree's entries (git-fast-import(1), "filemodify")."""

PERMISSIONS = {FILE: 0o644, EXECUTABLE: 0o755, LINK: 0o777, TREE: 0o755}
"""What they stand for elsewhere."""

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

_COMMITTER = re.compile(
    rb"tree [0-9a-f]+\n(?:parent [0-9a-f]+\n)*"
    rb"author[^\n]*\ncommitter[^\n]*>[ \t\r]*(-?)0*([0-9]{1,21})[^\n>]*\n"
)

_PARENT = re.compile(rb"^parent ((?:[0-9a-f]{2}){20,32})$", re.M)

_MOST_TAGS = 16
"""Tags of tags that are followed."""

_LATEST = 253_402_300_799
"""The end of the year 9999, in seconds since 1970: no commit is taken to be later."""

RawEntry = tuple[bytes, bytes, bytes]
"""An entry of a tree as it stands there: mode, name, object id."""

_ENTRIES = {
    size: re.compile(rb"([0-9]{1,7}) ([^\0]*)\0(.{%d})" % size, re.S) for size in OID_SIZES.values()
}


def begin_id(kind: int, size: int, object_format: str) -> Any:
    """The hash of an object of that type and `size` bytes, to be updated with these."""
    import hashlib  # it takes a while, and to read a repository takes none

    return hashlib.new(object_format, b"%b %d\0" % (KINDS[kind], size), usedforsecurity=False)


def object_id(kind: int, data: bytes | memoryview, object_format: str) -> bytes:
    """The id of an object, raw."""
    digest = begin_id(kind, len(data), object_format)
    digest.update(data)
    raw: bytes = digest.digest()
    return raw


def encode_tree(entries: Iterable[RawEntry]) -> bytes:
    """A tree's bytes. Its entries are sorted by name, a directory's as if it ended in a slash."""
    return b"".join([b"%b %b\0%b" % entry for entry in sorted(entries, key=_sorted_by)])


def is_in_order(entries: Sequence[RawEntry]) -> bool:
    """Whether a tree's entries are sorted as they are to be."""
    return all(earlier <= later for earlier, later in pairwise(map(_sorted_by, entries)))


def _sorted_by(entry: RawEntry) -> bytes:
    mode, name, _ = entry
    return name + b"/" if MODES.get(mode) == TREE else name


def encode_commit(tree: bytes, author: str, seconds: int, message: str) -> bytes:
    """A commit's bytes, without parents. `tree` is raw; `seconds` since 1970, in UTC."""
    who = f"{author} {seconds} +0000"
    end = "" if message.endswith("\n") else "\n"
    lines = (f"tree {tree.hex()}", f"author {who}", f"committer {who}", "", message)
    return ("\n".join(lines) + end).encode("utf-8", "surrogateescape")


def tree_entries(data: bytes, oid_size: int) -> list[RawEntry]:
    """The entries of a tree. Raises `ValueError` where it is not valid."""
    found: list[RawEntry] = _ENTRIES[oid_size].findall(data)
    taken = sum(map(len, chain.from_iterable(found))) + 2 * len(found)
    if taken != len(data):  # there is something between two of them, or at an end
        raise ValueError("it holds an invalid entry")
    return found


def field(data: bytes, key: bytes) -> str | None:
    """The value of the first line of a commit or a tag, if its key is `key`."""
    found, _, value = data.partition(b"\n")[0].partition(b" ")
    return value.decode("ascii", "replace") if found == key else None


def peeled(oid: bytes, read: Callable[[bytes], tuple[bytes, bytes]]) -> tuple[bytes, bytes, bytes]:
    """The id, the kind and the bytes of an object, or of what a tag leads to, through tags of tags;
    `read` gives the latter two by an id. It is a tag still where that leads nowhere.
    """
    for _ in range(_MOST_TAGS):
        kind, data = read(oid)
        target = field(data, b"object") if kind == b"tag" else None
        if target is None or not is_oid(target, len(oid)):
            break
        oid = bytes.fromhex(target)
    return oid, kind, data


def committed(data: bytes) -> int:
    """When a commit was committed, in seconds since 1970, as git reads it (commit.c,
    ``parse_commit_date``, as of git 2.41): the number after the last ``>`` of the committer, who
    comes right after the author and the parents, whatever is behind it. What has none has the time
    0; a negative one is a very large one.
    """
    found = _COMMITTER.match(data)
    number = int(found[2]) if found else 0
    return _LATEST if found and found[1] and number else min(number, _LATEST)


def parents(data: bytes) -> list[bytes]:
    """The ids, raw, of the commits right before a commit."""
    return [bytes.fromhex(oid.decode()) for oid in _PARENT.findall(data.partition(b"\n\n")[0])]


def is_oid(text: str, size: int) -> bool:
    """Whether `text` is an object id of `size` bytes in hexadecimal digits."""
    return len(text) == 2 * size and re.fullmatch(r"[0-9a-f]+", text) is not None
