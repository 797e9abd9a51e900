"""Opening a deployment by its name."""

from __future__ import annotations

import os

from ...errors import UsageError, require_path
from ...sources.git.address import Address
from ...workers.processors import Jobs
from .deployment import Deployment
from .inventory import Inventory
from .open_commit import OpenCommit
from .open_directory import OpenDirectory


def open_deployment(
    source: str | os.PathLike[str], *, jobs: Jobs = 1, inventory: Inventory | None = None
) -> Deployment:
    """The deployment in a directory, or in a commit: ``git:REPO@REV``; `jobs` processes read.

    `inventory` has what was looked at in the directory. Raises `UsageError` and `SourceError`.
    """
    name = require_path(source)
    if not name.startswith("git:"):
        return OpenDirectory(name, jobs=jobs, inventory=inventory)
    address = Address.parse(name)
    if address.subdir:
        raise UsageError(name, "a manifest is at the root of the tree", "leave out SUBDIR")
    return OpenCommit.of(address.repository, address.revision, jobs)
