"""Reading images: the one interface, whatever the format.

`open_image` tells the format by its signature and gives an `Image`. A reader trusts nothing: an
image may be damaged, or made to harm. Whatever it says is checked against the image's real
size, chains and directories are followed once, and what does not add up is an `ImageError`.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Literal, Self

from attrs import frozen

from ..errors import ImageError, UsageError, printable
from ..model.entry import check_path, check_target
from ..planning.layout import Fact
from ..reading.extents import reading_errors
from ..reading.seekable import SeekableReader

if TYPE_CHECKING:
    from ..layers.ccm_reader import DecryptedFile
    from .registry import Format

Kind = Literal["file", "directory", "symlink", "hardlink", "other"]

Complain = Callable[[str], None]
"""Hears of one thing that is wrong; to raise ends the reading, to return goes on."""


@frozen(kw_only=True)
class ImageEntry:
    """One entry of an image.

    `size` is in bytes, `mtime_ns` in nanoseconds since 1970, `mode` the permission bits. `target`
    is what a link leads to. `extents` are the pieces of the image, as (offset, length) in
    bytes, that hold the file's bytes in order.
    """

    path: str
    kind: Kind
    size: int = 0
    mode: int = 0o644
    mtime_ns: int = 0
    target: str = ""
    extents: tuple[tuple[int, int], ...] = ()

    @property
    def offset(self) -> int | None:
        """Where the file's first byte lies in the image; None if it has none."""
        return self.extents[0][0] if self.extents else None


