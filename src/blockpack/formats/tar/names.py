"""What the members of an archive come to, one after the other, as if they were extracted.

Of several members of one name the last counts. A hard link shares the file that had its target's
name at that moment, whatever has this name later; one to a name that only comes later shares that.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from ...errors import Deviation, ImageError
from ..reader import ImageEntry, Report


class Names:
    """The entries of an archive by their paths."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._entries: dict[str, ImageEntry] = {}
        self._shared: dict[str, ImageEntry | None] = {}
        self._ends: dict[str, ImageEntry | None] = {}

    def add(self, entry: ImageEntry, *, doubtful: bool = False) -> None:
        """Take in the next member; if it is `doubtful`, it cannot replace another for certain."""
        path = entry.path
        before = self._entries.get(path)
        if entry.kind == "hardlink" and entry.target == path and before is not None:
            return  # it is there
        if before is not None and not before.kind == entry.kind == "directory":
            if doubtful:
                rule = "is in the archive twice, the second time behind what is damaged"
                self._report(ImageError(path, rule))
                entry = evolve(entry, damage=rule)
            else:
                self._report(Deviation(path, "is in the archive twice; the last one counts"))
            self._shared.pop(path, None)
        if entry.kind == "hardlink":
            target = entry.target
            shared = target in self._shared
            self._shared[path] = self._shared[target] if shared else self._entries.get(target)
        self._entries[path] = entry

    def extend(self, files: list[ImageEntry], *, doubtful: bool) -> None:
        """Take in several files."""
        by_path = {file.path: file for file in files}
        if len(by_path) == len(files) and self._entries.keys().isdisjoint(by_path):
            self._entries.update(by_path)
            return
        for file in files:
            self.add(file, doubtful=doubtful)

    def __iter__(self) -> Iterator[ImageEntry]:
        """The entries, each path once."""
        if not self._shared:
            yield from self._entries.values()
            return
        standing: dict[int, str] = {}  # files that are no longer under their own name
        for path, entry in self._entries.items():
            yield self._link(entry, standing) if path in self._shared else entry

    def _link(self, link: ImageEntry, standing: dict[int, str]) -> ImageEntry:
        """A hard link as what it is in the end."""
        path = link.path
        file = self._shared[path]
        if file is None:
            file = self._ends[path] if path in self._ends else self._later(path)
            if file is not None and file.kind != "directory":
                rule = f"links to {file.path}, which comes after it"
                self._report(Deviation(path, rule))
        if file is None or file.kind == "directory":
            what = "is a directory" if file is not None else "is not in the archive"
            rule = f"links to {link.target}, which {what}"
            self._report(ImageError(path, rule))
            return evolve(link, damage=rule)
        if file.kind != "file":
            return evolve(file, path=path)  # to another one of its kind
        under = file.path if self._entries.get(file.path) is file else standing.get(id(file))
        if under is None:
            standing[id(file)] = path
            return evolve(file, path=path)
        return evolve(link, target=under, damage=file.damage)

    def _later(self, at: str) -> ImageEntry | None:
        """What the link `at` leads to that comes before its target, if anything."""
        met = []
        while at in self._shared and at not in self._ends:
            self._ends[at] = None  # for those in a circle
            met.append(at)
            file = self._shared[at]
            at = self._entries[at].target
            if file is not None:
                break
        else:
            found = self._ends.get(at) or self._entries.get(at)
            file = None if found is None or found.kind == "hardlink" else found
        self._ends.update(dict.fromkeys(met, file))
        return file
