"""A deployment in a directory of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BlockpackError
from ...model.entry import decode
from ...sources.directory import scan, tree_of
from ..file_names import MANIFEST
from ..record import FromDirectory
from .deployment import Deployment, dated
from .paths import inside, manifest_text, subtree

if TYPE_CHECKING:
    from ...model.tree import Tree
    from ...workers.processors import Jobs
    from ..manifest.parser import Part, VolumeSpec
    from ..record import Origin
    from .deployment import Reopen
    from .inventory import Inventory, Subtree


class OpenDirectory(Deployment):
    """A deployment in the directory `path`.

    `left_out` are paths in it that are no part of it. Raises `SourceError`.
    """

    def __init__(
        self,
        path: str,
        left_out: tuple[str, ...] = (),
        jobs: Jobs = 1,
        inventory: Inventory | None = None,
    ) -> None:
        super().__init__(jobs, inventory)
        self.path = path
        self.text = manifest_text(path)
        self._left_out = left_out

    @property
    def root(self) -> str:
        """The absolute path of the directory."""
        return os.path.abspath(self.path)

    def reopened(self) -> Reopen:
        """What opens it again, in any process."""
        return partial(OpenDirectory, self.root, self._left_out)

    @property
    def manifest_file(self) -> str:
        """The manifest's name in messages, and as a path."""
        return os.path.join(self.path, MANIFEST)

    @property
    def origin(self) -> Origin:
        """The directory."""
        return FromDirectory(decode(os.fsencode(self.root)))

    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Take what is at `path` for no part of it; see `Deployment`."""
        place = inside(self.path, path)
        if place is not None:
            self._left_out = (*self._left_out, place)

    @cached_property
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each volume, once all has settled."""
        subtrees: dict[str, list[Subtree] | None] = {}
        for spec in self.manifest.volumes.values():
            try:
                found = [self._subtree(part, spec) for part in spec.parts]
            except BlockpackError:  # planning tells what is wrong
                subtrees[spec.name] = None
            else:
                subtrees[spec.name] = found
                self.inventory.digest(found)
        settled = self.inventory.settle()
        return {
            name: self.inventory.digest(found) if settled and found is not None else None
            for name, found in subtrees.items()
        }

    def files(self) -> Iterator[bytes]:
        """The manifest, and each file and directory under the parts."""
        begin = len(self.root) + 1
        yield os.fsencode(self.manifest_file)
        assert self.inputs is not None  # which has settled now
        for spec in self.manifest.volumes.values():
            for part in spec.parts:
                for location in self.inventory.locations(self._subtree(part, spec)):
                    # A directory's end keeps Make from taking it for a member of an archive.
                    path = os.path.join(os.fsencode(self.path), location[begin:])
                    yield path + b"." if path.endswith(b"/") else path

    def _subtree(self, part: Part, spec: VolumeSpec) -> Subtree:
        options = dated(spec), spec.exclude, spec.symlinks
        return subtree(self.root, part.path, self._left_out, *options)

    def _join(self, tree: Tree, part: Part, spec: VolumeSpec) -> None:
        found = self._subtree(part, spec)
        location = os.fsdecode(found.location)
        if not location.endswith("/"):
            tree.add(part.at or os.path.basename(part.path), Path(location))
            return
        stock = self.inventory.of(found)
        if stock.digest is None:  # this tells what is wrong
            options = self._options(spec)
            joined = scan(location, options, left_out=found.left_out, confined=True)
        else:
            joined = tree_of(found.location, stock.listings())
        tree.join(part.at, joined)

    def close(self) -> None:
        """There is nothing to let go of."""
