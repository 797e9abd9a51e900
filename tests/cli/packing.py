"""What was packed, and what is in the image of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import blockpack
from cli.running import Command


def paths(image: Path) -> list[str]:
    """The paths in an image."""
    with blockpack.open_image(image) as opened:
        return sorted(entry.path for entry in opened.walk())


def info(command: Command, image: Path) -> dict[str, Any]:
    """The geometry of an image, as ``info`` tells it."""
    facts: dict[str, Any] = json.loads(command("info", image, "--json").out)["geometry"]
    return facts


def tree_of(source: Path) -> dict[str, bytes | None]:
    """What a directory holds, links and all left out: contents of files, None for directories."""
    return {
        str(path.relative_to(source)): path.read_bytes() if path.is_file() else None
        for path in source.rglob("*")
    }


def contents(image: Path) -> dict[str, bytes | None]:
    """The same of an image, as its reader has it."""
    with blockpack.open_image(image) as opened:
        return {
            entry.path: None if entry.kind == "directory" else opened.open(entry.path).read()
            for entry in opened.walk()
        }
