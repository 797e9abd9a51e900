"""The contents of files that are blobs of a repository.

Rule 1: a small blob is read whole when it is opened, from a pack if it is in one (`packs`), else
through git, whose pipe so is at rest between two of them.
Rule 2: a large one has a pipe for itself while it is read, and gives it back at its end; whoever
wants another blob meanwhile gets another pipe.
Rule 3: blobs are mostly read in the order of the tree. While that holds, the next small ones are
asked for ahead, more each time, so that git reads while we write. When it does not hold, what was
asked for in vain is read over.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Hashable
from typing import TYPE_CHECKING, BinaryIO, cast

from ...errors import SourceError
from ...formats.git.origin import BlobStore
from ...model.entry import File
from ...model.extent import Extent, Stream
from .blob_places import Places
from .cat_file import CatFile
from .packs import Packs

if TYPE_CHECKING:
    from .repository import Repository

SMALL = 256 << 10
"""A blob up to this size (bytes) is read whole."""

_MOST_AHEAD = 40  # blobs that are asked for ahead; the requests fit the smallest pipe
_ROOM_AHEAD = 1 << 20  # bytes of these blobs

_WORTH_FINISHING = 1 << 20  # bytes that are read over sooner than git is started again


class Blobs(BlobStore):
    """Numbered blobs of one repository, and this process's pipe to them; a key is a number.

    `oids` has their raw ids end to end, in the order of the tree, and `places` where they are, as
    far as they have been found yet.
    """

    def __init__(self, repository: Repository, packs: Packs, oids: bytes, places: Places) -> None:
        self._repository = repository
        self.sizes = places.sizes
        self.last = len(oids) // repository.oid_size - 1
        """The number of the last one that is to be read."""
        self._packs = packs
        self._oids = oids
        self._oid_size = repository.oid_size
        self._pack_numbers = places.packs
        self._offsets = places.offsets
        self._reader: CatFile | None = None
        self._expected: deque[tuple[int, str]] = deque()  # asked for: number and object id
        self._ahead = 0  # how many more to ask for
        self._most_ahead = _MOST_AHEAD
        self._opened_last = -1  # what was opened last
        self._lock = threading.Lock()

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
        return self.repository.object_format, self.raw_oid(key)

    def raw_oid(self, key: Hashable) -> bytes:
        """The object id of a blob."""
        number: int = key  # type: ignore[assignment]
        size = self._oid_size
        return self._oids[number * size : (number + 1) * size]

    def oid(self, number: int) -> str:
        """The object id of blob `number`, in hexadecimal digits."""
        return self.raw_oid(number).hex()

    def open(self, key: Hashable, name: str) -> BinaryIO:
        """A blob from its start; `name` is for messages. Raises `SourceError`."""
        number: int = key  # type: ignore[assignment]
        size = self.sizes[number]
        offset = self._offsets[number]
        if offset and size <= SMALL:
            found = self._packs.read(self._pack_numbers[number], offset, size)
            if found is not None:
                return io.BytesIO(found)
        with self._lock:
            if size > SMALL:
                return cast(BinaryIO, _LargeBlob(self, self._taken(number), number, name))
            reader = self._asked(number)
            try:
                data = reader.blob(self._expected.popleft()[1], size, name)
            except BaseException:  # even Ctrl-C: the pipe is anywhere
                self._drop()
                raise
            if number == self.last:
                self._drop()  # nothing is left to be read in order
        return io.BytesIO(data)

    def _asked(self, number: int) -> CatFile:
        """A pipe in which blob `number` is next, and the first that is expected."""
        reader = self._reader
        expected = self._expected
        if reader is None or not reader.alive or not expected or expected[0][0] != number:
            reader = self._at_rest(number)
            if not expected:
                self._ahead = 1 if number == self._opened_last + 1 else 0
                oid = self.oid(number)
                reader.request([oid])
                expected.append((number, oid))
        if len(expected) <= self._ahead // 2 + 1:
            self._ask_ahead(reader)
            self._ahead = min(2 * self._ahead, self._most_ahead)
        self._opened_last = number
        return reader

    def _at_rest(self, number: int = -1) -> CatFile:
        """This process's pipe, which has read over what comes before blob `number`.

        Nothing is expected afterwards if that was not asked for.
        """
        expected = self._expected
        wanted = any(asked == number for asked, _ in expected)
        if self._reader is not None and self._reader.alive:
            try:
                while expected and not (wanted and expected[0][0] == number):
                    self._reader.skip(expected.popleft()[1])
                return self._reader
            except BaseException as error:
                self._drop()
                if not isinstance(error, SourceError):  # what nobody wants may be damaged
                    raise
        self._drop()
        self._reader = CatFile(self._repository)
        return self._reader

    def _ask_ahead(self, reader: CatFile) -> None:
        """Ask for the blobs after the last one that is expected."""
        expected = self._expected
        more = []
        following = expected[-1][0] + 1
        room = _ROOM_AHEAD - sum(self.sizes[number] for number, _ in expected)
        while len(expected) <= self._ahead and following <= self.last:
            size = self.sizes[following]
            room -= size
            if size > SMALL or room < 0:
                break
            oid = self.oid(following)
            expected.append((following, oid))
            more.append(oid)
            following += 1
        if more:
            reader.request(more)

    def _taken(self, number: int) -> CatFile:
        """A pipe for a large blob alone."""
        reader = self._at_rest()
        self._reader = None
        reader.request([self.oid(number)])
        self._opened_last = number
        return reader

    def give_back(self, reader: CatFile, number: int) -> None:
        """Take back the pipe of a large blob that was read to its end."""
        with self._lock:
            if self._reader is None and number < self.last:
                self._reader = reader
            else:
                reader.close()

    def _drop(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._expected.clear()


class _LargeBlob(io.RawIOBase):
    """A large blob while it is read."""

    def __init__(self, blobs: Blobs, reader: CatFile, number: int, path: str) -> None:
        super().__init__()
        self._left = 0  # nothing for close() to read over, if it does not begin
        self._blobs = blobs
        self._reader = reader
        self._number = number
        self._oid = blobs.oid(number)
        self._path = path
        size = blobs.sizes[number]
        reader.begin_blob(self._oid, size, path)
        self._left = size

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to `size` bytes; all that is left without one. Raises `SourceError`."""
        count = self._left if size is None or size < 0 else min(size, self._left)
        if not count:
            return b""
        try:
            data = self._reader.read(count, self._oid, self._path)
            self._left -= count
            if not self._left:
                self._reader.finish(self._oid, self._path)
        except BaseException:
            self._reader.close()
            raise
        if not self._left:
            self._blobs.give_back(self._reader, self._number)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` as far as the blob goes. Raises `SourceError`."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Let go of it, wherever it is."""
        if not self.closed and self._left:
            if self._left <= _WORTH_FINISHING and self._reader.alive:
                self.read()
            else:
                self._reader.close()
        super().close()
