"""Images that are elsewhere: read by ranges, through fsspec (the extra ``blockpack[fsspec]``).

What is asked for is fetched in whole pages, those that lie together at once, and the last pages are
kept: readers of formats ask for a few bytes at a time, and each request takes a journey.

An image that is replaced while it is read is an error, as soon as anything tells so: of a web
server each answer does (`web`), of other filesystems what they tell of the file after each read.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from ..errors import BlockpackError, SourceError, UsageError, reason
from ..reading.positional import PositionalReader
from ..reading.recent import Recent

if TYPE_CHECKING:
    from .web import WebFile

PAGE = 64 << 10
"""Bytes of a page."""

MOST_PAGES = 256
"""Pages that are kept."""

_AT_ONCE = 4 << 20
"""Bytes that are asked for at once, at most."""

_TELLING = (
    *("size", "etag", "mtime", "modified", "modify", "lastmodified", "modificationtime"),
    *("updated", "created", "generation", "versionid", "ino", "sha", "md5", "md5hash"),
)
"""What filesystems call that by which one version of a file is told from another."""


class _FsspecFile:
    """A file on any filesystem of fsspec's: its size in bytes, and those at its begin if they are
    known.
    """

    begin = b""

    def __init__(self, filesystem: Any, path: str, name: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._name = name
        self._version = self._told()
        size = self._version.get("size")
        if size is None:
            raise SourceError(name, "has no size that its server tells", "download it first")
        self.size = int(size)

    def fetch(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`. Raises `SourceError` if the file has changed."""
        data: bytes = self._filesystem.cat_file(self._path, start=start, end=end)
        self._filesystem.invalidate_cache(self._path)
        if self._told() != self._version:
            raise SourceError(self._name, "changed while it was read", "read it again")
        return data

    def _told(self) -> dict[str, Any]:
        facts = {
            name.lower().replace("-", "").replace("_", ""): fact
            for name, fact in self._filesystem.info(self._path).items()
        }
        return {name: facts[name] for name in _TELLING if name in facts}


class RemoteReader(PositionalReader):
    """A file on an fsspec filesystem, read by ranges by any thread."""

    forkable = False  # filesystems have threads and connections
    read_ahead = PAGE

    def __init__(self, filesystem: Any, path: str, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._pages: Recent[int, bytes] = Recent(MOST_PAGES)
        self._file: _FsspecFile | WebFile = self._asked(_opened, filesystem, path, name)
        super().__init__(self._file.size)
        if self._file.begin:
            self._pages.keep(0, self._file.begin)

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from pages."""
        count = min(len(view), _AT_ONCE - position % PAGE)
        first, last = position // PAGE, (position + count - 1) // PAGE
        data = b"".join(self._of(first, last))
        skip = position - first * PAGE
        view[:count] = data[skip : skip + count]
        return count

    def _of(self, first: int, last: int) -> list[bytes]:
        """Pages from `first` to `last`; those that are not there are fetched at once."""
        with self._lock:
            pages = {page: self._pages.get(page) for page in range(first, last + 1)}
            absent = [page for page, data in pages.items() if data is None]
            if absent:
                start, end = absent[0], absent[-1] + 1
                data = self._fetched(start * PAGE, min(end * PAGE, self.size))
                for page in range(start, end):
                    at = (page - start) * PAGE
                    pages[page] = data[at : at + PAGE]
                    self._pages.keep(page, data[at : at + PAGE])
        return [data for data in pages.values() if data is not None]

    def _fetched(self, start: int, end: int) -> bytes:
        data: bytes = self._asked(self._file.fetch, start, end)
        if len(data) != end - start:
            rule = f"gave {len(data):,} bytes where {end - start:,} were asked for"
            raise SourceError(self._name, rule, "see whether it is being replaced")
        return data

    def _asked(self, what: Any, *words: Any) -> Any:
        try:
            return what(*words)
        except BlockpackError:
            raise
        except Exception as error:  # whatever a filesystem's library raises
            told = reason(error) if isinstance(error, OSError) else str(error)
            told = (told or type(error).__name__).splitlines()[0][:200]  # some show all data
            raise SourceError(self._name, f"cannot be read: {told}") from error


def _opened(filesystem: Any, path: str, name: str) -> _FsspecFile | WebFile:
    """The file at `path`, on the web or elsewhere."""
    if not is_web(filesystem):
        return _FsspecFile(filesystem, path, name)
    from .web import WebFile

    return WebFile(filesystem, path, name, PAGE)


def is_web(filesystem: Any) -> bool:
    """Whether a filesystem of fsspec's is of web servers."""
    web = sys.modules.get("fsspec.implementations.http")  # which they come from
    return web is not None and isinstance(filesystem, web.HTTPFileSystem)


def is_url(name: str) -> bool:
    """Whether a name is a URL, and no path."""
    return "://" in name and not os.path.lexists(name)


def open_url(url: str) -> RemoteReader:
    """What is at a URL. Raises `UsageError` without fsspec, and `SourceError`."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        rule = f"a URL needs blockpack[fsspec] installed ({error})"
        raise UsageError(url, rule) from None
    try:
        filesystem, path = url_to_fs(url)
    except (ValueError, ImportError) as error:  # what is not known, or not installed
        raise UsageError(url, str(error)) from None
    except Exception as error:
        raise SourceError(url, f"cannot be opened: {error}") from error
    return RemoteReader(filesystem, path, url)
