"""The source of a deployment: a directory, or a commit of a repository on this machine.

A source is a value that knows where things are, and reads them when it is asked: the manifest, and
the tree of a volume. It can be pickled; a build hands it to other processes.

Rule 1: nothing outside of the deployment's tree is read. No part is or goes through a symbolic
link, and links in a part are followed inside of that part alone.
Rule 2: a directory and a commit of it give the same trees, but for their times. So git's own
directory is no part of either.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from attrs import frozen

from ...errors import (
    BlockpackError,
    Problems,
    SourceError,
    UsageError,
    raise_problems,
    require_path,
)
from ...formats.git.objects import TREE
from ...model.entry import File, decode
from ...model.tree import Tree
from ...sources.directory import scan
from ...sources.exclude import excluding
from ...sources.git.address import Address
from ...sources.git.lookup import Lookup
from ...sources.git.revision_tree import revision_tree
from ...sources.options import ScanOptions
from ..file_names import MANIFEST
from ..manifest.parser import Manifest
from ..record import FromCommit, FromDirectory
from .paths import (
    MOST_BYTES,
    NO_MANIFEST,
    inside,
    left_out_of,
    manifest_text,
    place_of,
    short_enough,
)

if TYPE_CHECKING:
    from ...model.tree import Tree
    from ...sources.options import ScanOptions
    from ...workers.processors import Jobs
    from ..manifest.parser import Manifest, Part, VolumeSpec
    from ..record import Origin


@frozen
class DirectorySource:
    """A deployment in the directory `path`; `left_out` are paths in it that are no part of it."""

    path: str
    left_out: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """The absolute path of the directory."""
        return os.path.abspath(self.path)

    @property
    def manifest_file(self) -> str:
        """The manifest's name in messages, and as a path."""
        return os.path.join(self.path, MANIFEST)

    def origin(self) -> Origin:
        """What the record of a build says about this source."""
        return FromDirectory(decode(os.fsencode(self.root)))

    def manifest_text(self) -> bytes:
        """The manifest's own bytes. Raises `SourceError`."""
        return manifest_text(self.path)

    def manifest(self) -> Manifest:
        """The manifest. Raises `SourceError`, and `Problems` with all that is wrong with it."""
        return Manifest.parse(self.manifest_text(), self.manifest_file)

    def without(self, path: str | os.PathLike[str]) -> Self:
        """This source without what is at `path`, if that is in it.

        Raises `UsageError` if nothing would be left.
        """
        place = inside(self.path, path)
        return self if place is None else type(self)(self.path, (*self.left_out, place))

    def join(self, tree: Tree, part: Part, spec: VolumeSpec, jobs: Jobs = 1) -> None:
        """Add `part` of the volume `spec` to `tree`. Raises `BlockpackError`."""
        from pathlib import Path

        place = place_of(self.root, part.path)
        if not place.endswith(b"/"):
            tree.add(part.at or _name(part.path), Path(os.fsdecode(place)))
            return
        found = scan(
            os.fsdecode(place),
            _options(spec, jobs),
            left_out=left_out_of(part.path, self.left_out),
            confined=True,
        )
        tree.join(part.at, found)

    def tree(self, spec: VolumeSpec, jobs: Jobs = 1) -> Tree:
        """What is to be packed into the volume `spec`, read by `jobs` processes."""
        return volume_tree(self, spec, jobs)


