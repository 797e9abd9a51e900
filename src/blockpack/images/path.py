"""A path in an image that is read like one of `pathlib`: it has all that this has for reading.

So it is also what `importlib.resources` calls a Traversable. What needs no image is done by
`pathlib.PurePosixPath`; where the versions of Python differ, it is as in the newest, 3.14.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import total_ordering
from typing import IO, TYPE_CHECKING, Any

from ..arguments import checked
from ..errors import NotADirectoryInImageError, NotALinkError, NotInImageError
from ..formats.reader import ImageEntry
from ..model.entry import NANOSECONDS, encode, text_of

if TYPE_CHECKING:
    from pathlib import PurePath  # slow to import

    from .image import Image


_TYPES = {"file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK}

_TIMES = ("atime", "mtime", "ctime")


@total_ordering
@checked
class ImagePath:
    """A path in `image`, be there something or not; an empty one is the root."""

    def __init__(self, image: Image, path: str = "") -> None:
        self._image = image
        parts = [part for part in path.split("/") if part not in ("", ".")]
        # Only what a link says begins with a slash; it is that of the image.
        self._path = "/" * path.startswith("/") + "/".join(parts)

    @property
    def name(self) -> str:
        """The last part."""
        return self._path.rpartition("/")[2]

    @property
    def parent(self) -> ImagePath:
        """The directory that it is in; the root's is the root."""
        return ImagePath(self._image, self._path.rpartition("/")[0])

    def joinpath(self, *others: str | os.PathLike[str] | ImagePath) -> ImagePath:
        """The path of what is below it; an absolute one begins at the root of the image."""
        joined = posixpath.join(self._path, *(_text(each) for each in others))
        return ImagePath(self._image, joined.lstrip("/"))

    def __truediv__(self, other: str | os.PathLike[str] | ImagePath) -> ImagePath:
        return self.joinpath(other)

    def __getattr__(self, name: str) -> Any:
        """What a pure path has: its parts, its suffix, comparison with patterns, …"""
        from pathlib import PurePosixPath  # slow to import

        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(PurePosixPath(self._path), name)

        def called(*words: Any, **options: Any) -> Any:  # a method, whose results are in this image
            plain = (each._path if isinstance(each, ImagePath) else each for each in words)
            return self._own(found(*plain, **options))

        return called if callable(found) else self._own(found)

    def _own(self, value: Any) -> Any:
        from pathlib import PurePath

        return ImagePath(self._image, str(value)) if isinstance(value, PurePath) else value

    @property
    def parents(self) -> Sequence[ImagePath]:
        """The directories that it is in, the nearest one first; the last is the root."""
        parts = self._path.split("/") if self._path else []
        return [ImagePath(self._image, "/".join(parts[:n])) for n in reversed(range(len(parts)))]

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether anything is there; a link leads to something."""
        return self._entry(follow_symlinks) is not None

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file, or a link to one."""
        return self._is("file", follow_symlinks)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory, or a link to one."""
        return self._is("directory", follow_symlinks)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._is("symlink", False)

    def is_mount(self) -> bool:
        """False: nothing is mounted in an image, and what is a device or such is not told."""
        return False

    is_block_device = is_char_device = is_fifo = is_junction = is_socket = is_mount

    @property
    def info(self) -> ImagePath:
        """What tells the kind of what is there, as `pathlib.Path.info`: the path itself."""
        return self

    def iterdir(self) -> Iterator[ImagePath]:
        """The entries by name. Raises `NotInImageError`, and `NotADirectoryInImageError`."""
        found = self._found()
        if found.kind != "directory":
            rule = f"is a {found.kind}, not a directory"
            raise NotADirectoryInImageError(self._path, rule, "name one")
        return (self.joinpath(name) for name in sorted(self._image.names[found.path]))

    def readlink(self) -> ImagePath:
        """What a link says, as a path that is relative to its directory.

        Raises `NotInImageError`, and `ImageError` (also an `OSError`) for what is no link.
        """
        found = self._found(follow_symlinks=False)
        if found.kind != "symlink":
            raise NotALinkError(self._path, "is not a symbolic link", "name one")
        return ImagePath(self._image, found.target)

    def resolve(self, strict: bool = False) -> ImagePath:
        """The path without links and ``..``, as far as it leads; all of it must, if `strict`.

        Raises as `Image.found` does.
        """
        rest: list[str] = []
        for path in (self, *self.parents):
            found = path._entry()
            if found is not None:
                whole = posixpath.normpath(posixpath.join("/", found.path, *reversed(rest)))
                return ImagePath(self._image, whole.lstrip("/"))
            if strict:
                self._found()
            rest.append(path.name)
        raise NotInImageError(self._path, "not in the image")

    def absolute(self) -> ImagePath:
        """The path itself: all begin at the root of the image."""
        return self

    def samefile(self, other: str | ImagePath) -> bool:
        """Whether both lead to the same entry. Raises `NotInImageError`."""
        there = other if isinstance(other, ImagePath) else ImagePath(self._image, other)
        return there._image is self._image and there._found().path == self._found().path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Its mode, size, owner and time as in `os.stat`; no inode. Raises `NotInImageError`."""
        found = self._found(follow_symlinks)
        mode = found.mode | _TYPES.get(found.kind, 0)
        size = len(encode(found.target)) if found.kind == "symlink" else found.size
        numbers = mode, 0, 0, 1, found.uid, found.gid, size
        seconds = found.mtime_ns // NANOSECONDS
        exact = {f"st_{name}": found.mtime_ns / NANOSECONDS for name in _TIMES}
        exact |= {f"st_{name}_ns": found.mtime_ns for name in _TIMES}
        return os.stat_result((*numbers, seconds, seconds, seconds), exact)

    def lstat(self) -> os.stat_result:
        """As `stat`, but of a link itself."""
        return self.stat(follow_symlinks=False)

    def glob(
        self,
        pattern: str | PurePath,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
    ) -> Iterator[ImagePath]:
        """What is below and matches `pattern`, in which ``**`` stands for any directories, and at
        its end for all that is in them.

        It follows links to directories for ``**`` if it is to `recurse_symlinks`.
        """
        text = _text(pattern)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        parts = [part for n, part in enumerate(parts) if parts[n - 1 : n + 1] != ["**", "**"]]
        if text.startswith("/"):
            raise NotImplementedError("Non-relative patterns are unsupported")
        if not parts:
            raise ValueError(f"Unacceptable pattern: {text!r}")
        flags = re.IGNORECASE if case_sensitive is False else 0
        found = [self] if self.is_dir() else []
        for number, part in enumerate(parts, 1):
            if part == "**":
                with_others = number == len(parts) and not text.endswith("/")
                chosen = _below(found, with_others, recurse_symlinks)
            elif flags or re.search(r"[*?[]", part):
                matches = re.compile(translate(part), flags).match
                below = (each.iterdir() for each in found if each.is_dir())
                chosen = (path for paths in below for path in paths if matches(path.name))
            else:
                chosen = (each / part for each in found)
                chosen = (path for path in chosen if path.exists(follow_symlinks=False))
            found = list(dict.fromkeys(chosen))
        return (path for path in found if not text.endswith("/") or path.is_dir())

    def rglob(
        self,
        pattern: str | PurePath,
        *,
        case_sensitive: bool | None = None,
        recurse_symlinks: bool = False,
    ) -> Iterator[ImagePath]:
        """What is below, at any depth, and matches `pattern`. As `glob`."""
        below = posixpath.join("**", _text(pattern))
        return self.glob(below, case_sensitive=case_sensitive, recurse_symlinks=recurse_symlinks)

    def walk(
        self,
        top_down: bool = True,
        on_error: Callable[[OSError], object] | None = None,
        follow_symlinks: bool = False,
    ) -> Iterator[tuple[ImagePath, list[str], list[str]]]:
        """Each directory from here on with the names of directories and of others in it.

        `top_down` has it before those in it, of which the caller may take some out. `on_error`
        hears of what is no directory.
        """
        pending: list[tuple[ImagePath, list[str], list[str]] | ImagePath] = [self]
        while pending:
            at = pending.pop()
            if isinstance(at, tuple):
                yield at
                continue
            try:
                below = list(at.iterdir())
            except OSError as error:
                if on_error is not None:
                    on_error(error)
                continue
            names: tuple[list[str], list[str]] = [], []
            for each in below:
                names[not each.is_dir(follow_symlinks=follow_symlinks)].append(each.name)
            if top_down:
                yield at, *names
            else:
                pending.append((at, *names))
            pending += [at.joinpath(name) for name in reversed(names[0])]

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """The file, for the mode ``r`` or ``rb``; `buffering` is how many bytes are read at once.

        Text is UTF-8 if nothing else is said. Raises as `Image.open` does.
        """
        if sorted(mode) not in (["r"], ["b", "r"], ["r", "t"]):
            raise io.UnsupportedOperation(
                f"an image is read, so the mode is 'r' or 'rb'; not {mode!r}"
            )
        if not buffering and "b" not in mode:
            raise ValueError("text is always buffered")
        content = self._image.content(self._path)
        file = content.file() if buffering < 2 else content.file(buffering)
        if "b" in mode:
            return file
        return io.TextIOWrapper(file, encoding or "utf-8", errors, newline)

    def read_bytes(self) -> bytes:
        """All bytes of the file. Raises as `Image.open` does."""
        return self._image.read(self._path)

    def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """All text of the file, UTF-8 if nothing else is said. Raises as `Image.open` does."""
        with self.open("r", -1, encoding, errors, newline) as file:
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

    def _entry(self, follow_symlinks: bool = True) -> ImageEntry | None:
        """What is there, or where a link leads; None if there is nothing."""
        return self._image.resolve(self._path, follow_symlinks=follow_symlinks)

    def _found(self, follow_symlinks: bool = True) -> ImageEntry:
        return self._image.found(self._path, follow_symlinks=follow_symlinks)

    def _is(self, kind: str, follow_symlinks: bool) -> bool:
        found = self._entry(follow_symlinks)
        return found is not None and found.kind == kind


def _text(path: str | os.PathLike[str] | ImagePath) -> str:
    return path._path if isinstance(path, ImagePath) else text_of(path)


def _below(
    tops: Iterable[ImagePath], with_others: bool, follow_symlinks: bool
) -> Iterator[ImagePath]:
    """The directories among `tops`, all directories below, each once, and what else is in them."""
    seen: set[ImagePath] = set()
    for top in tops:
        if top in seen or not top.is_dir():
            continue
        seen.add(top)
        yield top
        for at, directories, others in top.walk(follow_symlinks=follow_symlinks):
            directories[:] = [name for name in directories if at / name not in seen]
            below = [at / name for name in directories]
            seen.update(below)
            yield from below
            if with_others:
                yield from map(at.joinpath, others)
