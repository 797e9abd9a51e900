"""A path in an image that is read like one of `pathlib`: `importlib.resources`' Traversable."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from ..errors import NotInImageError

if TYPE_CHECKING:
    from .image import Image


class ImagePath:
    """A path in `image`, be there something or not; an empty one is the root."""

    def __init__(self, image: Image, path: str = "") -> None:
        self._image = image
        self._path = path

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.rpartition("/")[2]

    @property
    def parent(self) -> ImagePath:
        """The directory that it is in; the root's is the root."""
        return ImagePath(self._image, self._path.rpartition("/")[0])

    def joinpath(self, *others: str) -> ImagePath:
        """The path of what is below it."""
        parts = [self._path, *others]
        return ImagePath(self._image, "/".join(part.strip("/") for part in parts if part))

    def __truediv__(self, other: str) -> ImagePath:
        return self.joinpath(other)

    def exists(self) -> bool:
        """Whether anything is there; a link leads to something."""
        return self.is_dir() or self.is_file()

    def is_file(self) -> bool:
        """Whether it is a file, or a link to one."""
        found = self._image.resolve(self._path)
        return found is not None and found.kind == "file"

    def is_dir(self) -> bool:
        """Whether it is a directory, or a link to one."""
        return self._directory() is not None

    def iterdir(self) -> Iterator[ImagePath]:
        """The entries of the directory, by name. Raises `NotInImageError` if it is not one."""
        directory = self._directory()
        if directory is None:
            raise NotInImageError(self._path, "is not a directory of the image", "name one that is")
        for name in sorted(self._image.names[directory]):
            yield self.joinpath(name)

    def open(
        self,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """The file, for the mode ``r`` or ``rb``. Raises as `Image.open` does."""
        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"an image is read, so the mode is 'r' or 'rb'; not {mode!r}")
        file = self._image.open(self._path)
        if mode == "rb":
            return file
        return io.TextIOWrapper(file, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        """All bytes of the file. Raises as `Image.open` does."""
        return self._image.read(self._path)

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """All text of the file, UTF-8 if nothing else is said. Raises as `Image.open` does."""
        with self.open("r", encoding=encoding, errors=errors) as file:
            text: str = file.read()
            return text

    def __str__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"ImagePath({self._path!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ImagePath)
            and other._image is self._image
            and other._path == self._path
        )

    def __hash__(self) -> int:
        return hash((id(self._image), self._path))

    def _directory(self) -> str | None:
        """The path of the directory that it is or leads to; None if there is no such directory."""
        if self._path in self._image.names:
            return self._path
        found = self._image.resolve(self._path)
        return found.path if found is not None and found.kind == "directory" else None
