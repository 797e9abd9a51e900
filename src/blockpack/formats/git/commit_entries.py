"""From a commit in an image to the entries of its trees.

A tree that is missing or damaged costs what is below it, a blob the bytes of its file, an entry
that cannot be nothing but itself. All of that is reported, and the rest is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attrs import define, field

from ...errors import Deviation, ImageError
from ...model.entry import decode
from ..reader import ImageEntry, Kind, Report
from . import objects
from .objects import MODES, PERMISSIONS, RawEntry, is_in_order
from .pack_format import BLOB, TREE
from .refused_names import refused
from .store import PackStore
from .tree_objects import MOST_PATH
from .tree_reader import EndlessTreesError, TreeReader

MOST_ENTRIES = 4_000_000
"""The most entries that are read of an image."""

_FREE_BYTES = 1 << 20
"""Bytes that all trees may have, however small the image is."""

_MOST_GAIN = 64
"""Bytes beyond that for each one of the image; a deflated tree has a tenth of its size at least."""

_ENTRY_KINDS: dict[int, Kind] = {
    objects.FILE: "file",
    objects.EXECUTABLE: "file",
    objects.LINK: "symlink",
    objects.TREE: "directory",
}


@define
class CommitEntries:
    """The entries below `root`, of one time, in one walk; `blobs` gets where files begin in the
    pack.
    """

    store: PackStore
    root: bytes
    mtime_ns: int
    report: Report
    blobs: dict[str, int]
    _trees: TreeReader = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._trees = TreeReader(
            lambda oid, _: self.store.object(oid, TREE),
            self.root,
            self.store.oid_size,
            MOST_ENTRIES,
            _FREE_BYTES + _MOST_GAIN * self.store.end,
        )

    def __iter__(self) -> Iterator[ImageEntry]:
        """Tree by tree. Raises `ImageError` if the trees have no end."""
        pending = [("", self._tree(self.root, ""))]
        while pending:
            above, entries = pending[-1]
            child = next(entries, None)
            if child is None:
                pending.pop()
                continue
            mode, name, oid = child
            path = above + decode(name)
            rule = refused(name)
            if rule is None and len(path) > MOST_PATH:
                rule = f"has a path of more than {MOST_PATH:,} characters"
                path = f"{path[:64]}…"
            if rule is not None:
                self.report(ImageError(path, rule))
                continue
            known = MODES.get(mode, 0)
            kind = _ENTRY_KINDS.get(known, "other")
            if kind == "directory":
                pending.append((f"{path}/", self._tree(oid, path)))
            entry = self._entry(path, kind, PERMISSIONS.get(known, 0), oid)
            if entry is not None:
                yield entry

    def _tree(self, oid: bytes, path: str) -> Iterator[RawEntry]:
        """The entries of a tree; none of those whose name is there twice."""
        try:
            found = self._trees.entries(oid, path)
        except EndlessTreesError as error:
            raise ImageError("", f"its trees have no end: {error}") from None
        except ImageError as error:
            self.report(ImageError(path, f"its tree cannot be read: {error.rule}"))
            return iter(())
        except ValueError as error:
            self.report(ImageError(path, f"its tree is damaged: {error}"))
            return iter(())
        if not is_in_order(found):
            self.report(Deviation(path, "the entries of its tree are out of order"))
        if len({name for _, name, _ in found}) == len(found):
            return iter(found)
        counts = Counter(name for _, name, _ in found)
        for name, count in counts.items():
            if count > 1:  # readers choose as they like
                at = f"{path}/{decode(name)}" if path else decode(name)
                self.report(ImageError(at, f"is there {count:,} times"))
        return iter([child for child in found if counts[child[1]] == 1])

    def _entry(self, path: str, kind: Kind, mode: int, oid: bytes) -> ImageEntry | None:
        """The entry; None for a link that leads nobody knows where."""
        size, target, damage = 0, "", ""
        try:
            if kind == "file":
                header = self.store.blob(oid)
                self.blobs[path] = header.offset
                size = self.store.size_of(header)
            elif kind == "symlink":
                target = self._target(oid)
        except ImageError as error:
            damage = f"its content cannot be read: {error.rule}"
            self.report(ImageError(path, damage))
            if kind == "symlink":
                return None
        return ImageEntry(path, kind, size, mode, self.mtime_ns, target=target, damage=damage)

    def _target(self, oid: bytes) -> str:
        store = self.store
        header = store.blob(oid)
        if store.size_of(header) > MOST_PATH:
            raise ImageError("", f"it links to a path of more than {MOST_PATH:,} bytes")
        kind, data = store.resolved(header)
        if kind != BLOB:
            raise ImageError("", f"object {oid.hex()} is not a blob")
        return decode(store.whole(header, MOST_PATH) if data is None else data)
