"""``blockpack plan``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from typing import Any

from ..images.block_map import BlockMap
from ..images.contents import placed
from ..model.entry import decode
from ..model.extent import Extent, FileRange, Stream
from ..planning.layout import Layout
from ..writing.write import write_bytes
from . import flags, packing
from .output import emit, emit_facts, emit_json, say

EXAMPLE = "blockpack plan site --format tar"


def arguments(parser: ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("source", metavar="SOURCE", help=flags.SOURCE)
    flags.add_json(parser)
    parser.add_argument("--bmap", metavar="FILE", help="write a block map, for bmaptool")
    packing.add_options(parser)


def run(arguments: Namespace) -> int:
    """Show what ``pack`` would write."""
    layout = packing.layout(packing.volume(arguments), arguments)
    if arguments.bmap is not None:
        write_bytes(BlockMap.of(layout).encoded(), arguments.bmap)
    if arguments.json:
        emit_json(_json(layout))
        return 0
    for warning in layout.warnings:
        say(f"warning: {warning}")
    emit_facts(layout.format, layout.size, {"sector_size": layout.sector_size, **layout.geometry})
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for extent in layout.extents:
        counts[extent.kind] += 1
        lengths[extent.kind] += extent.length
    for kind, count in counts.items():
        emit(f"{kind:<18}{count:,} extents, {lengths[kind]:,} bytes")
    return 0


def _json(layout: Layout) -> dict[str, Any]:
    return {
        "format": layout.format,
        "size": layout.size,
        "sector_size": layout.sector_size,
        "geometry": dict(layout.geometry),
        "warnings": list(map(str, layout.warnings)),
        "entries": [placed(placement) for placement in layout.placements()],
        "extents": [_extent(extent) for extent in layout.extents],
    }


def _extent(extent: Extent) -> dict[str, Any]:
    values: dict[str, Any] = {
        "offset": extent.offset,
        "length": extent.length,
        "kind": extent.kind,
    }
    if isinstance(extent, FileRange):
        values["path"] = decode(extent.path)
    elif isinstance(extent, Stream):
        values["path"] = extent.name
    return values
