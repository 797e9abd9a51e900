"""From what a walk found to the entries of a tree.

Git is asked in one go for all sizes that neither packs nor files tell. No blob is read but the
targets of links, and those that may be pointers of Git LFS.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from ...errors import BlockpackError, EntryError, SourceError
from ...formats.git.objects import LINK, PERMISSIONS, TREE
from ...model.content import DISK
from ...model.entry import NANOSECONDS, Directory, Entry, File, Symlink
from ...workers.processors import Jobs
from .blob_places import TOO_LARGE, UNKNOWN
from .blobs import Blobs
from .packs import Packs
from .trees import Found, link_target

if TYPE_CHECKING:
    from .lfs import LfsStore
    from .lookup import Lookup


@define
class EntryMaker:
    """Makes entries; `problems` gets what keeps some of them from being made.

    `with_lfs` has the paths of those that Git LFS should keep. `jobs` processes look for blobs.
    """

    lookup: Lookup
    jobs: Jobs
    with_lfs: frozenset[str]
    problems: list[BlockpackError] = field(factory=list, init=False)
    _lfs_store: LfsStore | None = field(default=None, init=False)

    def entries(self, found: Sequence[Found]) -> list[Entry]:
        """The entries of all `found`, in that order, as far as there is no problem with them."""
        files = [entry for entry in found if entry.mode not in (TREE, LINK)]
        repository = self.lookup.repository
        packs = Packs.shared(repository.pack_paths())
        blobs = Blobs(repository, packs, [file.oid for file in files], self.jobs)
        sizes = blobs.places.sizes
        self._ask(files, sizes)
        time = self.lookup.revision.seconds * NANOSECONDS
        entries: list[Entry | None] = []
        number = 0
        for entry in found:
            made: Entry | None
            if entry.mode == TREE:
                made = Directory(entry.path, 0o755, time)
            elif entry.mode == LINK:
                made = self._link(entry, time)
            else:
                mode = PERMISSIONS[entry.mode]
                made = File(entry.path, sizes[number], blobs, number, 0, mode, time)
                number += 1
                if entry.real in self.with_lfs:
                    made = self._with_lfs(entry, made)
            entries.append(made)
        return [entry for entry in entries if entry is not None]

    def _ask(self, files: Sequence[Found], sizes: MutableSequence[int]) -> None:
        """Have git tell the `sizes` that are unknown; `problems` gets the blobs that it lacks."""
        unknown = [number for number, size in enumerate(sizes) if size == UNKNOWN]
        asked = {files[number].oid: files[number].path for number in reversed(unknown)}
        known = dict.fromkeys(asked, UNKNOWN)
        for oid, told in self.lookup.repository.facts(asked) if asked else ():
            if isinstance(told, SourceError):
                self.problems.append(told)
                continue
            kind, size = told
            if kind == b"blob" and size < TOO_LARGE:
                known[oid] = size
            else:
                what = f"a {kind.decode()}, and should be a blob"
                if kind == b"blob":
                    what = f"said to have {size:,} bytes, which is impossible"
                rule = f"object {oid.hex()} is {what}"
                self.problems.append(SourceError(asked[oid], rule, self.lookup.repository.fsck))
        for number in unknown:
            sizes[number] = known[files[number].oid]

    def _with_lfs(self, entry: Found, file: File) -> File | None:
        """The `file` as Git LFS keeps it, or as it is if it does not; None for a problem."""
        from . import lfs  # most repositories have none

        if file.size > lfs.MOST_BYTES:
            return file
        try:
            _, data = self.lookup.reader.object(entry.oid.hex(), entry.path, lfs.MOST_BYTES)
            pointer = lfs.Pointer.parse(data, entry.path)
            if pointer is None:  # it was committed without Git LFS
                return file
            if self._lfs_store is None:
                self._lfs_store = lfs.LfsStore.of(self.lookup.repository, self.lookup.named)
            found = self._lfs_store.find(pointer, entry.path)
        except (EntryError, SourceError) as error:
            self.lookup.reader.report(error, self.problems)
            return None
        return evolve(file, size=found.size, store=DISK, key=found.path, stamp=found.mtime_ns)

    def _link(self, entry: Found, time: int) -> Entry | None:
        try:
            target = link_target(self.lookup.reader, entry.path, entry.oid)
            return Symlink(entry.path, target, mtime_ns=time)
        except (EntryError, SourceError) as error:
            self.lookup.reader.report(error, self.problems)
            return None
