"""What is in an image, where, and its digests, as JSON values (docs/manifest.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, NamedTuple

from ..formats.reader import ImageEntry
from ..model.entry import File, Symlink, encode
from ..planning.layout import Fact, Layout, Placement
from ..planning.layout_reader import LayoutReader
from ..planning.runs import Run
from ..reading.positional import PositionalReader, reader_of
from ..writing.progress import SILENT, Meter, Tell
from .image import Image

_CHUNK = 1 << 20

_SECTOR = 512
"""Bytes of a sector where a format tells no others."""

_Piece = tuple[int, int]
"""Where bytes lie in an image: (offset, length)."""


class _Listed(NamedTuple):
    """An entry as JSON values. Of a file, the piece of the image that it is, if it is one; else
    what reads it.
    """

    values: dict[str, Any]
    piece: _Piece | None = None
    content: Callable[[], PositionalReader] | None = None


def contents(what: Image | Layout, *, progress: Tell | None = None) -> dict[str, Any]:
    """What is in an image, or will be in a planned one: offsets and digests as JSON values.

    All of it is read once, and the sources of a layout are; `progress` is called a few times a
    second meanwhile, and at the end. Raises `ImageError` if the image cannot
    be read, as `Problems` if some of it cannot, and `SourceError` if a source has changed.
    """
    if isinstance(what, Layout):
        return manifest(what, progress=progress)
    facts = what.info()
    sector_size = int(facts.get("sector_size", _SECTOR))
    listed = [_entry(what, entry) for entry in what]
    return _digested(what, what.reader.data, sector_size, facts, listed, progress)


def _entry(image: Image, entry: ImageEntry) -> _Listed:
    values: dict[str, Any] = {"path": entry.path, "kind": entry.kind}
    if entry.target:
        values["target"] = entry.target
    if entry.kind == "hardlink":
        entry = image.resolve(entry.path) or entry
    if entry.kind != "file":
        return _Listed(values)
    offset = entry.offset if len(entry.extents) == 1 else None
    values |= {"size": entry.size, "offset": offset}
    piece = None if offset is None else (offset, entry.size)
    return _Listed(values, piece, partial(image.reader.content, entry))


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
    layout: Layout, image: BinaryIO | None = None, *, progress: Tell | None = None
) -> dict[str, Any]:
    """The manifest of a layout as JSON values.

    The digests are of what is in `image`, the layout as it was written; without one every source
    is read once more. Raises `SourceError` if one has changed, and `ImageError` if `image` ends
    early.
    """
    listed = [_placed(placement) for placement in layout.placements()]
    with LayoutReader(layout.runs) if image is None else reader_of(image) as data:
        found = _digested(layout, data, layout.sector_size, layout.geometry, listed, progress)
    found["warnings"] = list(map(str, layout.warnings))
    return found


def _placed(placement: Placement) -> _Listed:
    values, file, offset = placed(placement), placement.entry, placement.offset
    if not isinstance(file, File):
        return _Listed(values)
    runs = (Run.of(file.extent()),) if file.size else ()
    piece = None if offset is None else (offset, file.size)
    return _Listed(values, piece, partial(LayoutReader, runs))


def _digested(
    what: Image | Layout,
    data: PositionalReader,
    sector_size: int,
    geometry: Mapping[str, Fact],
    listed: list[_Listed],
    progress: Tell | None,
) -> dict[str, Any]:
    """All JSON values, with the digests of `data` and of each file."""
    meter = Meter("digesting", what.size, progress)
    pieces = {each.piece for each in listed if each.piece is not None}
    digests = dict(_digests(data, what.size, pieces, meter))
    for each in listed:
        if each.piece is not None:
            each.values["sha256"] = digests[each.piece]
        elif each.content is not None:
            with each.content() as content:
                each.values["sha256"] = next(_digests(content, content.size, ()))[1]
    meter.finish()
    return {
        "format": what.format,
        "size": what.size,
        "sector_size": sector_size,
        "sha256": digests[0, what.size],
        "tree_sha256": _tree_digest(each.values for each in listed),
        "geometry": dict(geometry),
        "warnings": [],
        "entries": [each.values for each in listed],
    }


def _tree_digest(listed: Iterable[Mapping[str, Any]]) -> str:
    """The digest of the tree that is in an image, which is the same in every format.

    It is the SHA-256 of the sorted records of all files and symbolic links, each with a NUL at its
    end: of a file the SHA-256 of its bytes in hex, two spaces and its path, as ``sha256sum -z`` has
    it; of a link its path, ``//`` and what it leads to. Paths begin with ``./``.
    """
    records = []
    for values in listed:
        path = encode(values["path"])
        if "sha256" in values:
            records.append(b"%s  ./%s\0" % (values["sha256"].encode(), path))
        elif values["kind"] == "symlink":
            records.append(b"./%s//%s\0" % (path, encode(values["target"])))
    digest = hashlib.sha256()
    for record in sorted(records):
        digest.update(record)
    return digest.hexdigest()


def _digests(
    data: PositionalReader, size: int, pieces: Iterable[_Piece], meter: Meter = SILENT
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
        stop = min([*ends, following[0], at + _CHUNK])  # past the end nothing is read
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
