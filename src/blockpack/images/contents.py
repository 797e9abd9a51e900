"""The manifest: what is in an image, where, and its digests, as JSON (docs/manifest.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, BinaryIO

from ..model.entry import File, Symlink
from ..planning.layout import Layout, Placement
from ..reading.extents import open_source

_CHUNK = 1 << 20


def placed(placement: Placement) -> dict[str, Any]:
    """One entry of a layout as JSON values; sizes and offsets in bytes."""
    entry = placement.entry
    values: dict[str, Any] = {"path": entry.path, "kind": entry.kind}
    if isinstance(entry, File):
        values |= {"size": entry.size, "offset": placement.offset}
    elif isinstance(entry, Symlink):
        values["target"] = entry.target
    return values


def manifest(layout: Layout, image: BinaryIO | None = None) -> dict[str, Any]:
    """The manifest of a layout as JSON values.

    The digests are of what is in `image`, the layout as it was written; without one every source
    is read once more. Raises `SourceError` if one has changed.
    """
    placements = list(layout.placements())
    pieces = {_piece(placement) for placement in placements} - {None}
    wanted = sorted({(0, layout.size), *filter(None, pieces)})
    with nullcontext(image) if image is not None else layout.open() as file:
        digests = dict(_digests(file, layout.size, wanted))
    entries = []
    for placement in placements:
        values = placed(placement)
        if isinstance(placement.entry, File):
            piece = _piece(placement)
            values["sha256"] = digests[piece] if piece else _content_digest(placement.entry)
        entries.append(values)
    return {
        "format": layout.format,
        "size": layout.size,
        "sector_size": layout.sector_size,
        "sha256": digests[0, layout.size],
        "geometry": dict(layout.geometry),
        "warnings": list(map(str, layout.warnings)),
        "entries": entries,
    }


def _piece(placement: Placement) -> tuple[int, int] | None:
    """Where a file's bytes lie in the image, (offset, length); None if they do not."""
    if not isinstance(placement.entry, File) or placement.offset is None:
        return None
    return placement.offset, placement.entry.size


def _content_digest(file: File) -> str:
    """The SHA-256 of a file's bytes, read from its source. Raises `SourceError`."""
    digest = hashlib.sha256()
    if not file.size:
        return digest.hexdigest()
    with open_source(file.extent()) as source:
        for position in range(0, file.size, _CHUNK):
            view = memoryview(bytearray(min(_CHUNK, file.size - position)))
            source.read_into(view, position)
            digest.update(view)
        source.check()
    return digest.hexdigest()


def _digests(
    image: BinaryIO, size: int, pieces: list[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], str]]:
    """Each of the `pieces` of the image of `size` bytes, (offset, length), with its SHA-256.

    Pieces are sorted by their offset, and may overlap; all is read once.
    """
    ahead = iter([*pieces, (size + 1, 0)])
    following = next(ahead)
    begun: list[tuple[int, int, Any]] = []
    at = 0
    while at <= size:
        while following[0] == at:
            begun.append((*following, hashlib.sha256()))
            following = next(ahead)
        ends = [offset + length for offset, length, _ in begun]
        stop = min([*ends, following[0], at + _CHUNK])
        data = image.read(stop - at)
        for _, _, digest in begun:
            digest.update(data)
        at = stop
        for offset, length, digest in begun:
            if offset + length == at:
                yield (offset, length), digest.hexdigest()
        begun = [piece for piece in begun if piece[0] + piece[1] != at]
