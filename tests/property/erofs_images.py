"""What an EROFS image is to show of a tree on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from judges.erofs_tools import Seen, seen
from property.strategies import EPOCH, NANOSECONDS

Options = dict[str, Any]


def expected_of(source: Path, options: Options) -> dict[bytes, Seen]:
    """All entries by their paths, and the root as nothing."""
    there = seen(source)
    owner = (0, 0) if options["owner"] == "keep" else options["owner"]
    root = Seen(stat.S_IFDIR | 0o755, owner, EPOCH * NANOSECONDS, 2, b"", b"")
    expected = {path: shown(each, options) if path else root for path, each in there.items()}
    for path, each in expected.items():
        if stat.S_ISDIR(each.mode):
            expected[path] = each._replace(links=2 + _directories_in(there, path))
    return expected


def shown(there: Seen, options: Options) -> Seen:
    """What the image is to show of what is on disk."""
    fixed = EPOCH * NANOSECONDS
    mtime = {"fixed": fixed, "keep": there.mtime, "clamp": min(there.mtime, fixed)}
    mode = there.mode
    if options["mode"] == "normal" and not stat.S_ISLNK(mode):
        plain = stat.S_ISREG(mode) and not mode & 0o100
        mode = stat.S_IFMT(mode) | (0o644 if plain else 0o755)
    return there._replace(
        mode=mode,
        owner=there.owner if options["owner"] == "keep" else options["owner"],
        mtime=mtime[options["mtime"]],
    )


def _directories_in(there: dict[bytes, Seen], path: bytes) -> int:
    return sum(
        stat.S_ISDIR(each.mode) and bool(other) and os.path.dirname(other) == path
        for other, each in there.items()
    )
