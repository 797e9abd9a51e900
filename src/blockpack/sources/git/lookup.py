"""Looking things up in a revision by their paths: one object after another, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from attrs import define, field, frozen

from ...errors import SourceError
from ...formats.git.objects import LINK, SUBMODULE, TREE
from .cat_file import CatFile
from .repository import Repository, Revision
from .trees import TreeWalk

_KINDS = {LINK: "a symbolic link", SUBMODULE: "a submodule", TREE: "a directory"}


@frozen
class FoundObject:
    """What is at a path: its mode and object id; and the ``.gitattributes`` above it, by path."""

    mode: int
    oid: bytes
    attributes: Mapping[str, tuple[int, bytes]] = field(factory=dict)


@define
class Lookup:
    """One revision, open to be looked into; a context manager that lets go of it.

    Nothing is followed, and nothing is fetched.
    """

    repository: Repository
    revision: Revision
    reader: CatFile
    _known: dict[str, FoundObject] = field(factory=dict, init=False)

    @classmethod
    def of(cls, path: str, revision: str) -> Self:
        """That of `revision` in the repository at `path`. Raises `SourceError`."""
        repository = Repository.at(path)
        reader = CatFile(repository)
        try:
            return cls(repository, repository.resolve(revision, reader), reader)
        except BaseException:
            reader.close()
            raise

    def find(self, path: str) -> FoundObject | None:
        """What is at `path`, which is that of a tree or empty; None if there is nothing.

        Raises `SourceError` if a part of the way there is no directory.
        """
        found = FoundObject(TREE, bytes.fromhex(self.revision.tree))
        above = ""
        for name in path.split("/") if path else ():
            below = self._below(found, above, name)
            if below is None:
                return None
            found = below
            above = f"{above}/{name}" if above else name
        return found

    def _below(self, directory: FoundObject, above: str, name: str) -> FoundObject | None:
        """What has a name in a directory, whose path is `above`."""
        prefix = f"{above}/" if above else ""
        path = prefix + name
        if path in self._known:
            return self._known[path]
        if directory.mode != TREE:
            what = _KINDS.get(directory.mode, "a file")
            raise SourceError(above, f"is {what}, and should be a directory")
        walk = TreeWalk(self.repository, self.reader, directory.oid)
        found = walk.listing().get(name)
        if found is None:
            return None
        files = {prefix + name: file for name, file in walk.attribute_files.items()}
        self._known[path] = FoundObject(*found, {**directory.attributes, **files})
        return self._known[path]

    def read(self, found: FoundObject, path: str, most: int) -> bytes:
        """The bytes of a file, which are no more than `most`. Raises `SourceError`."""
        if found.mode in _KINDS:
            raise SourceError(path, f"is {_KINDS[found.mode]}, and should be a file")
        return self.reader.object(found.oid.hex(), path, most)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
