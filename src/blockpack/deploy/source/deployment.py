"""A deployment that is open: its manifest, what tells the inputs of each volume, and their trees.

Rule 1: nothing outside of the deployment's tree is read. No part is or goes through a symbolic
link, and links in a part are followed inside of that part alone.
Rule 2: a directory and a commit of it give the same trees, but for their times. So git's own
directory is no part of either.
Rule 3: it is looked at once. One walk finds what a part of a directory is made of and tells whether
it changed; one git process answers for all that is read of a commit.
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from attrs import evolve, frozen

from ... import __version__
from ...errors import (
    BlockpackError,
    Problems,
    SourceError,
    UsageError,
    raise_problems,
    require_path,
)
from ...formats.git.objects import TREE
from ...model.entry import File, decode, encode
from ...model.tree import Tree
from ...sources.directory import scan, tree_of
from ...sources.exclude import excluding
from ...sources.git.address import Address
from ...sources.git.attributes import own_attributes
from ...sources.git.lookup import FoundObject, Lookup
from ...sources.git.revision_tree import revision_tree
from ...sources.options import ScanOptions
from ..file_names import MANIFEST
from ..manifest.parser import Manifest
from ..record import FromCommit, FromDirectory
from .inventory import Inventory, Subtree
from .paths import MOST_BYTES, NO_MANIFEST, inside, manifest_text, short_enough, subtree

if TYPE_CHECKING:
    from ...workers.processors import Jobs
    from ..manifest.parser import Part, VolumeSpec
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

    def absolute(self) -> Self:
        """The same, for processes that work elsewhere."""
        return evolve(self, path=self.root)

    def open(self, jobs: Jobs = 1, inventory: Inventory | None = None) -> OpenDirectory:
        """The deployment, of which `inventory` has what was looked at. Raises `SourceError`."""
        return OpenDirectory(self, jobs, inventory or Inventory(jobs))


@frozen
class CommitSource:
    """A deployment in what `revision` of the repository at `path` names."""

    path: str
    revision: str

    def absolute(self) -> Self:
        """The same, for processes that work elsewhere."""
        return evolve(self, path=os.path.abspath(self.path))

    def open(self, jobs: Jobs = 1) -> OpenCommit:
        """The deployment. Raises `SourceError`."""
        require_path(self.path), require_path(self.revision)  # git takes both as arguments
        opened = Lookup.of(self.path, self.revision)
        try:
            return OpenCommit(self.path, opened, jobs)
        except BaseException:
            opened.reader.close()
            raise


DeploymentSource = DirectorySource | CommitSource
"""Where a deployment is: a value, which any process can be given."""


def open_deployment(
    source: str | os.PathLike[str] | DeploymentSource,
    *,
    jobs: Jobs = 1,
    inventory: Inventory | None = None,
) -> Deployment:
    """The deployment in a directory, or in a commit: ``git:REPO@REV``; `jobs` processes read.

    `inventory` has what was looked at in the directory. Raises `UsageError` and `SourceError`.
    """
    if not isinstance(source, DirectorySource | CommitSource):
        source = _named(require_path(source))
    if isinstance(source, DirectorySource):
        return source.open(jobs, inventory)
    return source.open(jobs)


def _named(name: str) -> DeploymentSource:
    if not name.startswith("git:"):
        return DirectorySource(name)
    address = Address.parse(name)
    if address.subdir:
        raise UsageError(name, "a manifest is at the root of the tree", "leave out SUBDIR")
    return CommitSource(address.repository, address.revision)


class Deployment(ABC):
    """A deployment that is open; a context manager that lets go of it."""

    source: DeploymentSource
    """What opens it again."""

    text: bytes
    """The manifest's own bytes."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    @abstractmethod
    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Take what is at `path` for no part of it, if that is in it.

        Raises `UsageError` if nothing would be left.
        """

    @property
    @abstractmethod
    def begun(self) -> int:
        """When it was looked at, in nanoseconds since 1970."""

    @abstractmethod
    def files(self) -> Iterator[bytes]:
        """The files and directories that change with it, as paths like the source's; that of a
        directory ends in ``/.``. Raises `SourceError` and `UsageError`.
        """

    @property
    @abstractmethod
    def manifest_file(self) -> str:
        """The manifest's name in messages."""

    @property
    @abstractmethod
    def origin(self) -> Origin:
        """What the record of a build says it was made of."""

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest. Raises `Problems` with all that is wrong with it."""
        return Manifest.parse(self.text, self.manifest_file)

    @property
    @abstractmethod
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each volume; None for those where it is unknown.

        No file is read.
        """

    def fingerprint(self, spec: VolumeSpec, epoch: int) -> str:
        """What tells the image of a volume: the same fingerprint is the same image, by any name.

        It is made of all that an image depends on: the options, what reads and deflates, the time
        that files are given (`epoch` is SOURCE_DATE_EPOCH, in seconds since 1970), and the inputs.
        Those of a directory mean something on one machine only. Empty if they are unknown.
        """
        inputs = self.inputs[spec.name]
        facts = (
            *(__version__, zlib.ZLIB_RUNTIME_VERSION if spec.format == "git" else "", epoch),
            *(spec.format, dict(sorted(spec.options.items())), [part.at for part in spec.parts]),
            *(spec.exclude, spec.symlinks, spec.submodules, spec.secret, spec.cipher, inputs),
        )
        return "" if inputs is None else _digest(facts)

    def tree(self, spec: VolumeSpec) -> Tree:
        """The tree of a volume: its parts, joined; the one place where trees are made.

        What is encrypted in a secret volume still is (`secrets` decrypts it). Raises `Problems`
        with all that cannot be packed.
        """
        tree = Tree()
        problems: list[BlockpackError] = []
        for part in spec.parts:
            try:
                self._join(tree, part, spec)
            except Problems as error:
                problems += error.errors
            except BlockpackError as error:
                problems.append(error)
        raise_problems("this volume cannot be packed as it is", problems)
        return tree

    @abstractmethod
    def _join(self, tree: Tree, part: Part, spec: VolumeSpec) -> None:
        """Add `part` of the volume `spec` to `tree`. Raises `BlockpackError`."""

    def _options(self, spec: VolumeSpec) -> ScanOptions:
        return ScanOptions(
            excluded=excluding(spec.exclude),
            symlinks=spec.symlinks,
            submodules=spec.submodules,
            jobs=self._jobs,
        )

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OpenDirectory(Deployment):
    """A deployment in a directory, of which `inventory` has what was looked at."""

    source: DirectorySource

    def __init__(self, source: DirectorySource, jobs: Jobs, inventory: Inventory) -> None:
        super().__init__(jobs)
        self.source = source
        self.inventory = inventory
        self.text = manifest_text(source.path)

    @property
    def begun(self) -> int:
        """When it was looked at, in nanoseconds since 1970."""
        return self.inventory.begun

    @property
    def manifest_file(self) -> str:
        """The manifest's name in messages, and as a path."""
        return self.source.manifest_file

    @property
    def origin(self) -> Origin:
        """The directory."""
        return FromDirectory(decode(os.fsencode(self.source.root)))

    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Take what is at `path` for no part of it; see `Deployment`."""
        place = inside(self.source.path, path)
        if place is not None:
            self.source = evolve(self.source, left_out=(*self.source.left_out, place))

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
        begin = len(self.source.root) + 1
        yield os.fsencode(self.manifest_file)
        assert self.inputs is not None  # which has settled now
        for spec in self.manifest.volumes.values():
            for part in spec.parts:
                for location in _locations(self._subtree(part, spec), self.inventory):
                    # A directory's end keeps Make from taking it for a member of an archive.
                    path = os.path.join(os.fsencode(self.source.path), location[begin:])
                    yield path + b"." if path.endswith(b"/") else path

    def _subtree(self, part: Part, spec: VolumeSpec) -> Subtree:
        options = dated(spec), spec.exclude, spec.symlinks
        return subtree(self.source.root, part.path, self.source.left_out, *options)

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


def _locations(subtree: Subtree, inventory: Inventory) -> Iterator[bytes]:
    """Where all is that is in a subtree; a directory's location ends in a slash."""
    stock = inventory.of(subtree)
    if stock.digest is None:
        raise SourceError(os.fsdecode(subtree.location), "cannot be read", "see 'blockpack check'")
    yield subtree.location
    for rows in stock.listings():
        for path, what, *_ in rows:
            location = subtree.location + encode(path)
            # Make follows links, and one that leads nowhere is never there.
            if not isinstance(what, str) or os.path.exists(location):
                yield location + b"/" if what is None else location


