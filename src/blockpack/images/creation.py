"""Making the directories, files and links of an image in a place.

Each directory is found again by what it was when it was made, so that nobody can put another one
in its stead. A file is made whole or removed.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field

from ..errors import BlockpackError, ImageError, SourceError, TargetError
from ..formats.reader import ImageEntry
from ..model.entry import encode, name_of, parent_of
from ..planning.volume import MOST
from ..reading.window import AHEAD, Window
from ..writing.place import Place, settle
from ..writing.targets import Copying, Seekable, copy_content, target_errors
from .image import Image

_MOST_OPEN = 32
"""Directories that are held open."""

_NOT_HELD = {
    errno.ENAMETOOLONG: "the name is too long for the file system there",
    errno.EINVAL: "the file system there has no such names",
    errno.EILSEQ: "the file system there has no such names",
    errno.EEXIST: "the file system there takes the name for that of another entry",
    errno.EFBIG: "the file system there holds no file as large",
    errno.EPERM: "the file system there holds no such links",
    errno.EOPNOTSUPP: "the file system there holds no such links",
    errno.EMLINK: "the file system there holds no more links to one file",
}


def cannot_hold(entry: ImageEntry, error: OSError) -> TargetError:
    """The error for an `entry` that the file system has no place for; raised if it is no such."""
    rule = _NOT_HELD.get(error.errno or 0)
    if rule is None:
        with target_errors(entry.path):
            raise error
    return TargetError(entry.path, rule or "")


class Directories:
    """The directories that were made in the place `root`."""

    def __init__(self, root: Place) -> None:
        self._root = root
        self._made: dict[str, tuple[int, int]] = {}
        self._open: OrderedDict[str, Place] = OrderedDict()

    def make(self, entry: ImageEntry) -> None:
        """Make a directory in an existing one. Raises `OSError` and `TargetError`."""
        above = parent_of(entry.path)
        if above and above not in self._made:
            return  # it could not be made
        place = self.at(above).make(encode(name_of(entry.path)))
        self._made[entry.path] = place.status.st_dev, place.status.st_ino
        self._keep(entry.path, place)

    def __contains__(self, path: str) -> bool:
        return not path or path in self._made

    def at(self, path: str) -> Place:
        """The directory `path`, which was made. Raises `OSError` and `TargetError`."""
        if not path:
            return self._root
        found = self._open.get(path)
        if found is not None:
            return found
        missing = [path]
        above = parent_of(path)
        while above and above not in self._open:
            missing.append(above)
            above = parent_of(above)
        place = self._open[above] if above else self._root
        for each in reversed(missing):
            place = place.inside(encode(name_of(each)))
            self._keep(each, place)
            if (place.status.st_dev, place.status.st_ino) != self._made[each]:
                raise TargetError(each, "was replaced by somebody else meanwhile")
        return place

    def _keep(self, path: str, place: Place) -> None:
        self._open[path] = place
        if len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1].close()

    def link(self, entry: ImageEntry) -> None:
        """Make a symbolic or hard link. Raises `OSError` and `TargetError`."""
        above = parent_of(entry.path)
        if above not in self:
            return
        name = encode(name_of(entry.path))
        if entry.kind == "symlink":
            self.at(above).symlink(name, encode(entry.target), entry.mtime_ns)
        elif parent_of(entry.target) in self:
            other = self.at(parent_of(entry.target))
            self.at(above).link(name, other, encode(name_of(entry.target)))

    def settle(self, entry: ImageEntry) -> None:
        """Give a directory its mode and time, once all is in it."""
        settle(self.at(entry.path).target, entry.mode & 0o777, entry.mtime_ns)

    def close(self) -> None:
        """Let go of all that are open."""
        while self._open:
            self._open.popitem()[1].close()


@define
class Outcome:
    """What became of a stretch of files: errors of the image's, and of the target's."""

    lost: list[BlockpackError] = field(factory=list)
    unheld: list[TargetError] = field(factory=list)


class Files:
    """Makes the files of `image` in `directories`; `advance` hears of the bytes."""

    def __init__(
        self, image: Image, directories: Directories, advance: Callable[[int], None]
    ) -> None:
        self._reader = image.reader
        self._window = Window(image.reader.data)
        self._directories = directories
        self._copying = Copying.by(advance)

    def make(self, entries: list[ImageEntry]) -> Outcome:
        """Make these. Raises `TargetError` for what ends everything, such as a full disk."""
        done = Outcome()
        for entry in entries:
            above = parent_of(entry.path)
            if above not in self._directories:
                continue
            try:
                self._make(entry, self._directories.at(above))
            except (ImageError, SourceError) as error:
                about = "" if error.path in ("", entry.path) else f"{error.path}: "
                done.lost.append(type(error)(entry.path, f"{about}{error.rule}", error.remedy))
            except OSError as error:
                done.unheld.append(cannot_hold(entry, error))
        return done

    def _make(self, entry: ImageEntry, place: Place) -> None:
        name = encode(name_of(entry.path))
        descriptor = place.create(name)
        try:
            try:
                self._fill(entry, descriptor)
                settle(descriptor, entry.mode & 0o777, entry.mtime_ns)
            finally:
                os.close(descriptor)
        except BaseException:
            place.unlink(name)
            raise

    def _fill(self, entry: ImageEntry, descriptor: int) -> None:
        if not entry.size:
            return
        if entry.extents and entry.size <= AHEAD:
            data = memoryview(self._window.joined(entry.extents))
            written = os.write(descriptor, data)
            while written < len(data):
                written += os.write(descriptor, data[written:])
            self._copying.advance(len(data))
            return
        if entry.size > MOST:
            rule = f"claims {entry.size:,} bytes, more than any file can have"
            raise ImageError(entry.path, rule)
        os.ftruncate(descriptor, entry.size)  # what is a hole at its end is never written
        target = Seekable(entry.path, descriptor, holes=True)
        copy_content(self._reader.content(entry), target, self._copying)
