"""Sources of many files, in any number of directories."""

from __future__ import annotations

import os
from pathlib import Path


def fill(root: Path, directories: int) -> Path:
    """A source with a bit of everything; of 60 directories it is worth several processes."""
    for number in range(directories):
        directory = root / f"d{number:02}" / "deeper"
        directory.mkdir(parents=True)
        for index in range(60):
            (directory / f"file {index}").write_bytes(b"x" * index)
        (directory / "link").symlink_to("file 1")
        (directory / "run").touch(0o755)
        os.link(directory / "file 2", directory.parent / "again")
    return root
