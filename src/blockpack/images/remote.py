"""Images that are elsewhere: read by ranges, through fsspec (the extra ``blockpack[fsspec]``).

What is asked for is fetched in whole pages, those that lie together at once, and the last pages are
kept: readers of formats ask for a few bytes at a time, and each request takes a journey.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from ..errors import SourceError, UsageError
from ..reading.positional import PositionalReader

PAGE = 64 << 10
"""Bytes of a page."""

MOST_PAGES = 256
"""Pages that are kept."""


class RemoteReader(PositionalReader):
    """A file on an fsspec filesystem, read by ranges by any thread."""

    forkable = False  # filesystems have threads and connections
    read_ahead = PAGE

    def __init__(self, filesystem: Any, path: str, name: str) -> None:
        self._filesystem = filesystem
        self._path = path
        self._name = name
        self._lock = threading.Lock()
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self._whole = b""
        size = self._asked("info")["size"]
        if size is None:
            raise SourceError(name, "has no size that its server tells", "download it first")
        super().__init__(int(size))

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, from pages."""
        first, last = position // PAGE, (position + len(view) - 1) // PAGE
        data = b"".join(self._of(first, last))
        skip = position - first * PAGE
        view[:] = data[skip : skip + len(view)]
        return len(view)

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
            for page, data_of_page in pages.items():
                assert data_of_page is not None
                self._pages[page] = data_of_page
                self._pages.move_to_end(page)
            while len(self._pages) > MOST_PAGES:
                self._pages.popitem(last=False)
        return [data for data in pages.values() if data is not None]

    def _fetched(self, start: int, end: int) -> bytes:
        if self._whole:
            return self._whole[start:end]
        data: bytes = self._asked("cat_file", start=start, end=end)
        if len(data) == self.size > end - start:  # a server that knows no ranges sends all, once
            self._whole, data = data, data[start:end]
        if len(data) != end - start:
            rule = f"gave {len(data):,} bytes where {end - start:,} were asked for"
            raise SourceError(self._name, rule, "see whether it is being replaced")
        return data

    def _asked(self, method: str, **options: int) -> Any:
        try:
            return getattr(self._filesystem, method)(self._path, **options)
        except Exception as error:  # whatever a filesystem's library raises
            what = str(error) or type(error).__name__
            raise SourceError(self._name, f"cannot be read: {what}") from error


def is_url(name: str) -> bool:
    """Whether a name is a URL, and no path."""
    return "://" in name


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