@frozen
class CommitSource:
    """A deployment in a commit of the repository at `path`; ids are in hexadecimal digits.

    `seconds` is the time of the commit, since 1970.
    """

    path: str
    commit: str
    tree_id: str
    seconds: int

    @classmethod
    def of(cls, path: str, revision: str) -> Self:
        """The commit that `revision` names. Raises `SourceError`."""
        require_path(path), require_path(revision)  # git takes both as arguments
        with Lookup.of(path, revision) as lookup:
            found = lookup.revision
        if found.commit is None:
            raise SourceError(path, f"{revision!r} is a tree", "name a commit")
        return cls(path, found.commit, found.tree, found.seconds)

    @property
    def manifest_file(self) -> str:
        """The manifest's name in messages."""
        return f"{self.commit[:12]}:{MANIFEST}"

    def origin(self) -> Origin:
        """What the record of a build says about this source."""
        return FromCommit(self.commit, self.tree_id)

    def manifest_text(self) -> bytes:
        """The manifest's own bytes. Raises `SourceError`."""
        name = self.manifest_file
        with Lookup.of(self.path, self.commit) as lookup:
            found = lookup.find(MANIFEST)
            if found is None:
                raise SourceError(
                    self.path, f"commit {self.commit[:12]} has no {MANIFEST}", NO_MANIFEST
                )
            return short_enough(name, lookup.read(found, name, MOST_BYTES))

    def manifest(self) -> Manifest:
        """The manifest. Raises `SourceError`, and `Problems` with all that is wrong with it."""
        return Manifest.parse(self.manifest_text(), self.manifest_file)

    def without(self, path: str | os.PathLike[str]) -> Self:
        """This source: nothing that is written anywhere is in a commit."""
        return self

    def join(self, tree: Tree, part: Part, spec: VolumeSpec, jobs: Jobs = 1) -> None:
        """Add `part` of the volume `spec` to `tree`. Raises `BlockpackError`."""
        with Lookup.of(self.path, self.commit) as lookup:
            found = lookup.find(part.path)
        if found is None:
            raise SourceError(part.path, f"is not in commit {self.commit[:12]}", "commit it")
        if found.mode != TREE:
            self._join_file(tree, part)
            return
        found_tree = revision_tree(self.path, self.commit, part.path, _options(spec, jobs))
        tree.join(part.at, found_tree)

    def _join_file(self, tree: Tree, part: Part) -> None:
        from attrs import evolve

        above, _, name = part.path.rpartition("/")
        only = ScanOptions(excluded=lambda path, _: path != name)
        found = revision_tree(self.path, self.commit, above, only).get(name)
        if not isinstance(found, File):
            raise SourceError(part.path, "is neither a file nor a directory", "name what is meant")
        tree.put(evolve(found, path=part.at or name))

    def tree(self, spec: VolumeSpec, jobs: Jobs = 1) -> Tree:
        """What is to be packed into the volume `spec`."""
        return volume_tree(self, spec, jobs)


DeploymentSource = DirectorySource | CommitSource
"""What a deployment is built from."""


def deployment_source(source: str | os.PathLike[str] | DeploymentSource) -> DeploymentSource:
    """The source that `source` names: a directory, or ``git:REPO@REV``.

    Raises `UsageError` and `SourceError`.
    """
    if isinstance(source, DirectorySource | CommitSource):
        return source
    name = require_path(source)
    if not name.startswith("git:"):
        return DirectorySource(name)
    address = Address.parse(name)
    if address.subdir:
        raise UsageError(name, "a manifest is at the root of the tree", "leave out SUBDIR")
    return CommitSource.of(address.repository, address.revision)


def volume_tree(source: DeploymentSource, spec: VolumeSpec, jobs: Jobs) -> Tree:
    """The tree of the volume `spec`: its parts, joined; the one place where trees are made.

    What is encrypted in a secret volume still is (`secrets` decrypts it). Raises `Problems` with
    all that cannot be packed.
    """
    tree = Tree()
    problems: list[BlockpackError] = []
    for part in spec.parts:
        try:
            source.join(tree, part, spec, jobs)
        except Problems as error:
            problems += error.errors
        except BlockpackError as error:
            problems.append(error)
    raise_problems("this volume cannot be packed as it is", problems)
    return tree


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _options(spec: VolumeSpec, jobs: Jobs) -> ScanOptions:
    return ScanOptions(
        excluded=excluding(spec.exclude),
        symlinks=spec.symlinks,
        submodules=spec.submodules,
        jobs=jobs,
    )
