"""Ids that follow from a plan, and are the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.entry import File
from .layout import Layout

if TYPE_CHECKING:
    import hashlib


def guid(digest: hashlib._Hash, purpose: str) -> str:
    """A GUID of a digest of 32 bytes, one for each purpose (RFC 9562, version 8: made by a rule of
    one's own).
    """
    digest.update(purpose.encode())
    found = digest.hexdigest()
    variant = "89ab"[int(found[16], 16) % 4]
    return dashed(found[:12] + "8" + found[13:16] + variant + found[17:32]).upper()


def dashed(digits: str) -> str:
    """32 digits as a GUID is written."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def identity(content: Layout | None) -> bytes:
    """What is known of a layout before it is read: its format, and where everything lies in it."""
    if content is None:
        return b"\n"
    facts = [content.format, content.size, *sorted(content.geometry.items())]
    lines = [repr(facts)]
    for each in content.placements():
        entry = each.entry
        size = entry.size if type(entry) is File else ""
        lines.append(f"{entry.path} {each.offset} {size}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")
