"""One walk through an EROFS file system: directories to entries, inodes to pieces of the image.

Each block of a directory has its entries first and then their names. Linux finds a name by
bisection, so their order is part of the format.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import partial
from operator import ge
from typing import TYPE_CHECKING, NamedTuple

from attrs import define, evolve

from ...errors import Deviation, ImageError
from ...model.entry import NANOSECONDS, decode
from ...model.limits import MOST
from ..reader import MAX_PATH, ImageEntry, Pieces, Report, too_long
from . import structures as disk
from .inodes import Inode, Inodes

if TYPE_CHECKING:
    from .reader import ErofsReader

ROOT = "the root directory"

_DOTS = (b".", b"..")
_NAMEOFF = slice(8, 10)
"""Where in a block the first entry says where the names begin."""
_UNCOUNTED = 1
"""The links of directories whose are not counted."""
_SOME_TEXT, _TEXT_GAIN = 16 << 20, 16
"""Characters of paths and targets that any image may have, and more for each of its bytes: each
directory's path is in the paths of all below it."""


class _Slot(NamedTuple):
    nid: int
    file_type: int
    name: bytes


@define
class _Directory:
    """A directory that is being read; `above` is what the paths in it begin with."""

    above: str
    nid: int
    nlink: int
    slots: Iterator[_Slot]
    subdirectories: int = 0


