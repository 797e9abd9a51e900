"""Making the directories, files and links of an image in a place.

Each directory is found again by what it was when it was made, so that nobody can put another one
in its stead. A file is made whole or removed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from attrs import define, field

from ..errors import BlockpackError, ImageError, SourceError, TargetError
from ..formats.reader import ImageEntry
from ..model.entry import encode, name_of, parent_of
from ..model.limits import MOST
from ..reading.recent import Recent
from ..reading.window import AHEAD, Window
from ..workers.sharing import Advance
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


def _unheld(entry: ImageEntry, error: OSError) -> TargetError:
    """The error for an `entry` that the file system has no place for; raised if it is no such."""
    rule = _NOT_HELD.get(error.errno or 0)
    if rule is None:
        with target_errors(entry.path):
            raise error
    return TargetError(entry.path, rule or "")


@define
class Outcome:
    """What became of some entries: errors of the image's, and of the target's."""

    lost: list[BlockpackError] = field(factory=list)
    unheld: list[TargetError] = field(factory=list)

    def add(self, other: Outcome) -> None:
        """Take in what became of others."""
        self.lost += other.lost
        self.unheld += other.unheld


class Creation:
    """Makes entries of `image` in the place `root`; `advance` hears of the files' bytes."""

    def __init__(self, image: Image, root: Place, advance: Advance) -> None:
        self._reader = image.reader
        self._window = Window(image.reader.data)
        self._copying = Copying.by(advance)
        self._root = root
        self._made: dict[str, tuple[int, int]] = {}
        self._open: Recent[str, Place] = Recent(_MOST_OPEN)
        self._by_kind = {
            "directory": self._directory,
            "file": self._file,
            "symlink": self._symlink,
            "hardlink": self._hardlink,
        }

    def make(self, entries: Iterable[ImageEntry]) -> Outcome:
        """Make these, each in a directory that was made before, if that could be.

        Raises `TargetError` for what ends everything, such as a full disk.
        """
        done = Outcome()
        for entry in entries:
            above, _, name = entry.path.rpartition("/")
            if above and above not in self._made:
                continue
            try:
                self._by_kind[entry.kind](entry, above, encode(name))
            except (ImageError, SourceError) as error:
                about = "" if error.path in ("", entry.path) else f"{error.path}: "
                done.lost.append(type(error)(entry.path, f"{about}{error.rule}", error.remedy))
            except OSError as error:
                done.unheld.append(_unheld(entry, error))
        return done

    def settle(self, entry: ImageEntry) -> None:
        """Give a directory its mode and time, once all is in it."""
        with target_errors(entry.path):
            settle(self._at(entry.path).descriptor, entry.mode & 0o777, entry.mtime_ns)

    def close(self) -> None:
        """Let go of all directories that are open."""
        for place in self._open.values():
            place.close()

    def _at(self, path: str) -> Place:
        """The directory `path`, which was made; to be used before the next one is asked for."""
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
        place = self._open.get(above) or self._root
        for each in reversed(missing):
            place = place.inside(encode(name_of(each)))
            self._keep(each, place)
            if (place.status.st_dev, place.status.st_ino) != self._made[each]:
                raise TargetError(each, "was replaced by somebody else meanwhile")
        return place

    def _keep(self, path: str, place: Place) -> None:
        for oldest in self._open.keep(path, place):
            oldest.close()

    def _directory(self, entry: ImageEntry, above: str, name: bytes) -> None:
        place = self._at(above).make(name)
        self._made[entry.path] = place.status.st_dev, place.status.st_ino
        self._keep(entry.path, place)

    def _symlink(self, entry: ImageEntry, above: str, name: bytes) -> None:
        self._at(above).symlink(name, encode(entry.target), entry.mtime_ns)

    def _hardlink(self, entry: ImageEntry, above: str, name: bytes) -> None:
        directory, _, target = entry.target.rpartition("/")
        if not directory or directory in self._made:
            # Held by itself, for that of the link may take its place among those that are open.
            with self._at(directory).inside(b".") as other:
                self._at(above).link(name, other, encode(target))

    def _file(self, entry: ImageEntry, above: str, name: bytes) -> None:
        place = self._at(above)
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
