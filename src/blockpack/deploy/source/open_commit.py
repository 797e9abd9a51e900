"""A deployment in a commit of a repository on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Self

from attrs import evolve

from ...errors import SourceError, require_path
from ...formats.git.objects import TREE
from ...model.entry import File
from ...model.tree import Tree
from ...reading.lifetime import on_failure
from ...sources.git.attributes import own_attributes
from ...sources.git.lookup import FoundObject, Lookup
from ...sources.git.revision_tree import revision_tree
from ...sources.options import ScanOptions
from ...workers.processors import Jobs
from ..file_names import MANIFEST, MOST_BYTES
from ..manifest.specs import ImageSpec, Part, TreeSpec
from ..record import FromCommit
from .deployment import Deployment, Reopen
from .inventory import Subtree, digest_of
from .paths import NO_MANIFEST, PartError


class OpenCommit(Deployment):
    """A deployment in a commit of the repository at `path`."""

    def __init__(self, path: str, opened: Lookup, jobs: Jobs) -> None:
        super().__init__(jobs)
        self.path = path
        self._opened = opened
        commit = opened.revision.commit
        if commit is None:
            raise SourceError(path, f"{opened.named!r} is a tree", "name a commit")
        self.commit = commit
        """The commit's id, in hexadecimal digits."""
        self.manifest_file = f"{commit[:12]}:{MANIFEST}"
        self.origin = FromCommit(commit, opened.revision.tree)
        found = opened.find(MANIFEST)
        if found is None:
            rule = f"commit {commit[:12]} has no {MANIFEST}"
            raise SourceError(path, rule, NO_MANIFEST)
        self.text = opened.read(found, self.manifest_file, MOST_BYTES)

    @classmethod
    def of(cls, path: str, revision: str, jobs: Jobs = 1) -> Self:
        """The commit that `revision` names in the repository at `path`. Raises `SourceError`."""
        require_path(path), require_path(revision)  # git takes both as arguments
        opened = Lookup.of(path, revision)
        with on_failure(opened.close):
            return cls(path, opened, jobs)

    def reopened(self) -> Reopen:
        """What opens it again, in any process."""
        return partial(OpenCommit.of, os.path.abspath(self.path), self.commit)

    def files(self) -> Iterator[bytes]:
        """What changes when a name comes to stand for another commit."""
        repository = self._opened.repository
        yield os.fsencode(os.path.join(repository.git_dir, "HEAD"))
        for name in ("packed-refs", "reftable/tables.list"):
            path = os.path.join(repository.common_dir, name)
            if os.path.exists(path):
                yield os.fsencode(path)
        refs = Subtree(os.path.join(repository.common_dir, "refs", ""))
        for location in self.inventory.locations(refs):
            yield location + b"." if location.endswith(b"/") else location

    @cached_property
    def inputs(self) -> Mapping[str, str | None]:
        """What tells the inputs of each image: the ids of its trees, which are digests."""
        own = own_attributes(self._opened.repository)
        return {name: self._told(image, own) for name, image in self.manifest.images.items()}

    def _told(self, image: ImageSpec, own: object) -> str | None:
        facts: list[object] = [own]
        for spec in image.trees:
            try:
                facts += (self._facts(part, spec, bool(own)) for part in spec.parts)
            except SourceError:  # planning tells what is wrong
                return None
            if spec.dated:
                facts.append(self._opened.revision.seconds)
        whole = (part for spec in image.volumes if spec.format == "git" for part in spec.parts)
        if any(not part.path for part in whole):
            facts.append(self.commit)  # the image is that of the commit itself
        return digest_of(facts)

    def _facts(self, part: Part, spec: TreeSpec, with_attributes: bool) -> tuple[object, ...]:
        """What tells one part; its path only as far as that matters."""
        found = self._found(part)
        above = sorted((path, oid.hex()) for path, (_, oid) in found.attributes.items())
        name = part.path if above or with_attributes else ""
        if found.mode != TREE:
            name = name or os.path.basename(part.path)
        return f"{found.mode:o}", found.oid.hex(), above, name

    def _found(self, part: Part) -> FoundObject:
        found = self._opened.find(part.path)
        if found is None:
            remedy = "commit it; git keeps no empty directories: add a file"
            rule = f"is not in commit {self.commit[:12]}"
            raise PartError(part.path, rule, f"{remedy} or remove it from {MANIFEST}")
        return found

    def _join(self, tree: Tree, part: Part, spec: TreeSpec) -> None:
        found = self._found(part)
        if found.mode == TREE:
            tree.join(part.at, revision_tree(self._opened, part.path, self._options(spec)))
            return
        above, _, name = part.path.rpartition("/")
        only = ScanOptions(excluded=lambda path, _: path != name)
        file = revision_tree(self._opened, above, only).get(name)
        if not isinstance(file, File):
            rule = "is neither a file nor a directory"
            raise SourceError(part.path, rule, "name a file or a directory")
        tree.put(evolve(file, path=part.at or name))

    def close(self) -> None:
        """End git."""
        self._opened.close()
