"""Ids that follow from a plan, and are the same each time."""

from __future__ import annotations

import hashlib


def guid(digest: hashlib._Hash, purpose: str) -> str:
    """A GUID of a digest of 32 bytes, one for each purpose (RFC 9562, version 8: made by a rule of
    one's own).
    """
    digest.update(purpose.encode())
    found = digest.hexdigest()
    variant = "89ab"[int(found[16], 16) % 4]
    parts = found[:8], found[8:12], f"8{found[13:16]}", variant + found[17:20], found[20:32]
    return "-".join(parts).upper()
