"""A path in an image that is read like one of `pathlib`: it has all that this has for reading.

So it is also what `importlib.resources` calls a Traversable. What needs no image is done by
`pathlib.PurePosixPath`.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING, Any

from ..errors import NotInImageError
from ..model.entry import NANOSECONDS, encode

if TYPE_CHECKING:
    from .image import Image


_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}


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

    def __getattr__(self, name: str) -> Any:
        """What a pure path has: its parts, its suffix, comparison with patterns, …"""
        from pathlib import PurePosixPath  # slow to import

        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(PurePosixPath(self._path), name)
        return self._with_image(found) if callable(found) else self._own(found)

    def _with_image(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method of a pure path, whose results are in this image."""

        def called(*words: Any, **options: Any) -> Any:
            plain = (each._path if isinstance(each, ImagePath) else each for each in words)
            return self._own(method(*plain, **options))

        return called

    def _own(self, value: Any) -> Any:
        from pathlib import PurePath

        if not isinstance(value, PurePath):
            return value
        return ImagePath(self._image, "/".join(value.parts))

    @property
    def parents(self) -> Sequence[ImagePath]:
        """The directories that it is in, the nearest one first; the last is the root."""
        parts = self._path.split("/") if self._path else []
        return [ImagePath(self._image, "/".join(parts[:n])) for n in reversed(range(len(parts)))]

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

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        found = self._image.entries.get(self._path)
        return found is not None and found.kind == "symlink"

    def readlink(self) -> ImagePath:
        """What a link says, as a path that is relative to its directory.

        Raises `NotInImageError` if it is not a link.
        """
        if not self.is_symlink():
            raise NotInImageError(self._path, "is not a symbolic link of the image", "name one")
        return ImagePath(self._image, self._image.entries[self._path].target)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Its mode, size, owner and time, as `os.stat` gives them; there is no inode.

        Raises `NotInImageError`.
        """
        entries = self._image.entries
        found = self._image.resolve(self._path) if follow_symlinks else entries.get(self._path)
        if found is None:
            raise NotInImageError(self._path, "not in the image")
        seconds = found.mtime_ns // NANOSECONDS
        mode = found.mode | _TYPES.get(found.kind, 0)
        size = len(encode(found.target)) if found.kind == "symlink" else found.size
        owner = found.uid, found.gid
        return os.stat_result((mode, 0, 0, 1, *owner, size, seconds, seconds, seconds))

    def lstat(self) -> os.stat_result:
        """As `stat`, but of a link itself."""
        return self.stat(follow_symlinks=False)

    def glob(self, pattern: str) -> Iterator[ImagePath]:
        """What is below and matches `pattern`, in which ``**`` stands for any directories."""
        return self._matching([part for part in pattern.split("/") if part])

    def rglob(self, pattern: str) -> Iterator[ImagePath]:
        """What is below, at any depth, and matches `pattern`."""
        return self.glob(f"**/{pattern}")

    def _matching(self, pattern: Sequence[str]) -> Iterator[ImagePath]:
        if not pattern:
            yield self
            return
        if not self.is_dir():
            return
        first, rest = pattern[0], pattern[1:]
        if first == "**":
            yield from self._matching(rest)
        for each in self.iterdir():
            if first == "**":  # links are not followed, as pathlib does not
                if each.is_dir() and not each.is_symlink():
                    yield from each._matching(pattern)
            elif fnmatchcase(each.name, first):
                yield from each._matching(rest)

    def walk(self) -> Iterator[tuple[ImagePath, list[str], list[str]]]:
        """Each directory from here on with the names of directories and of others in it."""
        below = list(self.iterdir())
        directories = [each for each in below if each.is_dir() and not each.is_symlink()]
        names = [each.name for each in directories]
        yield self, names, [each.name for each in below if each.name not in names]
        for each in directories:
            if each.name in names:  # the caller may have taken some out
                yield from each.walk()

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """The file, for the mode ``r`` or ``rb``; `buffering` is how many bytes are read at once.

        Raises as `Image.open` does.
        """
        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"an image is read, so the mode is 'r' or 'rb'; not {mode!r}")
        if not buffering and mode != "rb":
            raise ValueError("text is always buffered")
        content = self._image.content(self._path)
        file = content.file() if buffering < 2 else content.file(buffering)
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

    def __lt__(self, other: ImagePath) -> bool:
        return self._path.split("/") < other._path.split("/")

    def __hash__(self) -> int:
        return hash((id(self._image), self._path))

    def _directory(self) -> str | None:
        """The path of the directory that it is or leads to; None if there is no such directory."""
        if self._path in self._image.names:
            return self._path
        found = self._image.resolve(self._path)
        return found.path if found is not None and found.kind == "directory" else None
