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

_TYPES = {"file": "file", "directory": "directory", "symlink": "link"}


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
            protocol = {} if target_protocol is None else {"protocol": target_protocol}
            filesystem, path = url_to_fs(str(fo), **{**(target_options or {}), **protocol})
            reader = RemoteReader(filesystem, path, str(fo))
            self.image = open_image(reader.file(owned=True), key_file=key_file)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path)).strip("/")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is at a path, or where a link leads; `extents` are (offset, length) in the image."""
        path = self._strip_protocol(path)
        return self._facts(path, self.image.resolve(path) or self.image.get(path))

    def exists(self, path: str, **_: Any) -> bool:
        """Whether anything is at a path; a link leads to something."""
        return self.image.resolve(self._strip_protocol(path)) is not None

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What is in a directory, or a file itself; dictionaries, or names without `detail`."""
        path = self._strip_protocol(path)
        at = self.image.resolve(path)
        if at is None or at.kind != "directory":
            found = [self.info(path)]
        else:
            names = sorted(self.image.names[at.path])
            shown = ((name, self.image.shown(f"{at.path}/{name}".lstrip("/"))) for name in names)
            found = [
                self._facts(f"{path}/{name}".lstrip("/"), each)
                for name, each in shown
                if each is not None
            ]
        return found if detail else [facts["name"] for facts in found]

    def _facts(self, path: str, entry: ImageEntry) -> dict[str, Any]:
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
        link = self.image.entries.get(path)
        if link is not None and link.kind == "symlink":
            facts |= {"islink": True, "destination": link.target}
        return facts

    def _open(self, path: str, mode: str = "rb", *_: Any, **__: Any) -> BinaryIO:
        if mode != "rb":
            self._refuse(path)
        return self.image.open(self._strip_protocol(path))

    def _refuse(self, path: str, *_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, "an image is read, and never written to", path)

    mkdir: Any = _refuse
    makedirs = rmdir = cp_file = _rm = _refuse

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
