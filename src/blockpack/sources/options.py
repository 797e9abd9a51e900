"""What is asked of a scan, whatever the kind of source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from attrs import frozen

from ..arguments import checked
from ..workers.processors import Jobs

Symlinks = Literal["error", "follow", "keep", "skip"]
"""What to do with symbolic links: refuse, pack what they point to, keep, or leave out."""

Submodules = Literal["error", "skip"]
"""What to do with submodules, whose files are in other repositories: refuse, or leave out."""

Excluded = Callable[[str, bool], bool]
"""Whether to leave out a path (relative to the source); the flag tells directories."""


UNPACKABLE = "this source cannot be packed as it is"
"""What is said of a source with problems."""


@checked
@frozen(kw_only=True)
class ScanOptions:
    """The options of a scan. Raises `UsageError` for values that they do not have.

    `excluded` tells what to leave out, if anything. `jobs` processes read where that pays.
    """

    excluded: Excluded | None = None
    symlinks: Symlinks = "keep"
    submodules: Submodules = "error"
    jobs: Jobs = 1
