"""Archives and images as sources: a file, standard input, or an image that is open.

What a file is, its content says. Whatever is in it is read by the format's own reader, as `ls` and
`extract` do. A file's bytes that lie in one piece as they are stay there: they are a range of the
archive, which the kernel copies or clones. All else is a stream through the reader.
"""

from __future__ import annotations

import os
import stat
import sys
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress

from attrs import evolve

from ..errors import (
    BlockpackError,
    EntryError,
    ImageError,
    Problems,
    SourceError,
    UsageError,
    reading_errors,
)
from ..formats.reader import ImageEntry, ImageReader
from ..images.address import split_address
from ..images.image import Image
from ..images.open_image import format_of, partition_of
from ..model.entry import File, check_path, decode
from ..model.extent import Extent, FileRange
from ..model.tree import Tree
from ..reading.lifetime import on_failure
from ..reading.positional import (
    AGAIN,
    BytesReader,
    DescriptorReader,
    PositionalReader,
    ReaderThrough,
    open_for_reading,
)
from .decompression import is_compressed, spooled
from .hierarchy import Hierarchy, foreign_errors, scan_hierarchy
from .options import ScanOptions
from .zip_reader import ZipReader

_MACH_O = (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_BEFORE_ZIP = (b"\x7fELF", b"MZ", b"#!", *_MACH_O, b"PK00", b"PK\7\b")
"""How programs begin that zip archives may have before them, or the mark of one that was to be
split (APPNOTE, 8.5)."""


class InImage(Hierarchy):
    """What is in an image or archive, called `name` in messages. `path` is the file on disk that
    its reader reads, if it reads one. The key of a file in one piece there is where it begins.
    """

    def __init__(self, image: Image, name: str, path: bytes | None, owner: object = None) -> None:
        self._image = image
        self._reader = image.reader
        self.name = name
        self._owner = owner  # keeps the file alive
        data = image.reader.data
        found = data.in_file()
        self.forkable = found is not None or isinstance(data, BytesReader)
        self._descriptor, self._begin = (found[0].descriptor, found[1]) if found else (-1, 0)
        status = os.fstat(self._descriptor) if self._descriptor >= 0 else None
        is_file = status is not None and stat.S_ISREG(status.st_mode)
        self._path = path if is_file else None
        self._size, self._stamp = (status.st_size, status.st_mtime_ns) if status else (0, 0)
        place = (self._begin << 64 | status.st_dev) << 64 | status.st_ino if status else id(self)
        self._number = ~place
        self.problems: list[BlockpackError] = []
        self._entries = self._read()
        self._inodes = dict(self._linked())

    def _read(self) -> Mapping[str, ImageEntry]:
        entries: dict[str, ImageEntry] = {}
        try:
            # Problems are the image's own, too.
            with suppress(Problems), reading_errors(self.name):
                entries.update((entry.path, entry) for entry in self._image.walk())
        except ImageError as error:
            raise SourceError(error.path or self.name, error.rule, error.remedy) from None
        self.problems += (
            SourceError(problem.path or self.name, problem.rule, problem.remedy)
            for problem in self._image.problems
        )
        return entries

    def _linked(self) -> Iterator[tuple[str, int]]:
        """The paths of what are hard links to one file, with that file's number."""
        numbers: dict[str, int] = {}
        for entry in self._entries.values():
            target = self._entries.get(entry.target) if entry.kind == "hardlink" else None
            if target is not None and target.kind != "hardlink":
                number = numbers.setdefault(target.path, len(numbers))
                yield target.path, number
                yield entry.path, number

    def entry(self, path: str) -> ImageEntry | None:
        """What is at `path`: a hard link is a file; a directory may be one by what it holds."""
        if path not in self._entries and path not in self._image.names:
            return None  # no link on the way to it is followed
        found = self._image.resolve(path, follow_symlinks=False)
        return found if found is None or found.path == path else evolve(found, path=path)

    def listing(self, directory: str) -> Iterator[ImageEntry | BlockpackError]:
        """What is in a directory; names that no directory holds are told with all of their path."""
        names = self._image.names
        for name in sorted(names.get(directory, ())):
            path = f"{directory}/{name}" if directory else name
            found = self.entry(path)
            if name in ("", ".", ".."):
                below = (at for at in self._entries if f"{at}/".startswith(f"{path}/"))
                yield from filter(None, map(check_path, below))
            elif found is None:
                target = self._entries[path].target
                yield SourceError(path, f"links to {target!r}, which is not a file in the archive")
            elif found.kind != "directory" and path in names:
                rule = f"is a {found.kind}, and there are others in it"
                yield EntryError(path, rule, "exclude one of the two")
            else:
                yield found

    def followed(self, link: ImageEntry) -> ImageEntry | None:
        """What a link leads to inside of the image."""
        return self._image.resolve(link.path)

    def file(self, path: str, entry: ImageEntry) -> File:
        """The file, by where it begins if that is all there is to know."""
        pieces = entry.extents
        start = pieces[0][0] if len(pieces) == 1 else None if entry.size else 0
        key = entry if start is None or self._path is None else self._begin + start
        number = self._inodes.get(entry.path)
        inode = None if number is None else (self._number, number)
        status = entry.mode, entry.mtime_ns, entry.uid, entry.gid
        return File(path, entry.size, self, key, self._stamp, *status, inode)

    def extent(self, file: File, offset: int) -> Extent:
        """A range of the archive, or a stream."""
        if isinstance(file.key, int) and self._path is not None:
            return FileRange(offset, file.size, self._path, self._size, file.stamp, file.key)
        return super().extent(file, offset)

    def reader(self, entry: ImageEntry, name: str) -> PositionalReader:
        """The bytes of a file, by the format's reader."""
        with foreign_errors(name):
            return _Content(self, self._reader.content(entry), name)

    def identity(self, key: Hashable) -> Hashable:
        """Of a file on disk that is as it was, the same key means the same bytes."""
        file = self._path, self._size, self._stamp, self._begin
        return (*file, key) if self._path else (self, key)

    def forget(self) -> None:
        """Let go of all entries, which nobody needs once there is a tree of them."""
        self._image = Image(self._reader)
        self._entries = {}
        self._inodes = {}

    def require_unchanged(self) -> None:
        """Raise `SourceError` if the file is not what it was."""
        if self._path is not None:
            status = os.fstat(self._descriptor)
            if (status.st_size, status.st_mtime_ns) != (self._size, self._stamp):
                raise SourceError(self.name, "was modified since it was planned", AGAIN)


class _Content(ReaderThrough):
    """The `content` of a file in an image, whose every error is a `SourceError` about `name`."""

    def __init__(self, source: InImage, content: PositionalReader, name: str) -> None:
        super().__init__(content, content.size)
        self._source = source
        self._name = name

    def pread(self, view: memoryview, position: int) -> int:
        """As the reader does, from an archive that is what it was."""
        with foreign_errors(self._name):
            count = self._whole.pread(view, position)
            self._source.require_unchanged()
            return count


def scan_file(source: str | bytes, options: ScanOptions, start: str = "", name: str = "") -> Tree:
    """The tree of what is below `start` in the archive, image or partition (``card.img#2``)
    `source`, called `name`. Raises `SourceError` if it cannot be read, and `Problems` with what
    cannot be packed.
    """
    name = name or decode(os.fsencode(source))
    place, partition = split_address(os.fsdecode(source))
    descriptor = open_for_reading(place, name, pipes=True)
    path = os.path.abspath(os.fsencode(place))
    return _scan(_opened(descriptor, name, path, partition), options, start)


def scan_input(source: object, options: ScanOptions) -> Tree:
    """The tree of the archive on standard input. Raises as `scan_file` does."""
    name = "standard input"
    if sys.stdin is not None and sys.stdin.isatty():
        rule = "is a terminal, not an archive"
        raise UsageError(name, rule, "redirect it: git archive HEAD | blockpack pack - …")
    with reading_errors(name):
        descriptor = os.dup(0)
    return _scan(_opened(descriptor, name, None), options)


def scan_image(source: object, options: ScanOptions) -> Tree:
    """The tree of an image that is open, and has to be until its bytes are written elsewhere."""
    assert isinstance(source, Image)
    found = source.reader.data.in_file()
    path = _path_of(found[0].descriptor) if found else None
    return _scan(InImage(source, "the image", path), options)


def _scan(source: InImage, options: ScanOptions, start: str = "") -> Tree:
    tree = scan_hierarchy(source, options, source.problems, start, source.name)
    source.forget()
    return tree


def _opened(
    descriptor: int, name: str, path: bytes | None, partition: str | None = None
) -> InImage:
    """What is in a file by its descriptor, which is closed in the end; or in a partition there."""
    spool = None
    with on_failure(lambda: os.close(descriptor)):
        with reading_errors(name):
            if _is_read_once(descriptor, name, path) or is_compressed(descriptor):
                spool = spooled(descriptor, name, lambda head: _require_archive(head, name))
        if spool is not None:
            os.close(descriptor)
            descriptor, path = os.dup(spool.descriptor), spool.path
        data = DescriptorReader(descriptor)
    with on_failure(data.close):
        image = Image(_reader(data, name, partition))
        source = InImage(image, name, path or _path_of(descriptor), spool)
    weakref.finalize(source, data.close)
    return source


def _is_read_once(descriptor: int, name: str, path: bytes | None) -> bool:
    """Whether what is there can only be read from front to back. Raises `SourceError`."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISCHR(mode):
        raise SourceError(name, "is a character device, not an archive", "give a file")
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        return True
    return path is None and os.lseek(descriptor, 0, os.SEEK_CUR) != 0  # read in part before


def _reader(data: PositionalReader, name: str, partition: str | None) -> ImageReader:
    """What reads an archive, an image or a partition. Raises `SourceError` if nothing does."""
    reader_class = _reader_class(data, name)
    if reader_class is None:
        with reading_errors(name):
            if not ZipReader.recognises_end(data):
                raise _none(name)
        reader_class = ZipReader
    try:
        if partition is not None:
            return partition_of(data, name, partition).opened()
        return reader_class(data)
    except ImageError as error:
        raise SourceError(error.path or name, error.rule, error.remedy) from None


def _reader_class(data: PositionalReader, name: str) -> Callable[..., ImageReader] | None:
    """What reads an archive or an image, by how it begins; None if nothing is known to."""
    format = format_of(data, name)
    with reading_errors(name):
        is_zip = ZipReader.recognises(data.read_at(0, 4))
    return ZipReader if is_zip else format and format.reader_class()


def _require_archive(head: bytes, name: str) -> None:
    """Raise `SourceError` for what begins like no archive, nor like what one may be behind."""
    if not head.startswith(_BEFORE_ZIP) and _reader_class(BytesReader(head), name) is None:
        raise _none(name)


def _none(name: str) -> SourceError:
    rule = "is not a directory, an archive or an image"
    return SourceError(name, rule, "give a directory, a tar or zip archive, or a plain image")


def _path_of(descriptor: int) -> bytes | None:
    """A path that leads to an open file."""
    path = b"/proc/self/fd/%d" % descriptor
    with suppress(OSError):
        actual = os.readlink(path)
        if os.path.samestat(os.stat(actual), os.fstat(descriptor)):
            return actual
    return path if os.path.exists(path) else None
