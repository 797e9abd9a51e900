"""From what a walk found to the entries of a tree.

Most are made as soon as their sizes are found in packs. Then git is asked in one go for all sizes
that no pack tells. No blob is read but the targets of links, and those that may be pointers of Git
LFS.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from typing import TYPE_CHECKING

from ...errors import EntryError, SourceError
from ...formats.git.objects import EXECUTABLE, FILE, LINK, TREE
from ...model.content import DISK
from ...model.entry import NANOSECONDS, Directory, Entry, File, Symlink
from .blob_places import TOO_LARGE, UNKNOWN, Places
from .blobs import Blobs
from .cat_file import CatFile, facts
from .packs import Packs
from .repository import Repository, Revision
from .trees import Found, Problem, link_target

if TYPE_CHECKING:
    from .lfs import LfsObject, LfsStore

_PERMISSIONS = {FILE: 0o644, EXECUTABLE: 0o755}
"""The permission bits of files by what git knows of them."""


class EntryMaker:
    """Makes entries; `problems` gets what keeps some of them from being made.

    `named` is how the user gave the `revision`.
    """

    def __init__(
        self,
        repository: Repository,
        packs: Packs,
        reader: CatFile,
        revision: Revision,
        named: str,
    ) -> None:
        self.problems: list[Problem] = []
        self._repository = repository
        self._packs = packs
        self._reader = reader
        self._named = named
        self._lfs_store: LfsStore | None = None
        self._time = revision.seconds * NANOSECONDS

    def entries(
        self, found: list[Found], sizes: Iterator[int], places: Places, with_lfs: frozenset[str]
    ) -> list[Entry]:
        """The entries of all `found`, in that order, as far as there is no problem with them.

        `sizes` tells those of the files in turn, and when it has come to its end, `places` has
        them all. `with_lfs` has the paths of those that Git LFS should keep.
        """
        files = [*filter(is_file, found)]
        oids = b"".join([entry.oid for entry in files])
        blobs = Blobs(self._repository, self._packs, oids, places)
        entries, left = self._plain(found, blobs, sizes, with_lfs)
        self._ask({number: files[number] for number in left.values()}, blobs.sizes)
        for at, number in left.items():
            entries[at] = self._file(files[number], blobs, number, with_lfs)
        made = [entry for entry in entries if entry is not None]
        blobs.last = _last(made)
        return made

    def _plain(
        self, found: list[Found], blobs: Blobs, sizes: Iterator[int], with_lfs: frozenset[str]
    ) -> tuple[list[Entry | None], dict[int, int]]:
        """The entries of all `found`, and those for which there is more to ask, which are None
        yet: where in that list → the number of the blob.
        """
        entries: list[Entry | None] = []
        left = {}
        time = self._time
        number = 0
        for entry in found:
            mode = entry.mode
            made: Entry | None = None
            if mode == TREE:
                made = Directory(entry.path, 0o755, time)
            elif mode == LINK:
                made = self._link(entry)
            else:
                size = next(sizes)
                if size == UNKNOWN or entry.real in with_lfs:
                    left[len(entries)] = number
                else:
                    made = File(entry.path, size, blobs, number, 0, _PERMISSIONS[mode], time)
                number += 1
            entries.append(made)
        return entries, left

    def _ask(self, files: dict[int, Found], sizes: MutableSequence[int]) -> None:
        """Have git tell the sizes that no pack tells. `files` has those by number that are not
        made yet; with Git LFS, there are others among them. `problems` gets the blobs that are
        missing.
        """
        unknown = {number: file for number, file in files.items() if sizes[number] == UNKNOWN}
        if not unknown:
            return
        asked = {file.oid: file.path for file in reversed(unknown.values())}
        known = dict.fromkeys(asked, UNKNOWN)
        for oid, told in facts(self._repository, asked):
            if isinstance(told, SourceError):
                self.problems.append(told)
                continue
            kind, size = told
            if kind == b"blob" and size < TOO_LARGE:
                known[oid] = size
            else:
                what = f"a {kind.decode()}, and should be a blob"
                if kind == b"blob":
                    what = f"said to have {size:,} bytes, and nothing has so many"
                rule = f"object {oid.hex()} is {what}"
                remedy = f"look into it: {self._repository.told('fsck')}"
                self.problems.append(SourceError(asked[oid], rule, remedy))
        for number, file in unknown.items():
            sizes[number] = known[file.oid]

    def _file(
        self, entry: Found, blobs: Blobs, number: int, with_lfs: frozenset[str]
    ) -> Entry | None:
        """A file of which git has been asked; None if there is a problem with it."""
        size = blobs.sizes[number]
        mode = _PERMISSIONS[entry.mode]
        if entry.real in with_lfs:
            try:
                found = self._lfs(entry, size)
            except (EntryError, SourceError) as error:
                self._note(error)
                return None
            if found is not None:
                return File(
                    entry.path, found.size, DISK, found.path, found.mtime_ns, mode, self._time
                )
        if size == UNKNOWN:  # there is a problem already
            return None
        return File(entry.path, size, blobs, number, 0, mode, self._time)

    def _lfs(self, entry: Found, size: int) -> LfsObject | None:
        """The object of a file that Git LFS should keep; None if it does not."""
        from . import lfs  # most repositories have none

        if size > lfs.MOST_BYTES:
            return None
        _, data = self._reader.object(entry.oid.hex(), entry.path, lfs.MOST_BYTES)
        pointer = lfs.Pointer.parse(data, entry.path)
        if pointer is None:  # it was committed without Git LFS
            return None
        if self._lfs_store is None:
            self._lfs_store = lfs.LfsStore.of(self._repository, self._named)
        return self._lfs_store.find(pointer, entry.path)

    def _link(self, entry: Found) -> Entry | None:
        """A link; None if there is a problem with it."""
        try:
            target = link_target(self._reader, entry.path, entry.oid)
            return Symlink(entry.path, target, mtime_ns=self._time)
        except (EntryError, SourceError) as error:
            self._note(error)
            return None

    def _note(self, error: Problem) -> None:
        """A problem to be told with all others, unless it is the end of git."""
        if not self._reader.alive:
            raise error
        self.problems.append(error)


def is_file(entry: Found) -> bool:
    """Whether an entry has a blob that is the content of a file."""
    return entry.mode not in (TREE, LINK)


def _last(entries: list[Entry]) -> int:
    """The number of the last blob that is read for `entries`; -1 if none is."""
    for entry in reversed(entries):
        if isinstance(entry, File) and isinstance(entry.store, Blobs):
            number: int = entry.key  # type: ignore[assignment]
            return number
    return -1
