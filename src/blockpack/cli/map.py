"""``blockpack map``."""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import ExitStack

from ..errors import UsageError, printable
from ..images.image import Image
from ..images.open_image import open_image
from ..images.space_map import KINDS, SECTOR, SpaceMap, share
from ..images.space_page import page
from ..planning.layout import Layout, round_up
from ..planning.layout_reader import LayoutReader
from ..sources.git.address import SCHEME
from ..writing.write import write_bytes
from . import flags, packing
from .output import amount, emit, say
from .outputs import check_outputs, outputs_of

EXAMPLE = "blockpack map site --format fat --html map.html"

_ROWS = 16
_WIDEST = 200
_MARGIN = 11
"""Columns for the offset of a row, and one between."""

_SHOWN = {
    "metadata": ("#", "30;43"),
    "file": ("f", "97;44"),
    "clone": ("c", "30;46"),
    "hole": ("o", "97;45"),
    "padding": ("-", "30;47"),
    "free": (".", "2"),
    "same": ("=", "2"),
    "differs": ("!", "97;41"),
}
"""The character of each kind, and how it is shown in colour (ECMA-48, SGR)."""


def arguments(parser: ArgumentParser) -> None:
    flags.value(parser, "source", "SOURCE", "an image; with --format, what is packed")
    flags.value(parser, "other", "OTHER", "another, to see what differs", nargs="?")
    flags.output(parser, "--html", "FILE", "write a page for a browser")
    flags.add(parser, "--key-file", help="the images are encrypted with the key in FILE")
    packing.add_options(parser)


def run(arguments: Namespace) -> int:
    """Show what each byte is for: in the terminal, or as a page."""
    with ExitStack() as stack:
        names = [name for name in (arguments.source, arguments.other) if name is not None]
        outputs = check_outputs(names, outputs_of(arguments), [arguments.key_file])
        all_of = [_opened(name, arguments, outputs, stack) for name in names]
        maps = [SpaceMap.of(what, name) for what, name in zip(all_of, names, strict=True)]
        if len(all_of) > 1:
            one, other = (
                what.reader.data
                if isinstance(what, Image)
                else stack.enter_context(LayoutReader(what.runs))
                for what in all_of
            )
            maps.insert(0, SpaceMap.of_differences(one, other))
    if arguments.html is not None:
        write_bytes(page(maps).encode("ascii"), arguments.html)
        return 0
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    colour = sys.stdout is not None and sys.stdout.isatty() and not plain
    for number, each in enumerate(maps):
        emit("\n".join([""] * bool(number) + list(_drawn(each, width, colour=colour))))
    return 0


def _opened(
    name: str, arguments: Namespace, left_out: list[str], stack: ExitStack
) -> Layout | Image:
    if arguments.format is None and not os.path.isdir(name) and not name.startswith(SCHEME):
        image = stack.enter_context(open_image(name, key_file=arguments.key_file))
        if image.problems:
            found = f"{len(image.problems):,} parts cannot be read; 'verify' lists them"
            say(f"warning: {printable(name)}: {found}")
        return image
    if arguments.key_file is not None:
        raise UsageError("", "a source has no key", "leave --key-file out")
    asked = Namespace(**{**vars(arguments), "source": name})
    return packing.layout(packing.volume(asked), asked, left_out)


def _drawn(space: SpaceMap, width: int, *, colour: bool) -> Iterator[str]:
    """The lines of a map that is `width` columns wide, and its legend."""
    columns = max(width - _MARGIN, 8)
    length = max(SECTOR, round_up(-(-space.size // (columns * _ROWS)), SECTOR))
    name, what = printable(space.name), f"{space.format} {amount(space.size)}".lstrip()
    title = f"{name}: {what}, {amount(length)} a cell"
    yield title if len(title) <= width else f"…{title[1 - width :]}"
    cells = space.cells(length)
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        yield f"{amount(start * length):>{_MARGIN - 1}} {_painted(row, colour)}"
    for kind, count in space.totals.items():
        line = f" {kind:<9}{amount(count):>11}{share(count, space.size):>9}  {KINDS[kind]}"
        yield f"{_painted([kind], colour)}{line[: width - 1]}"


def _painted(row: list[str], colour: bool) -> str:
    """The characters of cells, those of one kind in a row painted at once."""
    text = ""
    last = ""
    for kind in row:
        character, paint = _SHOWN[kind]
        text += f"\033[0;{paint}m" * (colour and kind != last) + character
        last = kind
    return text + "\033[0m" * colour
