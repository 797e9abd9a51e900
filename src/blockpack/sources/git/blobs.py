"""The contents of files that are blobs of a repository.

Rule 1: a small blob is read whole when it is opened, from its pack (`packs`) or its own file
(`loose`), else through git.
Rule 2: whoever reads a blob through git has a git for itself until the blob's end. One is kept
while nobody needs it, up to the last blob.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...errors import SourceError
from ...formats.git.origin import BlobStore
from ...model.entry import File
from ...model.extent import Extent, Readable, Stream
from ...reading.lifetime import Closing
from ...workers.processors import Jobs
from .blob_places import LOOSE, Places
from .cat_file import CatFile
from .loose import LooseBlobs
from .packs import Packs, object_directories

if TYPE_CHECKING:
    from .repository import Repository

SMALL = 256 << 10
"""A blob up to this size (bytes) is read whole."""

_WORTH_FINISHING = 1 << 20  # bytes that are read over sooner than git is started again


class Blobs(BlobStore):
    """Numbered blobs of one repository; a key is a number.

    `oids` are their raw ids, in the order of the tree; `jobs` processes look for them in `packs`.
    """

    def __init__(
        self, repository: Repository, packs: Packs, oids: Sequence[bytes], jobs: Jobs
    ) -> None:
        self._repository = repository
        self._packs = packs
        self._loose = LooseBlobs([*object_directories(repository.common_dir)])
        self._oids = b"".join(oids)
        self._oid_size = repository.oid_size
        self._last = len(oids) - 1
        self.places = Places.find(oids, packs, self._loose, self._oid_size, jobs)
        self._idle: CatFile | None = None
        """This process's git, when nothing is read from it."""
        self._lock = threading.RLock()

    @property
    def repository(self) -> Repository:
        """The repository that the blobs are in."""
        return self._repository

    def extent(self, file: File, offset: int) -> Extent:
        """The whole blob as a stream."""
        size = file.size
        return Stream(offset, size, self, file.key, file.path, 0, size)

    def identity(self, key: Hashable) -> Hashable:
        """Blobs of one id are the same bytes."""
        return self.object_format, self.raw_oid(key)

    def raw_oid(self, key: Hashable) -> bytes:
        """The object id of a blob."""
        number: int = key  # type: ignore[assignment]
        size = self._oid_size
        return self._oids[number * size : (number + 1) * size]

    def whole(self, key: Hashable) -> bytes | None:
        """All of a small blob; None if git is to read it."""
        number: int = key  # type: ignore[assignment]
        places = self.places
        size = places.sizes[number]
        offset = places.offsets[number]
        if not offset or size > SMALL:
            return None
        pack = places.packs[number]
        if pack == LOOSE:
            return self._loose.read(self.raw_oid(number), size)
        return self._packs.read(pack, offset, size)

    def open(self, key: Hashable, name: str) -> Readable:
        """A blob from its start; `name` is for messages. Raises `SourceError`."""
        found = self.whole(key)
        if found is not None:
            return io.BytesIO(found)
        number: int = key  # type: ignore[assignment]
        size = self.places.sizes[number]
        with self._lock:
            reader, self._idle = self._idle or CatFile.of(self._repository), None
            blob = _BlobStream(self, reader, number, name)
            if size > SMALL:
                return blob
            with blob:
                return io.BytesIO(blob.read(size))

    def give_back(self, reader: CatFile, number: int) -> None:
        """Take back the git that has told all of blob `number`."""
        with self._lock:
            if self._idle is None and number < self._last:
                self._idle = reader
            else:
                reader.close()


class _BlobStream(Closing):
    """Blob `number` while `reader` tells its bytes. Raises `SourceError`."""

    def __init__(self, blobs: Blobs, reader: CatFile, number: int, path: str) -> None:
        self._left = 0  # nothing for close() to read over, if it does not begin
        self._blobs = blobs
        self._reader = reader
        self._number = number
        oid, size = blobs.raw_oid(number).hex(), blobs.places.sizes[number]
        with self._reading():
            kind, found = reader.ask(oid, path)
            if (kind, found) != (b"blob", size):
                rule = f"object {oid} is a {kind.decode('ascii', 'replace')} of {found:,} bytes"
                planned = f"and was a blob of {size:,} bytes when it was planned"
                raise SourceError(path, f"{rule}, {planned}", "pack again while nothing changes it")
            self._left = size
            self._end_if_all()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Close the pipe upon any error, even Ctrl-C: it is anywhere."""
        try:
            yield
        except BaseException:
            self._left = 0
            self._reader.close()
            raise

    def _end_if_all(self) -> None:
        if not self._left:
            self._reader.finish()
            self._blobs.give_back(self._reader, self._number)

    def read(self, most: int, /) -> bytes:
        """The next bytes, as many as there are up to `most`. Raises `SourceError`."""
        count = min(most, self._left)
        if not count:
            return b""
        with self._reading():
            data = self._reader.read(count)
            self._left -= count
            self._end_if_all()
        return data

    def close(self) -> None:
        """Let go of it, wherever it is."""
        if 0 < self._left <= _WORTH_FINISHING and self._reader.alive:
            self.read(self._left)
        elif self._left:
            self._left = 0
            self._reader.close()
