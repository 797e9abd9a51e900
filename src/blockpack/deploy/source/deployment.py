"""A deployment that is open: its manifest, what tells the inputs of each volume, and their trees.

Rule 1: nothing outside of the deployment's tree is read. No part is or goes through a symbolic
link, and links in a part are followed inside of that part alone.
Rule 2: a directory and a commit of it give the same trees, but for their times. So git's own
directory is no part of either.
Rule 3: it is looked at once. One walk finds what a part of a directory is made of and tells whether
it changed; one git process answers for all that is read of a commit.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from ... import __version__
from ...errors import BlockpackError, raise_problems
from ...model.tree import Tree
from ...reading.lifetime import Closing
from ...sources.exclude import excluding
from ...sources.options import ScanOptions
from ...workers.processors import Jobs
from ..manifest.parser import Manifest
from ..manifest.specs import ImageSpec, Part, TreeSpec
from ..record import Origin
from .inventory import Inventory, Subtree, digest_of


class Deployment(Closing, ABC):
    """A deployment that is open, and read by up to `jobs` processes; a context manager that lets go
    of it. `inventory` has what was looked at of directories.
    """

    text: bytes
    """The manifest's own bytes."""

    manifest_file: str
    """The manifest's name in messages."""

    origin: Origin
    """What the record of a build says it was made of."""

    def __init__(self, jobs: Jobs, inventory: Inventory | None = None) -> None:
        self._jobs = jobs
        self.inventory = inventory or Inventory(jobs)

    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Take what is at `path` for no part of it, if it is in there: not in a commit. Raises
        `UsageError` if nothing would be left.
        """

    @abstractmethod
    def reopened(self) -> Reopen:
        """What opens it again, in any process that sees the same files."""

    @abstractmethod
    def files(self) -> Iterator[bytes]:
        """The files and directories that change with it, as paths like the source's; that of a
        directory ends in ``/.``. Raises `SourceError` and `UsageError`.
        """

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest. Raises `Problems` with everything that is wrong with it."""
        return Manifest.parse(self.text, self.manifest_file)

    @property
    def subtrees(self) -> Mapping[str, tuple[Subtree, ...]]:
        """What images are made of in a directory, by their names; of a commit nothing is."""
        return {}

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each image; None where it is unknown. No file is read."""

    def fingerprint(self, spec: ImageSpec, epoch: int) -> str:
        """What tells an image: the same fingerprint is the same image, by any name.

        It is made of all that an image depends on: the options, what reads and deflates, the time
        that files are given (`epoch` is SOURCE_DATE_EPOCH, in seconds since 1970), and the inputs.
        Those of a directory mean something on one machine only. Empty if they are unknown.
        """
        inputs = self.inputs[spec.name]
        return "" if inputs is None else digest_of((__version__, epoch, *spec.facts, inputs))

    def tree(self, spec: TreeSpec) -> Tree:
        """The parts of a tree, joined, as all trees are made; what is encrypted still is (`secrets`
        decrypts it). Raises `Problems` with all that cannot be packed.
        """
        tree = Tree()
        problems: list[BlockpackError] = []
        for part in spec.parts:
            try:
                self._join(tree, part, spec)
            except BlockpackError as error:
                problems += error.errors
        raise_problems("this cannot be packed as it is", problems)
        return tree

    @abstractmethod
    def _join(self, tree: Tree, part: Part, spec: TreeSpec) -> None:
        """Add `part` of `spec` to `tree`. Raises `BlockpackError`."""

    def _options(self, spec: TreeSpec) -> ScanOptions:
        return ScanOptions(
            excluded=excluding(spec.exclude),
            symlinks=spec.symlinks,
            submodules=spec.submodules,
            jobs=self._jobs,
        )


Reopen = Callable[[Jobs], Deployment]
"""Opens a deployment, of which so many processes read; any process can be given it."""
