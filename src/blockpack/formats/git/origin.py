"""Where objects come from that a repository has already: what a `GitVolume` needs of one.

A tree of a commit says so by its `origin`, and its files by their store. This room reads no
repository; what does so (`sources.git`) is what is described here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from typing import ClassVar, Protocol

from attrs import frozen

from ...errors import SourceError
from ...model.entry import File
from ...model.extent import Extent, WholeStore

Facts = tuple[bytes, int]
"""The kind of an object, and its size in bytes."""


class ObjectSource(Protocol):
    """A repository on this machine; `path` is as the user gave it."""

    @property
    def path(self) -> str:
        """Where it is, for messages."""

    @property
    def object_format(self) -> str:
        """``sha1`` or ``sha256``."""

    @property
    def fsck(self) -> str:
        """What to do about an object that is damaged."""

    def objects(self, asked: Mapping[bytes, str]) -> Iterator[tuple[bytes, bytes]]:
        """The kind and the bytes, `objects.MOST_BYTES` at most, of each object `asked` for, in
        order; with each id is the path that messages are about. Raises `SourceError`.
        """

    def pack_paths(self) -> list[str]:
        """Its packs, and those that it borrows from, in a fixed order; each has an index."""

    def facts(self, asked: Mapping[bytes, str]) -> Iterator[tuple[bytes, Facts | SourceError]]:
        """The id, raw, of each object `asked` for, as above, and what it is or what is wrong."""

    def reachable(self, commit: str) -> frozenset[bytes]:
        """The ids of a commit, all before it, and all that they hold. Raises `SourceError`."""

    def blobs(self, sizes: Mapping[bytes, int], paths: Mapping[bytes, str]) -> list[File]:
        """A file for each blob of these ids and sizes (bytes), by the path that it has."""


class BlobStore(WholeStore, ABC):
    """Blobs of a repository."""

    forkable: ClassVar[bool] = True

    @property
    @abstractmethod
    def repository(self) -> ObjectSource:
        """The repository that the blobs are in."""

    @property
    def object_format(self) -> str:
        """``sha1`` or ``sha256``."""
        return self.repository.object_format

    @abstractmethod
    def raw_oid(self, key: Hashable) -> bytes:
        """The object id of a blob."""

    @abstractmethod
    def extent(self, file: File, offset: int) -> Extent:
        """The whole blob as a stream."""


@frozen
class Origin:
    """Where a tree came from: a directory of a repository, by its id, and the commit, if one was
    named.
    """

    repository: ObjectSource
    commit: str | None
    tree: str
