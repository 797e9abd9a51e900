"""A path on this machine as a source: a directory, or a file that is an archive or an image."""

from __future__ import annotations

import os
import stat

from ..errors import reading_errors
from ..model.entry import decode, location
from ..model.tree import Tree
from . import directory
from .options import ScanOptions


def scan(source: object, options: ScanOptions) -> Tree:
    """The tree of what is at a path.

    Raises `SourceError` if it is missing or no source, and `Problems` with all that cannot be read
    or packed.
    """
    assert isinstance(source, str | bytes | os.PathLike)
    path = location(source)
    with reading_errors(decode(path)):
        is_directory = stat.S_ISDIR(os.stat(path).st_mode)
    if is_directory:
        return directory.scan(path, options)
    from .archive import scan_file  # with all that it takes, which most sources do not

    return scan_file(path, options)
