"""``blockpack ls``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..errors import (
    ImageError,
    NotADirectoryInImageError,
    NotInImageError,
    printable,
    raise_problems,
)
from ..formats.reader import ImageEntry
from ..images.image import Image
from ..images.open_image import open_image
from ..model.entry import NANOSECONDS, name_of, parent_of
from . import flags
from .output import emit, emit_json

_LETTERS = {"file": "-", "directory": "d", "symlink": "l", "hardlink": "h", "other": "?"}
_BITS = "rwxrwxrwx"

EXAMPLE = "blockpack ls www.img -l"

_AT_ONCE = 1000
"""Lines that are printed at once: one at a time they take a fifth of the time."""


def arguments(parser: ArgumentParser) -> None:
    flags.add(parser, "image", "--key-file")
    how = {"nargs": "?", "default": "", "type": flags.entry_text}
    flags.value(parser, "path", "PATH", "list only this entry and what is in it", **how)
    parser.add_argument("-l", "--long", action="store_true", help="also show mode, size and time")
    flags.add(parser, "--json")


def run(arguments: Namespace) -> int:
    """List what the image holds, in its own order."""
    lost: list[ImageError] = []
    with open_image(arguments.image, key_file=arguments.key_file, report=lost.append) as image:
        entries = list(_chosen(image, arguments.path, lost))
    if arguments.json:
        emit_json({"entries": [_json(entry) for entry in entries]})
    else:
        show = _long if arguments.long else _name
        for start in range(0, len(entries), _AT_ONCE):
            emit("\n".join(map(show, entries[start : start + _AT_ONCE])))
    raise_problems("some of the image cannot be read", lost)
    return 0


def _chosen(image: Image, path: str, lost: list[ImageError]) -> Iterator[ImageEntry]:
    """All entries, or what is at `path`, links on the way followed, and in it."""
    if not path:
        yield from image.walk()
        return
    above = image.resolve(parent_of(path))
    top = image.entries.get(f"{above.path}/{name_of(path)}".lstrip("/")) if above else None
    try:
        top = top or image.found(path, follow_symlinks=False)
    except (NotInImageError, NotADirectoryInImageError):
        if not lost:
            raise
        return
    inside = f"{top.path}/" if top.path else ""
    entries = image.entries.values()
    yield from (each for each in entries if each is top or each.path.startswith(inside))


def _name(entry: ImageEntry) -> str:
    return printable(entry.path) + ("/" if entry.kind == "directory" else "")


def _long(entry: ImageEntry) -> str:
    bits = f"{entry.mode & 0o777:09b}"
    mode = "".join(letter if bit == "1" else "-" for letter, bit in zip(_BITS, bits, strict=True))
    link = f" -> {printable(entry.target)}" if entry.target else ""
    kind = _LETTERS[entry.kind]
    return f"{kind}{mode} {entry.size:>13} {_time(entry.mtime_ns)} {_name(entry)}{link}"


def _time(mtime_ns: int) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=mtime_ns // NANOSECONDS)
    except OverflowError:
        return f"@{mtime_ns // NANOSECONDS}"
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _json(entry: ImageEntry) -> dict[str, Any]:
    values: dict[str, Any] = {
        "path": entry.path,
        "kind": entry.kind,
        "size": entry.size,
        "mode": f"{entry.mode:04o}",
        "mtime": entry.mtime_ns / NANOSECONDS,
        "offset": entry.offset,
    }
    if entry.target:
        values["target"] = entry.target
    return values
