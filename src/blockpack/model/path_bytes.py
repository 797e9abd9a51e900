"""Paths as text and as bytes: UTF-8, and what is not is carried by surrogate escapes (PEP 383).

Nothing slow is imported: what looks for changes needs no more of paths.
"""

from __future__ import annotations


def encode(path: str) -> bytes:
    """The bytes of a path or name: UTF-8, and those that are not, as they were."""
    return path.encode("utf-8", "surrogateescape")


def decode(path: bytes) -> str:
    """The text of a path or name; bytes that are not UTF-8 become surrogate escapes."""
    return path.decode("utf-8", "surrogateescape")
