"""One image of a corpus, and what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["file", "directory", "symlink", "other"]

Expected = dict[str, tuple[Kind, bytes]]
"""The kind of each entry by its path, with a file's bytes or a symbolic link's target.

Hard links are files: which of a file's names is the link is for the archive to say. Paths are as
`os.fsdecode` makes them; the root is left out.
"""


class Item(NamedTuple):
    """An image, and what another program reads in it."""

    name: str
    image: Path
    expected: Expected


Maker = Callable[[Path], Item]
"""Makes an item in an empty directory."""

Makers = Mapping[str, Maker]
