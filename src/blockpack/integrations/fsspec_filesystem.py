"""An image as a filesystem of fsspec's: ``fsspec.filesystem("blockpack", fo="www.img")``.

URLs are chained: ``blockpack://a/b.txt::s3://bucket/www.img``. The image is read by ranges,
wherever it is, and one filesystem serves any number of threads.
"""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs

from ..formats.reader import ImageEntry
from ..images.image import Image
from ..images.open_image import open_image
from ..images.remote import RemoteReader
from ..model.entry import NANOSECONDS


class BlockpackFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What is in the image `fo`: a path, a URL, a binary file that seeks, or an open `Image`.

    `target_protocol` and `target_options` say how fsspec opens `fo`, as in its other filesystems
    of archives; `key_file` has the key of an encrypted image. Raises as `open_image` does.
    """

    protocol = "blockpack"
    root_marker = ""

    def __init__(
        self,
        fo: str | os.PathLike[str] | BinaryIO | Image = "",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        key_file: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(fo, Image):
            self.image = fo
        elif target_protocol in (None, "file") and not target_options:
            self.image = open_image(fo, key_file=key_file)
        else:
            self.image = _remote(str(fo), target_protocol, target_options, key_file)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).strip("/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is at a path. `extents` are where its bytes lie in the image, (offset, length)."""
        path = self._strip_protocol(path)
        if path in self.image.names and path not in self.image:  # there by what it holds
            return {"name": path, "size": 0, "type": "directory"}
        return _facts(path, self.image.get(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a directory, or a file itself; dictionaries, or names without `detail`."""
        path = self._strip_protocol(path)
        names = self.image.names.get(path)
        if names is None:
            found = [self.info(path)]
        else:
            found = [self.info(f"{path}/{name}" if path else name) for name in sorted(names)]
        return found if detail else [facts["name"] for facts in found]

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> BinaryIO:
        if mode != "rb":
            raise OSError(errno.EROFS, "an image is read, and never written to", path)
        return self.image.open(self._strip_protocol(path))

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes of a file from `start` to `end`; from its end on, where they are negative."""
        content = self.image.content(self._strip_protocol(path))
        begin, stop, _step = slice(start, end).indices(content.size)
        return content.read_at(begin, max(stop - begin, 0))

    def modified(self, path: str) -> datetime:
        """When a file was last changed."""
        info = self.info(path)
        return datetime.fromtimestamp(info.get("mtime", 0), UTC)


def _remote(
    url: str, protocol: str | None, options: dict[str, Any] | None, key_file: str | None
) -> Image:
    given = dict(options or {})
    if protocol is not None:
        given["protocol"] = protocol
    filesystem, path = url_to_fs(url, **given)
    reader = RemoteReader(filesystem, path, url)
    return open_image(reader.file(owned=True), key_file=key_file)


_TYPES = {"file": "file", "directory": "directory", "symlink": "link"}


def _facts(path: str, entry: ImageEntry) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": path,
        "size": entry.size,
        "type": _TYPES.get(entry.kind, "other"),
        "mode": entry.mode,
        "mtime": entry.mtime_ns / NANOSECONDS,
        "uid": entry.uid,
        "gid": entry.gid,
    }
    if entry.kind == "file":
        facts["extents"] = [tuple(extent) for extent in entry.extents]
    if entry.target:
        facts["destination"] = entry.target
    return facts
