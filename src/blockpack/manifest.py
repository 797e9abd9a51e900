"""The manifest: what is in an image, where, and its digests, as JSON (docs/manifest.md)."""

from __future__ import annotations

import hashlib
from typing import Any

from .entry import File, Symlink
from .image import Kind
from .layout import Layout, Placement

_CHUNK = 1 << 20
_KINDS: dict[str, Kind] = {"File": "file", "Directory": "directory", "Symlink": "symlink"}


def placed(placement: Placement) -> dict[str, Any]:
    """One entry of a layout as JSON values; sizes and offsets in bytes."""
    entry = placement.entry
    values: dict[str, Any] = {"path": entry.path, "kind": _KINDS[type(entry).__name__]}
    if isinstance(entry, File):
        values |= {"size": entry.size, "offset": placement.offset}
    elif isinstance(entry, Symlink):
        values["target"] = entry.target
    return values


def manifest(layout: Layout) -> dict[str, Any]:
    """The manifest of a layout as JSON values.

    Reads every source once more for the digests. Raises `SourceError` if one has changed.
    """
    entries = [placed(placement) for placement in layout.placements()]
    image = hashlib.sha256()
    with layout.open() as file:
        while data := file.read(_CHUNK):
            image.update(data)
        for values in entries:
            if values["kind"] == "file":
                digest = hashlib.sha256()
                file.seek(values["offset"] or 0)
                left = values["size"]
                while left:
                    data = file.read(min(left, _CHUNK))
                    digest.update(data)
                    left -= len(data)
                values["sha256"] = digest.hexdigest()
    return {
        "format": layout.format,
        "size": layout.size,
        "sector_size": layout.sector_size,
        "sha256": image.hexdigest(),
        "geometry": dict(layout.geometry),
        "warnings": list(layout.warnings),
        "entries": entries,
    }
