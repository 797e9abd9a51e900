"""A revision that is open: one git answers for all that is read of it.

What is at a path is looked up, object after object, and no more of them than that takes; whole
directories become trees by `revision_tree`.
"""

from __future__ import annotations

from typing import Self

from attrs import define, field, frozen

from ...errors import SourceError
from ...formats.git.objects import LINK, SUBMODULE, TREE
from ...reading.lifetime import Closing
from .cat_file import CatFile, end, keep
from .repository import Repository, Revision
from .trees import Listing, TreeWalk

_KINDS = {LINK: "a symbolic link", SUBMODULE: "a submodule", TREE: "a directory"}


@frozen
class FoundObject:
    """What is at a path: its mode and object id; and the ``.gitattributes`` above it, by path."""

    mode: int
    oid: bytes
    attributes: Listing = field(factory=dict)


@define
class Lookup(Closing):
    """One revision, open to be looked into; a context manager that lets go of it.

    `named` is how the user gave it. Nothing is followed, and nothing is fetched.
    """

    repository: Repository
    revision: Revision
    named: str
    reader: CatFile
    _directories: dict[str, tuple[Listing, Listing]] = field(factory=dict, init=False)
    """What is in directories, and the ``.gitattributes`` there, by path."""

    @classmethod
    def of(cls, path: str, revision: str) -> Self:
        """That of `revision` in the repository at `path`. Raises `SourceError`."""
        repository, oid = Repository.with_object(path, revision)
        reader = CatFile(repository)
        keep(repository)
        try:
            return cls(repository, repository.peeled(oid, revision, reader), revision, reader)
        except BaseException:
            end(repository)
            reader.close()
            raise

    def find(self, path: str) -> FoundObject | None:
        """What is at `path`, which is that of a tree or empty; None if there is nothing.

        Raises `SourceError` if a part of the way there is no directory.
        """
        found = FoundObject(TREE, bytes.fromhex(self.revision.tree))
        above = ""
        for name in path.split("/") if path else ():
            if found.mode != TREE:
                what = _KINDS.get(found.mode, "a file")
                raise SourceError(above, f"is {what}, and should be a directory")
            if above not in self._directories:
                walk = TreeWalk(self.repository, self.reader, found.oid)
                self._directories[above] = walk.listing(above), walk.attribute_files
            listing, attributes = self._directories[above]
            if name not in listing:
                return None
            found = FoundObject(*listing[name], {**found.attributes, **attributes})
            above = f"{above}/{name}" if above else name
        return found

    def read(self, found: FoundObject, path: str, most: int) -> bytes:
        """The bytes of a file, which are no more than `most`. Raises `SourceError`."""
        if found.mode in _KINDS:
            raise SourceError(path, f"is {_KINDS[found.mode]}, and should be a file")
        return self.reader.object(found.oid.hex(), path, most)[1]

    def close(self) -> None:
        """End git."""
        end(self.repository)
        self.reader.close()
