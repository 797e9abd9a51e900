"""FAT images of whole trees, and what the judges are to read in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from hypothesis import assume

import blockpack
from judges.fat_tools import Contents
from property.strategies import FileNode, Spec


def written(layout: blockpack.Layout, directory: Path, jobs: int = 1) -> Path:
    """The image of `layout` in a file."""
    image = directory / "image.img"
    blockpack.write(layout, image, jobs=jobs)
    return image


def expected_contents(spec: Spec) -> Contents:
    return {
        path: node.contents.data() if isinstance(node, FileNode) else None
        for path, node in spec.items()
    }


def spelled(contents: Contents, spelling: Callable[[str], str]) -> Contents:
    found = {spelling(path): data for path, data in contents.items()}
    assume(len(found) == len(contents))  # two names that this judge cannot tell apart
    return found


def never() -> BinaryIO:
    """A content that is never opened."""
    raise AssertionError("planning reads nothing")
