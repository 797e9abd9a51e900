"""What is in an image, where, and its digests, as JSON values (docs/manifest.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ..formats.reader import ImageEntry
from ..model.entry import File, Symlink
from ..planning.layout import Layout, Placement
from ..planning.layout_reader import LayoutReader
from ..planning.runs import Run
from ..reading.positional import PositionalReader, reader_of
from ..writing.progress import SILENT, Meter, Progress
from .image import Image, require_image

_CHUNK = 1 << 20

_SECTOR = 512
"""Bytes of a sector where a format tells no others."""

_Piece = tuple[int, int]
"""Where bytes lie in an image: (offset, length)."""


def contents(
    what: Image | Layout, *, progress: Callable[[Progress], object] | None = None
) -> dict[str, Any]:
    """What is in an image, or will be in a planned one: offsets and digests as JSON values.

    All of it is read once, and the sources of a layout are; `progress` is called a few times a
    second meanwhile, and at the end. Raises `ImageError` if the image cannot
    be read, as `Problems` if some of it cannot, and `SourceError` if a source has changed.
    """
    if isinstance(what, Layout):
        return manifest(what, progress=progress)
    require_image(what)
    pieces = {_piece_of(entry) for entry in what} - {None}
    meter = Meter("digesting", what.size, progress)
    data = what.reader.data
    digests = dict(_digests(data, what.size, list(filter(None, pieces)), meter))
    entries = []
    for entry in what:
        values: dict[str, Any] = {"path": entry.path, "kind": entry.kind}
        if entry.kind == "file":
            piece = _piece_of(entry)
            content = what.reader.content(entry)
            digest = digests[piece] if piece else _digest(content)
            values |= {"size": entry.size, "offset": entry.offset, "sha256": digest}
        elif entry.target:
            values["target"] = entry.target
        entries.append(values)
    meter.finish()
    return {
        "format": what.format,
        "size": what.size,
        "sector_size": what.info().get("sector_size", _SECTOR),
        "sha256": digests[0, what.size],
        "geometry": dict(what.info()),
        "warnings": [],
        "entries": entries,
    }


def placed(placement: Placement) -> dict[str, Any]:
    """One entry of a layout as JSON values; sizes and offsets in bytes."""
    entry = placement.entry
    values: dict[str, Any] = {"path": entry.path, "kind": entry.kind}
    if isinstance(entry, File):
        values |= {"size": entry.size, "offset": placement.offset}
    elif isinstance(entry, Symlink):
        values["target"] = entry.target
    return values


def manifest(
    layout: Layout,
    image: BinaryIO | None = None,
    *,
    progress: Callable[[Progress], object] | None = None,
) -> dict[str, Any]:
    """The manifest of a layout as JSON values.

    The digests are of what is in `image`, the layout as it was written; without one every source
    is read once more. Raises `SourceError` if one has changed, and `ImageError` if `image` ends
    early.
    """
    placements = list(layout.placements())
    pieces = {_piece(placement) for placement in placements} - {None}
    meter = Meter("digesting", layout.size, progress)
    with LayoutReader(layout.runs) if image is None else reader_of(image) as data:
        digests = dict(_digests(data, layout.size, list(filter(None, pieces)), meter))
    entries = []
    for placement in placements:
        values = placed(placement)
        if isinstance(placement.entry, File):
            piece = _piece(placement)
            values["sha256"] = digests[piece] if piece else _source_digest(placement.entry)
        entries.append(values)
    meter.finish()
    return {
        "format": layout.format,
        "size": layout.size,
        "sector_size": layout.sector_size,
        "sha256": digests[0, layout.size],
        "geometry": dict(layout.geometry),
        "warnings": list(map(str, layout.warnings)),
        "entries": entries,
    }


def _piece(placement: Placement) -> _Piece | None:
    """Where a file's bytes lie in the image; None if they do not."""
    if not isinstance(placement.entry, File) or placement.offset is None:
        return None
    return placement.offset, placement.entry.size


def _piece_of(entry: ImageEntry) -> _Piece | None:
    """Where a file's bytes lie in the image, if that is in one piece."""
    if entry.kind != "file" or entry.offset is None or len(entry.extents) != 1:
        return None
    return entry.offset, entry.size


def _source_digest(file: File) -> str:
    """The SHA-256 of a file's bytes, read from its source. Raises `SourceError`."""
    runs = (Run.of(file.extent()),) if file.size else ()
    with LayoutReader(runs) as content:
        return _digest(content)


def _digest(content: PositionalReader) -> str:
    """The SHA-256 of all that is read."""
    return next(_digests(content, content.size, []))[1]


def _digests(
    data: PositionalReader,
    size: int,
    pieces: list[_Piece],
    meter: Meter = SILENT,
) -> Iterator[tuple[_Piece, str]]:
    """The SHA-256 of all `size` bytes, and of each of the `pieces`, which may overlap.

    All is read once. Raises `ImageError` if there are less.
    """
    ahead = iter([*sorted({(0, size), *pieces}), (size + 1, 0)])
    following = next(ahead)
    begun: list[tuple[int, int, Any]] = []
    buffer = memoryview(bytearray(_CHUNK))
    at = 0
    while at < size or begun or following[0] <= size:
        while following[0] == at:
            begun.append((*following, hashlib.sha256()))
            following = next(ahead)
        ends = [offset + length for offset, length, _ in begun]
        stop = min([*ends, following[0], at + _CHUNK, size])
        view = buffer[: stop - at]
        data.read_into(view, at)
        for _, _, digest in begun:
            digest.update(view)
        meter.advance(stop - at)
        at = stop
        for offset, length, digest in begun:
            if offset + length == at:
                yield (offset, length), digest.hexdigest()
        begun = [piece for piece in begun if piece[0] + piece[1] != at]
