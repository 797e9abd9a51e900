"""Git LFS: blobs that only point to a file's content, which lies beside the repository.

The specification of pointers, version 1, is in git-lfs's ``docs/spec.md``: lines of a key and a
value, ``version`` first, fewer than 1024 bytes in all.
"""

from __future__ import annotations

import os
import re
import shlex
import stat

from attrs import frozen

from ...errors import SourceError, reason
from .repository import Repository

MOST_BYTES = 1023
"""A blob with more bytes is no pointer."""

_POINTER = re.compile(
    rb"version https?://(?:git-lfs|hawser)\.github\.com/spec/v1\n"
    rb"(?P<extensions>(?:ext-\d-[^\n]+\n)*)"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\n"
    rb"size (?P<size>\d{1,18})\n?"
)


@frozen(weakref_slot=False)
class Pointer:
    """What a blob points to: the SHA-256 of the content, and its size in bytes."""

    oid: str
    size: int

    @classmethod
    def parse(cls, data: bytes, path: str) -> Pointer | None:
        """The pointer in the blob `data` of the file `path`; None if it is none.

        Raises `SourceError` for one whose content was changed by an extension.
        """
        found = _POINTER.fullmatch(data)
        if found is None:
            return None
        if found["extensions"]:
            rule = "is stored by Git LFS with an extension, which only git-lfs can undo"
            raise SourceError(path, rule, "check it out, and pack the directory")
        return cls(found["oid"].decode("ascii"), int(found["size"]))


@frozen(weakref_slot=False)
class LfsObject:
    """The content of a file that Git LFS keeps: an ordinary file at `path`."""

    path: bytes
    size: int
    mtime_ns: int


def lfs_object(repository: Repository, revision: str, path: str, pointer: Pointer) -> LfsObject:
    """Where the content of the file `path` lies. Raises `SourceError` if it is not there."""
    oid = pointer.oid
    place = os.path.join(repository.common_dir, "lfs", "objects", oid[:2], oid[2:4], oid)
    fetch = repository.told(f"lfs fetch origin {shlex.quote(revision)}")
    try:
        status = os.stat(place)
    except OSError as error:
        rule = f"its LFS object {oid} is not in the repository ({reason(error)})"
        raise SourceError(path, rule, f"fetch it: {fetch}") from None
    if not stat.S_ISREG(status.st_mode) or not os.access(place, os.R_OK):
        raise SourceError(path, f"its LFS object {oid} cannot be read", f"see to {place}")
    if status.st_size != pointer.size:
        rule = f"its LFS object {oid} has {status.st_size:,} bytes, and should have "
        remedy = f"remove {place}, and fetch it: {fetch}"
        raise SourceError(path, f"{rule}{pointer.size:,}", remedy)
    return LfsObject(os.fsencode(os.path.abspath(place)), pointer.size, status.st_mtime_ns)
