"""An image as a filesystem of PyFilesystem's: ``fs.open_fs("blockpack://www.img")``.

It is read-only, and one filesystem serves any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, BinaryIO

from fs import errors
from fs.base import FS
from fs.enums import ResourceType
from fs.info import Info
from fs.mode import Mode
from fs.opener import Opener
from fs.path import basename

from ..errors import BlockpackError
from ..formats.reader import ImageEntry
from ..images.image import Image
from ..images.open_image import open_image
from ..model.entry import NANOSECONDS

_TYPES = {
    "file": ResourceType.file,
    "directory": ResourceType.directory,
    "symlink": ResourceType.symlink,
}


class BlockpackFS(FS):
    """What is in an open image, or in the one at a path or URL. Raises as `open_image` does."""

    _meta = {  # noqa: RUF012 - as in the base class
        "case_insensitive": False,
        "invalid_path_chars": "\0",
        "network": False,
        "read_only": True,
        "thread_safe": True,
        "unicode_paths": True,
        "virtual": False,
    }

    _closed = True  # until there is an image: the base class closes also what was never opened

    def __init__(self, image: Image | str | os.PathLike[str]) -> None:
        self.image = image if isinstance(image, Image) else open_image(image)
        super().__init__()

    def getinfo(self, path: str, namespaces: Collection[str] | None = None) -> Info:
        """What is known of a path; in the namespace ``blockpack`` where its bytes are."""
        inside = self._inside(path)
        entry = self.image.shown(inside)
        if entry is None:
            raise errors.ResourceNotFound(path)
        link = self.image.entries.get(inside, entry)
        target = link.target if link.kind == "symlink" else None
        return Info(_facts(basename(path), entry, target, namespaces or ()))

    def listdir(self, path: str) -> list[str]:
        """The names in a directory."""
        found = self.image.resolve(self._inside(path))
        if found is None:
            raise errors.ResourceNotFound(path)
        if found.kind != "directory":
            raise errors.DirectoryExpected(path)
        return sorted(self.image.names[found.path])

    def openbin(self, path: str, mode: str = "r", buffering: int = -1, **_: Any) -> BinaryIO:
        """A file of the image, read anywhere."""
        asked = Mode(mode)
        asked.validate_bin()
        if asked.writing:
            raise errors.ResourceReadOnly(path)
        inside = self._inside(path)
        found = self.image.resolve(inside)
        if found is None:
            raise errors.ResourceNotFound(path)
        if found.kind == "directory":
            raise errors.FileExpected(path)
        try:
            return self.image.open(inside)
        except BlockpackError as error:
            raise errors.ResourceError(path, exc=error, msg=str(error)) from error

    def _refuse(self, path: str, *_: Any, **__: Any) -> Any:
        raise errors.ResourceReadOnly(path)

    makedir: Any = _refuse
    remove = removedir = _refuse

    def setinfo(self, path: str, info: Any) -> None:
        """Refused."""
        self.getinfo(path)
        raise errors.ResourceReadOnly(path)

    def close(self) -> None:
        """Close the image."""
        if not self.isclosed():
            self.image.close()
        super().close()

    def _inside(self, path: str) -> str:
        self.check()
        return str(self.validatepath(path)).strip("/")


def _facts(
    name: str, entry: ImageEntry, target: str | None, namespaces: Collection[str]
) -> dict[str, Any]:
    facts: dict[str, Any] = {"basic": {"name": name, "is_dir": entry.kind == "directory"}}
    if "details" in namespaces:
        facts["details"] = {
            "type": int(_TYPES.get(entry.kind, ResourceType.unknown)),
            "size": entry.size,
            "modified": entry.mtime_ns / NANOSECONDS,
        }
    if "access" in namespaces:
        bits = [f"{who}_{what}" for who in "ugo" for what in "rwx"]
        granted = [bit for n, bit in enumerate(bits) if entry.mode >> (8 - n) & 1]
        facts["access"] = {"permissions": granted, "uid": entry.uid, "gid": entry.gid}
    if "link" in namespaces:
        facts["link"] = {"target": target}
    if "blockpack" in namespaces:
        facts["blockpack"] = {"extents": [tuple(extent) for extent in entry.extents]}
    return facts


class BlockpackOpener(Opener):
    """Opens ``blockpack://PATH``."""

    protocols = ["blockpack"]  # noqa: RUF012 - as in the base class

    def open_fs(
        self, fs_url: str, parse_result: Any, writeable: bool, create: bool, cwd: str
    ) -> BlockpackFS:
        """The image that a URL names, relative to `cwd`."""
        return BlockpackFS(os.path.join(cwd, parse_result.resource))
