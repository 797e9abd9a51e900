"""An image that is open: its entries by path, and the bytes of its files.

Everything is found when it is first asked for, once, and then serves any number of threads. What is
wrong costs no more than it must: all that can be read is there, and what was lost is told, to the
`report` that was given or else as `Problems` at the end of a walk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, cast

from ..arguments import checked
from ..errors import (
    Deviation,
    ImageError,
    NotADirectoryInImageError,
    NotAFileError,
    NotInImageError,
    image_errors,
    raise_problems,
)
from ..formats.reader import ImageEntry, ImageReader, Report
from ..layers.disk.record import DISK
from ..model.entry import EPOCH, NANOSECONDS, name_of, parent_of, text_of
from ..model.link_walk import LeadsNowhereError, led_to
from ..planning.layout import Fact
from ..reading.lifetime import Closing
from ..reading.positional import PositionalReader, ReaderThrough
from ..workers.sharing import Advance
from ..writing.progress import Meter, Tell
from .path import ImagePath
from .soundness import unsound

if TYPE_CHECKING:
    from pathlib import PurePath  # slow to import

    from ..layers.ccm_reader import DecryptedReader
    from ..layers.disk.reader import DiskReader, OpenPartition
    from ..layers.verity.reader import VerityReader


@checked
class Image(Closing):
    """An image that is open for reading; a context manager that closes it.

    It is a collection of its entries, in its own order: ``"a/b.txt" in image``,
    ``image["a/b.txt"]``, ``for entry in image``.
    """

    def __init__(
        self,
        reader: ImageReader,
        *,
        layer: DecryptedReader | VerityReader | None = None,
        report: Report | None = None,
        name: str = "",
    ) -> None:
        self.reader = reader
        self._name = name
        self.layer = layer
        """What decrypts the image, or has the hash tree behind it; None without either."""
        self._report = report
        self._lock = threading.Lock()
        self._entries: dict[str, ImageEntry] | None = None
        self._problems: list[ImageError] = []

    @property
    def format(self) -> str:
        """The name of its format."""
        return self.reader.format

    @property
    def size(self) -> int:
        """The length of the image in bytes."""
        return self.reader.size

    @property
    def partitions(self) -> tuple[OpenPartition, ...]:
        """The partitions of a disk, in its table's order; none of any other image."""
        is_disk = self.format == DISK.name
        return cast("DiskReader", self.reader).partitions if is_disk else ()

    @property
    def root(self) -> ImagePath:
        """The top directory, as a path that is read like one of `pathlib`."""
        return ImagePath(self)

    @property
    def problems(self) -> tuple[ImageError, ...]:
        """What could not be read. Raises `ImageError` if nothing can be."""
        return tuple(self._problems) if self.entries is not None else ()

    @property
    def untold(self) -> tuple[ImageError, ...]:
        """The `problems`, unless a `report` was told of them."""
        return self.problems if self._report is None else ()

    def info(self) -> Mapping[str, Fact]:
        """The format's own facts by name, as the image states them. Raises `ImageError`."""
        with image_errors(self._name):
            return self.reader.info()

    def options(self) -> Mapping[str, str | bool]:
        """The volume's options that the image tells, and a plan takes to be like it.

        Raises `ImageError`.
        """
        with image_errors(self._name):
            return self.reader.options()

    def verify(self, *, progress: Tell | None = None) -> list[ImageError]:
        """Everything that is wrong with the structure; empty for a sound image.

        Of an encrypted one every sector is decrypted first, and of one with a hash tree every block
        hashed. `progress` is called a few times a
        second, and at the end.
        """
        from ..layers.verity.reader import behind  # late, as all of hash trees

        reader, layer = self.reader, self.layer
        total = self.size + (0 if layer is None else layer.checked_size)
        meter = Meter("verifying", total, progress)
        if progress is not None:
            reader = type(reader)(_ProgressReader(reader.data, meter.advance), device=reader.device)
        problems: list[ImageError] = []
        entries: dict[str, ImageEntry] = {}
        try:
            if layer is not None:
                problems += layer.damaged(meter.advance)
            if not problems:
                entries = {entry.path: entry for entry in reader.verify(problems.append)}
                problems += unsound(entries)
                problems += filter(None, [behind(reader)])
        except ImageError as error:  # what nothing can be read beyond
            problems.append(error)
        meter.finish()
        if not problems and reader is self.reader:  # whose contents these entries are
            with self._lock:
                self._entries = entries
        return problems

    def walk(self) -> Iterator[ImageEntry]:
        """All entries, a directory before what it holds.

        Raises `ImageError` if nothing can be read. What could not be is raised at the end, as
        `Problems`, if no `report` was given.
        """
        yield from self.entries.values()
        raise_problems("some of the image cannot be read", self.untold)

    def __iter__(self) -> Iterator[ImageEntry]:
        return self.walk()

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, path: object) -> bool:
        is_path = isinstance(path, str) or hasattr(path, "as_posix")
        return is_path and _text(cast("str | PurePath", path)) in self.entries

    def __getitem__(self, path: str | PurePath) -> ImageEntry:
        return self.get(path)

    def get(self, path: str | PurePath) -> ImageEntry:
        """The entry at `path`. Raises `NotInImageError` if there is none."""
        at = _text(path)
        found = self.entries.get(at)
        if found is None:
            raise self._absent(at)
        return found

    def _absent(self, path: str) -> NotInImageError:
        lost = f", of which {len(self._problems):,} parts cannot be read"
        return NotInImageError(path, f"not in the image{lost if self._problems else ''}")

    def open(self, path: str | PurePath) -> BinaryIO:
        """The file `path` as a seekable binary file; a link opens what it leads to.

        Raises `NotInImageError` if there is no such file, `NotADirectoryInImageError` if its path
        leads through a file, and `ImageError` if it is none, or cannot be read.
        """
        return self.content(path).file()

    def read(self, path: str | PurePath) -> bytes:
        """The bytes of the file `path`. Raises as `open` does."""
        content = self.content(path)
        data = content.read_at(0, content.size)
        if len(data) != content.size:
            raise ImageError(_text(path), "has fewer bytes than it says")
        return data

    def file(self, path: str | PurePath) -> ImageEntry:
        """The entry of the file at `path`, or at the end of the link there.

        Raises as `open` does.
        """
        at = _text(path)
        entry = self.entries.get(at)
        if entry is None or entry.kind != "file":
            entry = self.found(at)
        if entry.kind != "file":
            raise NotAFileError(entry.path or "/", f"is a {entry.kind}, not a file", "name a file")
        if entry.damage:
            raise ImageError(entry.path, entry.damage)
        return entry

    def content(self, path: str | PurePath) -> PositionalReader:
        """The bytes of the file `path`, to be read at any position. Raises as `open` does."""
        return self.reader.content(self.file(path))

    def resolve(self, path: str, *, follow_symlinks: bool = True) -> ImageEntry | None:
        """As `found`; None if the path leads nowhere."""
        try:
            return self.found(path, follow_symlinks=follow_symlinks)
        except (NotInImageError, NotADirectoryInImageError):
            return None

    def found(self, path: str, *, follow_symlinks: bool = True) -> ImageEntry:
        """What is at `path`, links followed inside of the image.

        Unless it is to `follow_symlinks`, one that `path` ends with is given itself.

        A directory that has no entry of its own, and is there by what it holds, is a plain one.

        Raises `NotInImageError`, and `NotADirectoryInImageError` for a path through a file.
        """
        entries = self.entries
        found = entries.get(path)
        if found is not None and found.kind == "hardlink":  # to an entry, whatever is on its path
            found = entries.get(found.target, found)
        if found is not None and found.kind not in ("symlink", "hardlink"):
            return found
        names, at = self.names, parent_of(path)
        if at not in names or name_of(path) in ("", ".", ".."):
            at = ""  # else that much of it has no links

        def target_of(here: str, is_last: bool) -> str | None:
            found = entries.get(here)
            if found is not None and found.kind == "hardlink":  # which says it from the root on
                is_absolute = found.target.startswith("/")
                return found.target if is_absolute else "../" * here.count("/") + found.target
            if found is not None and found.kind == "symlink":
                return None if is_last and not follow_symlinks else found.target
            if here not in names and (found is None or not is_last):
                if found is None:
                    raise LeadsNowhereError
                rule = f"not in the image: {here} is a {found.kind}, not a directory"
                raise NotADirectoryInImageError(path, rule)
            return None

        try:
            at = led_to(at, path[len(at) :], target_of)
        except LeadsNowhereError:
            if found is None:
                raise self._absent(path) from None
            rule = f"is a {found.kind} that leads to nothing in the image"
            raise NotInImageError(path, rule, "name something else") from None
        if at in entries:
            return entries[at]
        return ImageEntry(path=at, kind="directory", mode=0o755, mtime_ns=EPOCH * NANOSECONDS)

    def shown(self, path: str) -> ImageEntry | None:
        """What is at `path`, as listings show it; None if nothing is.

        A link to a file is the file; one to a directory is itself, so that no walk goes in circles.
        """
        found, link = self.resolve(path), self.entries.get(path)
        is_way = found is None or found.kind == "directory"
        return link if is_way and link is not None else found

    def close(self) -> None:
        """Let go of the image's file, if it was opened here."""
        self.reader.data.close()

    def __repr__(self) -> str:
        return f"<Image: {self.format}, {self.size:,} bytes>"

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """The names in each directory by its path, those included that have no entry of their own
        and are there because something is in them.
        """
        found: dict[str, set[str]] = {"": set()}
        for path in self.entries:
            while path:
                above, _, name = path.rpartition("/")
                siblings = found.setdefault(above, set())
                if name in siblings:
                    break
                siblings.add(name)
                path = above
        for entry in self.entries.values():
            if entry.kind == "directory":
                found.setdefault(entry.path, set())
        return {path: frozenset(names) for path, names in found.items()}

    @property
    def entries(self) -> Mapping[str, ImageEntry]:
        """All entries by their paths, as far as they can be read.

        Raises `ImageError` if nothing can be.
        """
        with self._lock:
            if self._entries is None:
                problems: list[ImageError] = []
                with image_errors(self._name):
                    found = {entry.path: entry for entry in self.reader.entries(problems.append)}
                self._problems = [each for each in problems if not isinstance(each, Deviation)]
                self._entries = found
                for problem in self._problems if self._report is not None else ():
                    assert self._report is not None
                    self._report(problem)
            return self._entries


class _ProgressReader(ReaderThrough):
    """The bytes of `data`; `advance` counts those that are read for the first time.

    What lies before the furthest byte that was read counts as read: readers go through an image
    from its begin to its end, and pass over what they need not see.
    """

    def __init__(self, data: PositionalReader, advance: Advance) -> None:
        super().__init__(data, data.size)
        self._advance = advance
        self._furthest = 0

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        count = self._whole.pread(view, position)
        self._reached(position + count)
        return count

    def read_at(self, position: int, length: int) -> bytes:
        """`length` bytes from `position` on, as the reader has them; less at the end."""
        data = self._whole.read_at(position, length)
        self._reached(position + len(data))
        return data

    def _reached(self, end: int) -> None:
        if end > self._furthest:
            self._advance(end - self._furthest)
            self._furthest = end


def _text(path: str | PurePath) -> str:
    return text_of(path).removeprefix("./").strip("/")