class OpenCommit(Deployment):
    """A deployment in a commit of the repository at `path`."""

    source: CommitSource

    def __init__(self, path: str, opened: Lookup, jobs: Jobs) -> None:
        super().__init__(jobs)
        self._opened = opened
        self._begun = time.time_ns()
        commit = opened.revision.commit
        if commit is None:
            raise SourceError(path, f"{opened.named!r} is a tree", "name a commit")
        self.commit = commit
        """The commit's id, in hexadecimal digits."""
        self.source = CommitSource(path, commit)
        self.text = self._text()

    def leave_out(self, path: str | os.PathLike[str]) -> None:
        """Nothing that is written anywhere is in a commit."""

    @property
    def begun(self) -> int:
        """When it was looked at, in nanoseconds since 1970."""
        return self._begun

    def _text(self) -> bytes:
        found = self._opened.find(MANIFEST)
        if found is None:
            rule = f"commit {self.commit[:12]} has no {MANIFEST}"
            raise SourceError(self.source.path, rule, NO_MANIFEST)
        name = self.manifest_file
        return short_enough(name, self._opened.read(found, name, MOST_BYTES))

    @property
    def manifest_file(self) -> str:
        """The manifest's name in messages."""
        return f"{self.commit[:12]}:{MANIFEST}"

    @property
    def origin(self) -> FromCommit:
        """The commit, and its tree."""
        return FromCommit(self.commit, self._opened.revision.tree)

    def files(self) -> Iterator[bytes]:
        """What changes when a name comes to stand for another commit."""
        repository = self._opened.repository
        yield os.fsencode(os.path.join(repository.git_dir, "HEAD"))
        for name in ("packed-refs", "reftable/tables.list"):
            path = os.path.join(repository.common_dir, name)
            if os.path.exists(path):
                yield os.fsencode(path)
        refs = Subtree(os.fsencode(os.path.join(repository.common_dir, "refs", "")))
        for location in _locations(refs, Inventory()):
            yield location + b"." if location.endswith(b"/") else location

    @cached_property
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each volume: the ids of its trees, which are digests."""
        own = own_attributes(self._opened.repository)
        found: dict[str, str | None] = {}
        for spec in self.manifest.volumes.values():
            facts: list[object] = [own]
            try:
                facts += (self._facts(part, spec, bool(own)) for part in spec.parts)
            except SourceError:  # planning tells what is wrong
                found[spec.name] = None
                continue
            if dated(spec):
                facts.append(self._opened.revision.seconds)
            if spec.format == "git" and any(not part.path for part in spec.parts):
                facts.append(self.commit)  # the image is that of the commit itself
            found[spec.name] = _digest(facts)
        return found

    def _facts(self, part: Part, spec: VolumeSpec, with_attributes: bool) -> tuple[object, ...]:
        """What tells one part; its path only as far as that matters."""
        found = self._found(part, spec)
        above = sorted((path, oid.hex()) for path, (_, oid) in found.attributes.items())
        name = part.path if above or with_attributes else ""
        if found.mode != TREE:
            name = name or os.path.basename(part.path)
        return f"{found.mode:o}", found.oid.hex(), above, name

    def _found(self, part: Part, spec: VolumeSpec) -> FoundObject:
        found = self._opened.find(part.path)
        if found is None:
            remedy = "commit it; git keeps no empty directories: add a file or remove "
            rule = f"is not in commit {self.commit[:12]}"
            raise SourceError(part.path, rule, f"{remedy}[volumes.{spec.name}]")
        return found

    def _join(self, tree: Tree, part: Part, spec: VolumeSpec) -> None:
        found = self._found(part, spec)
        if found.mode == TREE:
            tree.join(part.at, revision_tree(self._opened, part.path, self._options(spec)))
            return
        above, _, name = part.path.rpartition("/")
        only = ScanOptions(excluded=lambda path, _: path != name)
        file = revision_tree(self._opened, above, only).get(name)
        if not isinstance(file, File):
            raise SourceError(part.path, "is neither a file nor a directory", "name what is meant")
        tree.put(evolve(file, path=part.at or name))

    def close(self) -> None:
        """End git."""
        self._opened.reader.close()


def dated(spec: VolumeSpec) -> bool:
    """Whether an image shows the times of its sources."""
    return spec.options.get("mtime", "fixed") != "fixed"


def _digest(facts: object) -> str:
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
