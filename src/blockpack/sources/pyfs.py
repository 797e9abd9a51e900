"""PyFilesystem as a source: any `fs` URL or filesystem object (the extra ``blockpack[fs]``).

The kernel cannot read such a file by itself, so its bytes are streamed; and a filesystem's own
state (a zip file's position, a connection) is not to be shared between forked processes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar, cast

from attrs import frozen

from ..entry import EPOCH, NANOSECONDS, Directory, Entry, File, Symlink, check_path
from ..errors import BlockpackError, SourceError, UsageError, raise_problems
from ..extent import Extent, Stream
from .directory import Excluded, Symlinks, link_refused


@frozen(weakref_slot=False)
class OnFilesystem:
    """The content of files on an open PyFilesystem."""

    forkable: ClassVar[bool] = False

    filesystem: Any

    def extent(self, entry: File, offset: int) -> Extent:
        """The whole file as a stream."""
        path = entry.path

        def open_file() -> BinaryIO:
            return cast(BinaryIO, self.filesystem.openbin(path))

        return Stream(offset, entry.size, open_file, path)


def open_url(url: str) -> Any:
    """The filesystem at `url`, such as ``zip://site.zip``.

    Raises `UsageError` without the extra or for an unknown kind of URL, `SourceError` if it
    cannot be opened.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fs declares namespaces the old way
            import fs
            from fs.errors import CreateFailed
            from fs.opener.errors import OpenerError
    except ImportError as error:
        raise UsageError(f"{url}: an fs URL needs blockpack[fs] installed ({error})") from None
    try:
        return fs.open_fs(url)
    except OpenerError as error:
        raise UsageError(f"{url}: {error}") from None
    except (CreateFailed, OSError) as error:
        raise SourceError(url, f"cannot be opened: {error}") from None


def entries(
    filesystem: Any, excluded: Excluded | None, symlinks: Symlinks = "keep"
) -> Iterator[Entry]:
    """Everything in `filesystem`, a directory before what it holds.

    Raises `Problems` with what cannot be read or packed.
    """
    content = OnFilesystem(filesystem)
    problems: list[BlockpackError] = []
    pending = [""]
    while pending:
        above = pending.pop()
        for path, info in _listing(filesystem, above, symlinks, problems):
            if excluded is not None and excluded(path, info.is_dir):
                continue
            modified = info.get("details", "modified")
            mtime_ns = int((EPOCH if modified is None else modified) * NANOSECONDS)
            target = info.get("link", "target")
            if target is not None and symlinks == "skip":
                continue
            if target is not None and symlinks == "error":
                problems.append(link_refused(path))
            elif target is not None and symlinks == "keep":
                yield Symlink(path, target, mtime_ns=mtime_ns)
            elif info.is_dir:
                pending.append(path)
                yield Directory(path, 0o755, mtime_ns)
            else:
                yield File(path, info.size, content, 0o644, mtime_ns)
    raise_problems("this source cannot be packed as it is", problems)


def _listing(
    filesystem: Any, above: str, symlinks: Symlinks, problems: list[BlockpackError]
) -> Iterator[tuple[str, Any]]:
    """The paths in the directory `above`, and what the filesystem knows of each."""
    from fs.errors import FSError

    try:
        found = [
            (f"{above}/{name}" if above else name) for name in filesystem.listdir(above or "/")
        ]
    except FSError as error:
        problems.append(SourceError(above, f"cannot be read: {error}"))
        return
    for path in found:
        unsound = check_path(path)
        if unsound is not None:
            problems.append(unsound)
            continue
        try:
            info = filesystem.getinfo(path, ["link"])
            if info.get("link", "target") is None or symlinks == "follow":
                info = filesystem.getinfo(path, ["details"])
        except FSError as error:
            problems.append(SourceError(path, f"cannot be read: {error}"))
            continue
        yield path, info