class Image(ABC):
    """An image that is open for reading; a context manager that closes it."""

    format: ClassVar[str]

    def __init__(self, file: BinaryIO, size: int, *, close: bool) -> None:
        self._file = file
        self.size = size
        """The length of the image in bytes."""
        self.layer: DecryptedFile | None = None
        """What decrypts the image; None if it is not encrypted."""
        self._close = close
        self._entries: dict[str, ImageEntry] | None = None

    @classmethod
    @abstractmethod
    def recognises(cls, head: bytes) -> bool:
        """Whether an image that begins with `head` (up to 4096 bytes) is of this format."""

    @abstractmethod
    def _read_entries(self, complain: Complain) -> Iterator[ImageEntry]:
        """All entries as they stand in the image; `complain` hears of what is wrong."""

    @abstractmethod
    def info(self) -> Mapping[str, Fact]:
        """The format's own facts by name, as the image states them. Raises `ImageError`."""

    def options(self) -> Mapping[str, str]:
        """The volume's options that the image tells, and a plan takes to be like it.

        Raises `ImageError`.
        """
        return {}

    def verify(self) -> list[str]:
        """Everything about the structure that is wrong; empty for a sound image.

        Of an encrypted one every sector is decrypted first.
        """
        problems: list[str] = []
        entries: dict[str, ImageEntry] = {}
        try:
            if self.layer is not None:
                problems += self.layer.damaged()
            if problems:
                return problems
            entries = {entry.path: entry for entry in self._verify(problems.append)}
            problems += map(str, unsound(entries))
        except ImageError as error:  # what nothing can be read beyond
            problems.append(str(error))
        if not problems:
            self._entries = entries
        return problems

    @abstractmethod
    def _verify(self, complain: Complain) -> Iterator[ImageEntry]:
        """`_read_entries`, and then what reading the entries does not touch."""

    def walk(self) -> Iterator[ImageEntry]:
        """All entries, a directory before what it holds. Raises `ImageError`."""
        yield from self._by_path().values()

    def get(self, path: str) -> ImageEntry:
        """The entry at `path`. Raises `ImageError` if there is none, or the image is damaged."""
        try:
            return self._by_path()[path.removeprefix("./").strip("/")]
        except KeyError:
            raise ImageError(f"{printable(path)}: not in the image") from None

    def open(self, path: str) -> BinaryIO:
        """The file `path` as a seekable binary file; a hard link opens what it leads to.

        Raises `ImageError` if there is no such file, or the image is damaged.
        """
        entry = self.get(path)
        if entry.kind == "hardlink":
            entry = self.get(entry.target)
        if entry.kind != "file":
            raise ImageError(f"{printable(path)}: is a {entry.kind}, not a file")
        return self._open_file(entry)

    def _open_file(self, entry: ImageEntry) -> BinaryIO:
        """The bytes of a file: as they lie in the image, unless a format knows better."""
        return _Pieces(self, entry).buffered()

    def close(self) -> None:
        """Close the image's file, if it was opened here."""
        if self._close:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _by_path(self) -> dict[str, ImageEntry]:
        if self._entries is None:
            self._entries = {entry.path: entry for entry in self._read_entries(_raise)}
        return self._entries

    def _is_device(self) -> bool:
        """Whether the image is on a block device, which may be larger than what was written."""
        return _is_device(self._file)

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset` of the image. Raises `ImageError` if they are not there."""
        if offset + length > self.size:
            raise ImageError(
                f"the image ends at byte {self.size:,}, and bytes {offset:,} to "
                f"{offset + length:,} are needed; it is cut short or damaged"
            )
        with reading_errors("the image"):
            self._file.seek(offset)
            data = self._file.read(length)
        if len(data) != length:
            raise ImageError(f"the image ends early, at byte {offset + len(data):,}")
        return data


def _raise(problem: str) -> None:
    raise ImageError(problem)


def unsound(entries: Mapping[str, ImageEntry]) -> Iterator[ImageError]:
    """What keeps `entries` (by path) from being those of a tree: bad paths, and bad links."""
    for path, entry in entries.items():
        if error := check_path(path):
            yield ImageError(str(error))
        if entry.kind == "symlink" and (error := check_target(path, entry.target)):
            yield ImageError(str(error))
    # With a slash at its end, each path comes right before those that are below it.
    above = ""
    for path in sorted(f"{path}/" for path in entries):
        if above and path.startswith(above):
            what = f"is in {printable(above[:-1])}, a {entries[above[:-1]].kind}"
            yield ImageError(f"{printable(path[:-1])}: {what}")
        elif entries[path[:-1]].kind != "directory":
            above = path


class _Pieces(SeekableReader):
    """A file in an image: pieces of it, one after the other."""

    def __init__(self, image: Image, entry: ImageEntry) -> None:
        super().__init__(entry.size)
        self._image = image
        self._entry = entry
        lengths = (length for _, length in entry.extents)
        self._starts = list(accumulate(lengths, initial=0))

    def pread(self, view: memoryview, position: int) -> int:
        index = bisect_right(self._starts, position) - 1
        if index == len(self._entry.extents):
            raise ImageError(f"{printable(self._entry.path)}: has less bytes than it says")
        offset, length = self._entry.extents[index]
        skip = position - self._starts[index]
        count = min(len(view), length - skip)
        view[:count] = self._image.read_at(offset + skip, count)
        return count


def open_image(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    key: bytes | None = None,
    key_file: str | os.PathLike[str] | None = None,
    sector_size: int | None = None,
) -> Image:
    """The image at `source`: a path (a device's too) or a seekable binary file.

    With a `key`, or the file that holds it, an encrypted one; `sector_size` is then that of the
    encryption (bytes), which is found out without.

    Raises `SourceError` if it or the key cannot be read, `UsageError` if that is no key, or may be
    read by others, and `ImageError` if it is no image, is damaged, or has another key.
    """
    if key_file is not None:
        from ..layers.keys import read_key

        if key is not None:
            raise UsageError("give a key or a file that holds it, not both")
        key = read_key(key_file)
    if not isinstance(source, str | os.PathLike):
        name = str(getattr(source, "name", "the image"))
        return _opened(source, name, key, sector_size, close=False)
    name = str(source)
    with reading_errors(name):
        file: BinaryIO = open(source, "rb")  # noqa: SIM115 - the image closes it
    try:
        return _opened(file, name, key, sector_size, close=True)
    except BaseException:
        file.close()
        raise


def _opened(
    file: BinaryIO, name: str, key: bytes | None, sector_size: int | None, *, close: bool
) -> Image:
    if key is None:
        return _recognise(file, name, close=close, remedy="; if it is encrypted, give its key")
    from ..layers.ccm_reader import READ_AHEAD, decrypted

    try:
        layer = decrypted(file, name, key, sector_size, close=close, device=_is_device(file))
    except ImageError:
        plain = _format_of(_head(file, name)[0])
        if plain is None:
            raise
        rule = f"is no encrypted image, but a plain one of the format {plain.name}"
        raise ImageError(f"{name}: {rule}; give no key") from None
    image = _recognise(layer.buffered(READ_AHEAD), name, close=close)
    image.layer = layer
    return image


def _recognise(file: BinaryIO, name: str, *, close: bool, remedy: str = "") -> Image:
    head, size = _head(file, name)
    format = _format_of(head)
    if format is None:
        rule = "no tar archive, no FAT file system and no pack of git objects"
        sectors = size and not size % (2 * 512)  # as encrypted ones are
        raise ImageError(f"{name}: {rule}{remedy if sectors else ''}")
    return format.image_class()(file, size, close=close)


def _head(file: BinaryIO, name: str) -> tuple[bytes, int]:
    """What the image begins with, and its size in bytes."""
    with reading_errors(name):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return file.read(4096), size


def _format_of(head: bytes) -> Format | None:
    """The format of images that begin with `head`, if any."""
    from .registry import FORMATS  # their readers build on this module

    recognising = (f for f in FORMATS.values() if f.image_class().recognises(head))
    return next(recognising, None)


def _is_device(file: BinaryIO) -> bool:
    with suppress(OSError, AttributeError):
        return stat.S_ISBLK(os.fstat(file.fileno()).st_mode)
    return False
