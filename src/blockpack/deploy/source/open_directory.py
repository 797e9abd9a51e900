"""A deployment in a directory of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from ...errors import BlockpackError
from ...model.entry import decode
from ...model.tree import Tree
from ...sources.directory import scan, tree_of
from ...workers.processors import Jobs
from ..file_names import MANIFEST
from ..manifest.specs import ImageSpec, Part, TreeSpec
from ..record import FromDirectory
from .deployment import Deployment, Reopen
from .inventory import Inventory, Subtree
from .paths import inside, left_out_of, manifest_text, place_of


class OpenDirectory(Deployment):
    """A deployment in the directory `path` but for the paths `left_out`. Raises `SourceError`."""

    def __init__(
        self,
        path: str,
        left_out: tuple[str, ...] = (),
        jobs: Jobs = 1,
        inventory: Inventory | None = None,
    ) -> None:
        super().__init__(jobs, inventory)
        self.path = path
        self.root = os.path.abspath(path)
        self.manifest_file = os.path.join(path, MANIFEST)
        self.origin = FromDirectory(decode(os.fsencode(self.root)))
        self.text = manifest_text(path)
        self._left_out = left_out

    def reopened(self) -> Reopen:
        """What opens it again, in any process."""
        return partial(OpenDirectory, self.root, self._left_out)

    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Take what is at `path` for no part of it; see `Deployment`."""
        place = inside(self.path, path)
        if place is not None:
            self._left_out = (*self._left_out, place)

    @cached_property
    def subtrees(self) -> Mapping[str, tuple[Subtree, ...]]:
        """What images are made of, by their names."""
        found = {}
        for image in self.manifest.images.values():
            with suppress(BlockpackError):  # planning tells what is wrong
                found[image.name] = tuple(self._found(image))
        return found

    @cached_property
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each image, once all has settled."""
        for found in self.subtrees.values():
            self.inventory.digest(found)
        known = self.subtrees if self.inventory.settle() else {}
        return {
            name: self.inventory.digest(known[name]) if name in known else None
            for name in self.manifest.images
        }

    def files(self) -> Iterator[bytes]:
        """The manifest, and each file and directory under the parts."""
        begin = len(os.fsencode(self.root)) + 1
        yield os.fsencode(self.manifest_file)
        assert self.inputs is not None  # which has settled now
        for image in self.manifest.images.values():
            for subtree in self._found(image):
                for location in self.inventory.locations(subtree):
                    # A directory's end keeps Make from taking it for a member of an archive.
                    path = os.path.join(os.fsencode(self.path), location[begin:])
                    yield path + b"." if path.endswith(b"/") else path

    def _found(self, image: ImageSpec) -> Iterator[Subtree]:
        return (self._subtree(part, spec) for spec in image.trees for part in spec.parts)

    def _subtree(self, part: Part, spec: TreeSpec) -> Subtree:
        place = place_of(self.root, part.path)
        if not place.endswith("/"):
            return Subtree(place)
        left_out = tuple(left_out_of(part.path, self._left_out))
        return Subtree(place, spec.dated, left_out, spec.exclude, spec.symlinks)

    def _join(self, tree: Tree, part: Part, spec: TreeSpec) -> None:
        found = self._subtree(part, spec)
        location = found.location
        if not location.endswith("/"):
            tree.add(part.at or os.path.basename(part.path), Path(location))
            return
        stock = self.inventory.of(found)
        if stock.digest is None:  # this tells what is wrong
            options = self._options(spec)
            joined = scan(location, options, left_out=found.left_out, confined=True)
        else:
            joined = tree_of(os.fsencode(location), stock.listings())
        tree.join(part.at, joined)
