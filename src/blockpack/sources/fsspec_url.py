"""fsspec as a source: any URL that it opens, chained ones too (the extra ``blockpack[fsspec]``).

Filesystems tell what they know in a dictionary each. Size and type are in all of them, times by
several names, modes, owners and links in few.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ..errors import BlockpackError, EntryError, SourceError
from ..formats.reader import ImageEntry, Kind
from ..images.remote import RemoteReader, is_web
from ..model.entry import EPOCH, NANOSECONDS
from ..model.tree import Tree
from ..reading.positional import PositionalReader
from .hierarchy import ForeignFile, Hierarchy, foreign_errors, scan_hierarchy
from .options import ScanOptions

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "date_time", "created")
"""What filesystems call the time of the last change, the best first."""

_KINDS: Mapping[str, Kind] = {"file": "file", "directory": "directory", "link": "symlink"}


class OnFsspec(Hierarchy):
    """What is below `root` on an fsspec filesystem."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._above = f"{self._root}/" if self._root else root  # some roots are /, some nothing

    def entry(self, path: str) -> ImageEntry | None:
        """What is at `path`. Raises `SourceError`."""
        with foreign_errors(path):
            return _entry(path, self._filesystem.info(self._full(path)))

    def listing(self, directory: str) -> Iterator[ImageEntry | BlockpackError]:
        """What is in a directory."""
        full = self._full(directory)
        with foreign_errors(directory or full):
            found = [(str(each["name"]), each) for each in self._filesystem.ls(full, detail=True)]
        names = set()
        for place, facts in found:
            name = place.rstrip("/").rpartition("/")[2]
            path = f"{directory}/{name}" if directory else name
            # Object stores list a directory's own marker in it, and may have two things of a name.
            if not name or place.strip("/") == full.strip("/"):
                continue
            if name in names:
                yield EntryError(path, "is there twice", "exclude it")
                continue
            names.add(name)
            try:
                with foreign_errors(path):
                    yield _entry(path, facts)
            except SourceError as error:
                yield error

    def followed(self, link: ImageEntry) -> None:
        """No filesystem of fsspec's is known to follow links within itself."""
        rule = "is a link, which is not followed here"
        raise SourceError(link.path, rule, "exclude it", "symlinks=keep")

    def reader(self, entry: ImageEntry, name: str) -> PositionalReader:
        """The bytes of a file, of which a filesystem reads ahead a few MiB at the most."""
        full = self._full(entry.path)
        return ForeignFile(lambda: self._filesystem.open(full, "rb"), entry.size, name)

    def _full(self, path: str) -> str:
        return f"{self._above}{path}" if path else self._root or self._above


def _entry(path: str, facts: Mapping[str, Any]) -> ImageEntry:
    kind: Kind = _KINDS.get(str(facts.get("type")), "other")
    target = facts.get("destination") or facts.get("target") or ""
    if facts.get("islink") and target:
        kind = "symlink"
    if isinstance(target, bytes):
        target = target.decode("utf-8", "surrogateescape")
    size = facts.get("size")
    damage = "has no size that is known" if kind == "file" and size is None else ""
    default = {"directory": 0o755, "symlink": 0o777}.get(kind, 0o644)
    mode = facts.get("mode", facts.get("permissions"))
    return ImageEntry(
        path=path,
        kind=kind,
        size=int(size or 0) if kind == "file" else 0,
        mode=stat.S_IMODE(mode) if isinstance(mode, int) else default,
        mtime_ns=_time(facts),
        uid=_number(facts.get("uid")),
        gid=_number(facts.get("gid")),
        target=str(target) if kind == "symlink" else "",
        damage=damage,
    )


def _number(owner: object) -> int:
    return owner if isinstance(owner, int) and 0 <= owner < 1 << 32 else 0


def _time(facts: Mapping[str, Any]) -> int:
    """The time of the last change in nanoseconds since 1970; 1980 if nothing is said."""
    for name in _TIMES:
        value = facts.get(name)
        with suppress(ValueError, TypeError, OverflowError):
            if isinstance(value, str):
                value = datetime.fromisoformat(value)
            elif isinstance(value, tuple | list):
                value = datetime(*value)
            if isinstance(value, datetime):
                value = value.replace(tzinfo=value.tzinfo or UTC).timestamp()
            if isinstance(value, int | float):
                return int(value * NANOSECONDS)
    return EPOCH * NANOSECONDS


def opens(url: str) -> bool:
    """Whether fsspec is installed, and knows URLs such as this."""
    with suppress(ImportError):
        from fsspec import available_protocols

        return url.split("::")[0].partition("://")[0] in available_protocols()
    return False


def scan_url(url: str, options: ScanOptions) -> Tree:
    """The tree of what is at `url`, also of a file. Raises `SourceError` and `Problems`."""
    from fsspec.core import url_to_fs

    with foreign_errors(url, "cannot be opened"):
        filesystem, root = url_to_fs(url)
    try:
        with foreign_errors(url, "cannot be opened"):
            info = filesystem.info(root) if root.strip("/") else {"type": "directory"}
    except SourceError:
        if is_web(filesystem):
            RemoteReader(filesystem, root, url).close()  # to open it says why
        raise
    if info["type"] == "directory":
        return scan_hierarchy(OnFsspec(filesystem, root), options)
    above, _, name = root.rstrip("/").rpartition("/")
    return scan_hierarchy(OnFsspec(filesystem, above), options, start=name, name=url)


def scan_filesystem(filesystem: Any, options: ScanOptions) -> Tree:
    """The tree of everything on a filesystem. Raises `Problems` with what cannot be packed."""
    return scan_hierarchy(OnFsspec(filesystem, filesystem.root_marker), options)
