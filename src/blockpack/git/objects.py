"""Git's objects: trees and commits as bytes, and the ids of objects (gitformat-pack(5)).

An object's id is the hash of its type, a space, its size in decimal digits, a NUL, and its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

ObjectFormat = Literal["sha1", "sha256"]
"""The hash that makes ids."""

OID_SIZES = {"sha1": 20, "sha256": 32}
"""Bytes of an object id for each object format."""


def begin_id(kind: bytes, size: int, object_format: str) -> Any:
    """The hash of an object of `size` bytes, to be updated with these."""
    return hashlib.new(object_format, b"%b %d\0" % (kind, size), usedforsecurity=False)


def object_id(kind: bytes, data: bytes, object_format: str) -> bytes:
    """The id of an object, raw."""
    digest = begin_id(kind, len(data), object_format)
    digest.update(data)
    raw: bytes = digest.digest()
    return raw


TreeEntry = tuple[bytes, bytes, bytes]
"""An entry of a tree: mode (octal digits), name, and object id (raw)."""


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """A tree's bytes. Its entries are sorted by name, a directory's as if it ended in a slash."""
    ordered = sorted(entries, key=lambda e: e[1] + b"/" if e[0] == b"40000" else e[1])
    return b"".join([b"%b %b\0%b" % entry for entry in ordered])


def encode_commit(tree: bytes, author: str, seconds: int, message: str) -> bytes:
    """A commit's bytes, without parents. `tree` is raw; `seconds` since 1970, in UTC."""
    who = f"{author} {seconds} +0000"
    end = "" if message.endswith("\n") else "\n"
    lines = (f"tree {tree.hex()}", f"author {who}", f"committer {who}", "", message)
    return ("\n".join(lines) + end).encode("utf-8", "surrogateescape")
