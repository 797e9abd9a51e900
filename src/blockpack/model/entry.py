"""The entries of a tree: files, directories and symbolic links.

An entry says what to pack: path, permission bits, time, owner, and for a file *which bytes*, never
the bytes of a file on disk. These are named by a store, which holds them, by a key in that store,
and by a stamp: how they looked when they were seen. Path, mode, time and owner are the image's
affair, so to change them changes nothing about which bytes are meant. Times are those of the
source; what an image shows is for the volume's `mtime` rule to decide.

Paths are text with ``/`` between the parts. A name that is not UTF-8 is carried byte for byte
by surrogate escapes (PEP 383), as `os.fsdecode` does it.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from contextlib import suppress
from typing import ClassVar, Literal, Protocol

from attrs import field

from ..errors import EntryError, UsageError, require_path
from .extent import Data, Extent
from .limits import MOST
from .path_bytes import decode as decode
from .path_bytes import encode as encode
from .values import numerous, shortened

EPOCH = 315_532_800
"""1980-01-01 00:00:00 UTC in seconds since 1970: the earliest time that every format holds."""

NANOSECONDS = 1_000_000_000
"""Nanoseconds a second."""


@numerous
class Directory:
    """A directory. `mode` is its permission bits, `mtime_ns` nanoseconds since 1970."""

    kind: ClassVar[Literal["directory"]] = "directory"

    path: str
    mode: int = 0o755
    mtime_ns: int = EPOCH * NANOSECONDS
    uid: int = 0
    gid: int = 0


@numerous
class Symlink:
    """A symbolic link to `target`, which is kept as it is and never followed."""

    kind: ClassVar[Literal["symlink"]] = "symlink"

    path: str
    target: str
    mode: int = 0o777
    mtime_ns: int = EPOCH * NANOSECONDS
    uid: int = 0
    gid: int = 0


@numerous
class File:
    """A regular file of `size` bytes: those that `store` holds by `key`.

    `stamp` is the time, in nanoseconds since 1970, that the store told of them when they were seen;
    whoever reads them compares it, and the size. Stores that keep no times have 0 there.
    Files with the same `inode` (device, number) are hard links to one file.
    """

    kind: ClassVar[Literal["file"]] = "file"

    path: str
    size: int
    store: Store = field(repr=lambda store: type(store).__name__)
    key: Hashable = field(repr=shortened)
    stamp: int = 0
    mode: int = 0o644
    mtime_ns: int = EPOCH * NANOSECONDS
    uid: int = 0
    gid: int = 0
    inode: tuple[int, int] | None = None

    def extent(self, offset: int = 0) -> Extent:
        """The bytes as one extent at `offset` of an image; nothing is opened."""
        return self.store.extent(self, offset)


Entry = File | Directory | Symlink
"""What a tree consists of: a `File`, a `Directory` or a `Symlink`."""


class Store(Protocol):
    """What holds the bytes of files: a directory on disk, a repository, an archive, memory."""

    @property
    def forkable(self) -> bool:
        """Whether extents may be read in a forked process, beside others that do the same."""

    def extent(self, file: File, offset: int) -> Extent:
        """The bytes that `file` names as one extent at `offset` of an image; nothing is opened.

        They follow from the file's key, size and stamp alone; its path is for messages.
        """


class Memory:
    """Bytes in memory, each its own key."""

    forkable: ClassVar[bool] = True

    def extent(self, file: File, offset: int) -> Extent:
        """The bytes themselves."""
        assert isinstance(file.key, bytes)
        return Data(offset, file.key)


MEMORY = Memory()
"""The one store of bytes in memory."""


def location(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> bytes:
    """The bytes of a path on this machine, as it was given. Raises `UsageError` if it is none."""
    return os.fsencode(require_path(path))


def text_of(path: str | os.PathLike[str]) -> str:
    """The text of a path in a tree or image. Raises `UsageError` for what is none."""
    text = path.as_posix() if hasattr(path, "as_posix") else path
    if isinstance(text, os.PathLike):
        text = os.fspath(text)
    if isinstance(text, str):
        return text
    rule = f"{path!r} is not a path in a tree or image"
    raise UsageError("", rule, "give a text or a PurePosixPath")


def parent_of(path: str) -> str:
    """The path of the directory that holds `path`; the root is the empty path."""
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    """The last part of `path`."""
    return path.rpartition("/")[2]


def check_entry(entry: Entry) -> EntryError | None:
    """What makes `entry` no entry of a tree, if anything does.

    These are the rules of every format, enforced here and only here.
    """
    if error := check_path(entry.path):
        return error
    if isinstance(entry, Symlink) and (error := check_target(entry.path, entry.target)):
        return error
    if isinstance(entry, File):
        if not 0 <= entry.size <= MOST:
            return EntryError(entry.path, f"no file has {entry.size:,} bytes", "give its size")
        if isinstance(entry.key, bytes) and entry.store is MEMORY and len(entry.key) != entry.size:
            rule = f"has {len(entry.key):,} bytes, and size says {entry.size:,}"
            return EntryError(entry.path, rule, "leave the size out")
    if not 0 <= entry.mode <= 0o7777:
        rule = f"its mode {entry.mode:#o} is more than permission bits"
        return EntryError(entry.path, rule, "give the low twelve bits")
    if abs(entry.mtime_ns) // NANOSECONDS > MOST:
        return EntryError(entry.path, "no machine has such a time", "give another")
    if not (0 <= entry.uid < 1 << 32 and 0 <= entry.gid < 1 << 32):
        return EntryError(entry.path, "an owner's number has 32 bits", "give another")
    return None


def check_path(path: str) -> EntryError | None:
    """What makes `path` no path of a tree, if anything does.

    It is relative, without ``.``, ``..`` or empty parts, without NUL, and expressible as bytes.
    """
    if not path:
        return EntryError("", "an entry's path is empty", "give it a name")
    if "\0" in path:
        return EntryError(path, "a path holds no NUL", "remove it from the name")
    if path.startswith("/"):
        return EntryError(path, "paths are relative to the tree", "remove the leading '/'")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            shown = f"part '{part}'" if part else "empty part"
            return EntryError(path, f"a path has no {shown}", "write it without")
    return _check_text(path, path)


def are_sound(paths: Iterable[str]) -> bool:
    """Whether `check_path` has nothing against any of these: all are looked at as one text."""
    text = "/".join(("", *paths, ""))
    odd = any(each in text for each in ("\0", "//", "/./", "/../"))
    return not odd and _check_text(text, text) is None


def check_target(path: str, target: str) -> EntryError | None:
    """What makes `target` no target of the symbolic link at `path`, if anything does."""
    if not target or "\0" in target:
        rule = f"links to {target!r}, which is not a valid path"
        return EntryError(path, rule, "give another target")
    return _check_text(path, target)


def _check_text(path: str, text: str) -> EntryError | None:
    """What makes `text` no path or target that bytes stand for, if anything does."""
    if text.isascii():
        return None
    with suppress(UnicodeEncodeError):
        if decode(encode(text)) == text:
            return None
    rule = "a path is UTF-8, or bytes that are not, carried by surrogate escapes"
    return EntryError(path, rule, "use os.fsdecode, or remove the lone surrogates")