class Walk:
    """Reads every directory of what `reader` reads once."""

    def __init__(self, reader: ErofsReader, report: Report) -> None:
        self._reader = reader
        self._inodes = Inodes(reader)
        self._root = reader.root
        self._report = report
        self._seen: dict[int, ImageEntry] = {}
        self._missing_links: dict[int, int] = {}
        self._text_left = _SOME_TEXT + _TEXT_GAIN * reader.size
        # Each begins with a number of its own, so that honest ones share nothing.
        self._directories_left = reader.size

    def entries(self) -> Iterator[ImageEntry]:
        """The entries, each directory before what it holds. Raises `ImageError` if the root is
        damaged.
        """
        try:
            root = self._inodes.read(self._root)
        except ImageError as error:
            raise ImageError(ROOT, error.rule, error.remedy) from None
        if not stat.S_ISDIR(root.mode):
            raise ImageError(ROOT, "its inode is not that of a directory")
        directories = {self._root: ROOT}
        pending = [self._directory("", self._root, root, self._root)]
        while pending and self._text_left >= 0:
            inside = pending[-1]
            for slot in inside.slots:
                if self._text_left < 0:
                    break
                path = inside.above + decode(slot.name)
                found = self._entry(path, slot)
                if found is None:
                    continue
                entry, inode = found
                if entry.kind != "directory":
                    yield entry
                    continue
                inside.subdirectories += 1
                if other := directories.get(slot.nid):
                    rule = f"is the same directory as {other}, which Linux does not take"
                    self._report(ImageError(path, rule))
                    continue
                directories[slot.nid] = path
                yield entry
                pending.append(self._directory(path, slot.nid, inode, inside.nid))
                break
            else:
                if inside.nlink != _UNCOUNTED:
                    where = inside.above[:-1] or ROOT
                    self._check_links(where, inside.nlink, inside.subdirectories + 2)
                pending.pop()
        if pending:
            rule = "its paths and links have far more characters than it has bytes"
            self._report(ImageError("", f"{rule}; the rest is not read"))
        for nid, missing in self._missing_links.items():
            nlink = self._inodes.read(nid).nlink
            self._check_links(self._seen[nid].path, nlink, nlink - missing)

    def _check_links(self, path: str, nlink: int, found: int) -> None:
        if nlink != found:
            self._deviates(path, f"its number of links is {nlink:,}, and should be {found:,}")

    def _entry(self, path: str, slot: _Slot) -> tuple[ImageEntry, Inode] | None:
        """The entry at `path` and its inode, if it can be read."""
        self._text_left -= len(path)
        if len(path) > MAX_PATH:
            self._report(too_long(path))
            return None
        try:
            inode = self._inodes.read(slot.nid)
            if inode.kind not in disk.KINDS:
                raise ImageError("", f"its mode {inode.mode:#o} is of nothing that Linux knows")
            kind, file_type = disk.KINDS[inode.kind]
            known = self._seen.get(slot.nid)
            target = self._target(inode) if kind == "symlink" and known is None else ""
        except ImageError as error:
            self._report(ImageError(path, error.rule, error.remedy))
            return None
        if slot.file_type not in (file_type, disk.UNKNOWN):
            self._deviates(path, "is something else than its directory says")
        if kind != "directory":
            missing = self._missing_links.pop(slot.nid, 0) if known else inode.nlink
            if missing != 1:
                self._missing_links[slot.nid] = missing - 1
        if known is not None:
            if kind != "file":
                return evolve(known, path=path), inode
            link = evolve(known, path=path, kind="hardlink", target=known.path, size=0, extents=())
            return link, inode
        pieces, damage = self._content(path, inode) if kind == "file" else ((), "")
        size = inode.size if kind == "file" else 0
        mode, mtime_ns = inode.mode & 0o7777, self._mtime_ns(path, inode)
        entry = ImageEntry(
            *(path, kind, size, mode, mtime_ns, inode.uid, inode.gid, target, pieces, damage)
        )
        if kind != "directory":
            self._seen[slot.nid] = entry
        return entry, inode

    def _content(self, path: str, inode: Inode) -> tuple[Pieces, str]:
        """Where the bytes of a file lie, or what keeps them from being read."""
        try:
            return self._inodes.content(inode), ""
        except ImageError as error:
            self._report(ImageError(path, error.rule, error.remedy))
            return (), error.rule

    def _target(self, inode: Inode) -> str:
        """What a symbolic link leads to. Raises `ImageError`."""
        if inode.size > disk.SYMLINK_MAX:
            rule = f"leads to a path of {inode.size:,} bytes, of which Linux takes"
            raise ImageError("", f"{rule} {disk.SYMLINK_MAX:,}")
        target = decode(b"".join(self._stored(inode)))
        self._text_left -= len(target)
        return target

    def _stored(self, inode: Inode) -> Iterator[bytes]:
        """The content of what is no file, some whole blocks at a time. Raises `ImageError`."""
        for offset, length in self._inodes.content(inode):
            if offset is None:
                raise ImageError("", "has a hole, and is no file")
            yield from self._reader.pieces(offset, offset + length)

    def _mtime_ns(self, path: str, inode: Inode) -> int:
        seconds, nanoseconds = inode.mtime, inode.nanoseconds
        if abs(seconds) > MOST or nanoseconds >= NANOSECONDS:
            self._deviates(path, "has an invalid time")
            return 0
        return seconds * NANOSECONDS + nanoseconds

    def _directory(self, path: str, nid: int, inode: Inode, parent: int) -> _Directory:
        """The directory of that number, read whole."""
        where = path or ROOT
        slots: list[_Slot] = []
        try:
            self._directories_left -= inode.size
            if self._directories_left < 0:
                raise ImageError("", "with it directories have more bytes than the image")
            for data in self._stored(inode):
                for at in range(0, len(data), self._reader.block_size):
                    slots += self._slots(where, data[at : at + self._reader.block_size])
        except ImageError as error:
            self._report(ImageError(where, error.rule, error.remedy))
        names = [slot.name for slot in slots]
        if any(map(ge, names, names[1:])):
            rule = "its names are not in order, so that Linux does not find them all"
            self._deviates(where, rule)
            first: dict[bytes, _Slot] = {}
            for slot in slots:
                if first.setdefault(slot.name, slot) is not slot:
                    self._report(ImageError(where, f"holds {decode(slot.name)} twice"))
            slots = list(first.values())
        dots = {slot.name: slot.nid for slot in slots if slot.name in _DOTS}
        types = {slot.file_type for slot in slots if slot.name in _DOTS}
        if not types <= {disk.DIRECTORY, disk.UNKNOWN}:
            self._deviates(where, "says that its '.' or '..' is no directory")
        if inode.dot_omitted:
            dots.setdefault(b".", nid)
        if dots != {b".": nid, b"..": parent}:
            self._deviates(where, "its '.' or '..' leads elsewhere")
        inside = filter(partial(self._is_entry, where), slots)
        return _Directory(f"{path}/" if path else "", nid, inode.nlink, inside)

    def _slots(self, where: str, data: bytes) -> Iterator[_Slot]:
        """The entries in one block of a directory, up to the first that makes no sense."""
        start = int.from_bytes(data[_NAMEOFF], "little")
        if start % disk.DIRENT.size or not 0 < start < len(data):
            self._report(ImageError(where, "has a block that is not one of a directory"))
            return
        found = list(disk.DIRENT.all_of(data[:start]))
        last = found[-1][1]
        end = data.find(0, last) if last < len(data) else -1
        ends = [*(slot[1] for slot in found[1:]), len(data) if end < 0 else end]
        for (nid, begin, file_type, _), end in zip(found, ends, strict=True):
            if begin != start or not begin < end <= min(len(data), begin + disk.NAME_MAX):
                rule = "has an entry whose name lies elsewhere or is too long"
                self._report(ImageError(where, f"{rule}; the rest of its block is not read"))
                return
            yield _Slot(nid, file_type, data[begin:end])
            start = end

    def _is_entry(self, where: str, slot: _Slot) -> bool:
        """Whether it is none of the two that every directory has, and has a valid name."""
        name = slot.name
        if b"/" in name or b"\0" in name:
            rule = f"has an entry {decode(name)!r}, which is not a valid name"
            self._report(ImageError(where, rule))
            return False
        return name not in _DOTS

    def _deviates(self, path: str, rule: str) -> None:
        self._report(Deviation(path, rule))
