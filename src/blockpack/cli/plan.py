"""``blockpack plan``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from heapq import nlargest
from typing import Any

from ..errors import BlockpackError, UsageError, printable
from ..images.block_map import BlockMap
from ..images.contents import placed
from ..images.space_map import share
from ..model.entry import File, decode
from ..model.extent import Extent, FileRange, Stream
from ..model.tree import Tree
from ..planning.layout import Layout
from ..planning.options import VOLUME
from ..writing.files import own_descriptor
from ..writing.write import write_bytes
from . import flags, hash_trees, packing
from .output import counted, emit, emit_facts, emit_json, picked, say_warnings
from .outputs import check_outputs, outputs_of, say_left_out

EXAMPLE = "blockpack plan site --format tar"

_BLOCK = 512
_LARGEST = 5
_MOST_PLANNED = 10_000
"""Entries of a tree that is planned again with other options, at most."""

_COSTLY = ("profile", "sector_size", "size", "free", "pad")
"""Options that may cost room, whatever the format."""

_FLAGS = {option.name: option.flag for option in VOLUME}


def arguments(parser: ArgumentParser) -> None:
    flags.value(parser, "source", "SOURCE", flags.SOURCE)
    flags.add(parser, "--json")
    flags.output(parser, "--bmap", "FILE", "write a block map, for bmaptool")
    packing.add_options(parser)
    hash_trees.add_verity(parser)


def run(arguments: Namespace) -> int:
    hash_trees.files(arguments)
    outputs = check_outputs([arguments.source], outputs_of(arguments))
    tree = packing.tree(arguments, outputs)
    say_left_out([arguments.source], outputs)
    layout = packing.volume(arguments).plan(tree, jobs="auto")
    sealed = hash_trees.sealed(layout, arguments).layout
    show(sealed, arguments, _savings(arguments, layout, tree), planned=layout)
    return 0


def show(
    layout: Layout,
    arguments: Namespace,
    lines: Iterable[str] = (),
    planned: Layout | None = None,
    **more: Any,
) -> None:
    """Show a layout, and more `lines`, or with `more` in its JSON; write the block map that was
    asked for. The free room is that of what was `planned`, before a hash tree made all of it count.
    """
    if arguments.bmap is not None:
        if own_descriptor(arguments.bmap) == 1:
            rule = "the plan is printed, so nothing else can go to standard output"
            raise UsageError(arguments.bmap, rule, "write it to a file")
        write_bytes(BlockMap.of(layout).encoded(), arguments.bmap)
    if arguments.json:
        told = {
            **picked(layout, "format", "size", "sector_size"),
            "geometry": dict(layout.geometry),
            "warnings": list(map(str, layout.warnings)),
            "entries": [placed(placement) for placement in layout.placements()],
            "extents": [_extent(extent) for extent in layout.extents],
        }
        emit_json({**told, **more})
        return
    say_warnings(layout.warnings)
    emit_facts(layout.format, layout.size, {"sector_size": layout.sector_size, **layout.geometry})
    counts: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    for extent in layout.extents:
        counts[extent.kind] += 1
        lengths[extent.kind] += extent.length
    for kind, count in counts.items():
        emit(_line(kind, f"{counted(count, 'extent')}, {lengths[kind]:,} bytes"))
    free = sum(stop - start for start, stop in (planned or layout).zeros(free=True))
    for line in [*_summary(layout, free), *lines]:
        emit(line)


def _summary(layout: Layout, free: int) -> Iterator[str]:
    """Where the bytes go, of which nothing is in `free` ones, and which files are the largest."""
    unit = int(layout.geometry.get("cluster_size", _BLOCK))
    files = [(p.entry, p.offset) for p in layout.placements() if isinstance(p.entry, File)]
    placed = {offset: file.size for file, offset in files if offset is not None}
    total = sum(placed.values())
    if "block_size" in layout.geometry:  # files may have their ends elsewhere
        total = sum({file.inode or file.path: file.size for file, _ in files}.values())
        placed = {}
    if placed or total:
        over = layout.size - total - free
        if free:
            yield _line("free", f"{free:,} bytes, {share(free, layout.size)} of the image")
        yield _line("overhead", f"{over:,} bytes, {share(over, layout.size)} of the image")
        if slack := sum(-size % unit for size in placed.values()):
            text = f"{slack:,} bytes of these, from files' ends to units of {unit:,} bytes"
            yield _line("slack", text)
    elif whole := sum(file.size for file, _ in files):
        yield _line("packed", f"{whole:,} bytes of files to {100 * layout.size / whole:.1f} %")
    for file in nlargest(_LARGEST, (file for file, _ in files), key=lambda file: file.size):
        if file.size:
            yield _line("large file", f"{file.size:,} bytes, {printable(file.path)}")


def _savings(arguments: Namespace, layout: Layout, tree: Tree) -> Iterator[str]:
    """What other options would save, of those that cost no more than to plan again."""
    smaller = packing.volume(arguments).smaller
    if len(tree) > _MOST_PLANNED or not smaller:
        return
    costly = (*_COSTLY, *smaller)
    given = [name for name in costly if getattr(arguments, name) is not None]
    tried: dict[str, dict[str, int | None]] = {
        f"without {_FLAGS[name]}": {name: None} for name in given
    }
    for name, value in smaller.items():
        if value is not None and name not in given:
            tried[f"with {_FLAGS[name]} {value}"] = {name: value}
    size = hash_trees.size(layout, arguments)
    saved: dict[str, int] = {}
    for how, changes in tried.items():
        with suppress(BlockpackError):  # which says that it is not possible
            other = packing.volume(Namespace(**{**vars(arguments), **changes})).plan(tree)
            saved[how] = size - hash_trees.size(other, arguments)
    for how, count in sorted(saved.items(), key=lambda each: -each[1]):
        if count > 0:
            yield _line("smaller", f"by {count:,} bytes {how}")


def _line(name: str, text: str) -> str:
    return f"{name:<18}{text}"


def _extent(extent: Extent) -> dict[str, Any]:
    values = picked(extent, "offset", "length", "kind")
    if isinstance(extent, FileRange):
        values |= {"path": decode(extent.path), "start": extent.start}
    elif isinstance(extent, Stream):
        values |= {"path": extent.name, "start": extent.start}
    return values
