"""Git LFS: blobs that only point to a file's content, which lies beside the repository.

A pointer has lines of a key and a value: ``version``, ``oid`` and ``size``, and maybe extensions;
it has fewer than 1024 bytes (git-lfs, ``docs/spec.md``). Git-lfs reads more than it writes (other
line ends, blank lines, what it was called before), and so does this: what a pointer leads to is
found by its SHA-256, and nothing but the bytes that make it is taken.

To hash a file is to read it once more. It is done when it is found, in pieces, and not again in
this process as long as the file stays as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from io import BufferedReader

from attrs import frozen

from ...errors import SourceError, reason
from ...model.extent import FileRange
from .loose import opened
from .packs import object_directories
from .repository import Repository

MOST_BYTES = 1023
"""A blob with more bytes is not a pointer."""

_VERSIONS = re.compile(
    rb"https?://(?:git-lfs|hawser)\.github\.com/spec/v1|https?://git-media\.io/v/2"
)
"""What pointers say of their version; git-lfs was called hawser and git-media before."""

_OID = re.compile(rb"sha256:([0-9a-fA-F]{64})")
_SIZE = re.compile(rb"\+?[0-9]{1,18}")
_EXTENSION = re.compile(rb"ext-\d-")

_POINTS = re.compile(rb"^\s*(?:version\s[^\n]*(?:git-media|hawser|git-lfs)|oid\s+sha\w*:)", re.M)
"""What no file has that is not meant for a pointer."""


@frozen(weakref_slot=False)
class Pointer:
    """What a blob points to: the SHA-256 of the content, and its size in bytes."""

    oid: str
    size: int

    @classmethod
    def parse(cls, data: bytes, path: str) -> Pointer | None:
        """The pointer in the blob `data` of the file `path`, if it is one. Raises `SourceError` for
        one whose content was changed by an extension, and for what is meant for a pointer and
        cannot be read.
        """
        lines = [line.strip() for line in data.strip().splitlines()]
        pairs = [line.split(None, 1) for line in lines if line]
        if any(len(pair) == 2 and _EXTENSION.match(pair[0]) for pair in pairs):
            rule = "is stored by Git LFS with an extension, which only git-lfs can undo"
            raise SourceError(path, rule, "check it out, and pack the directory")
        values = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        oid = _OID.fullmatch(values.get(b"oid", b""))
        size = _SIZE.fullmatch(values.get(b"size", b""))
        if (
            len(pairs) == len(values) == 3
            and _VERSIONS.fullmatch(values.get(b"version", b""))
            and oid is not None
            and size is not None
        ):
            return cls(oid[1].decode("ascii").lower(), int(size[0]))
        if _POINTS.search(data.replace(b"\0", b"")):  # of an editor that writes UTF-16
            rule = "has the attribute filter=lfs, and a pointer that cannot be read"
            raise SourceError(path, rule, "commit it again, with git-lfs installed")
        return None


@frozen
class LfsStore:
    """The objects of Git LFS in a repository: those in its own directory, and those in the
    repositories that it borrows from.
    """

    repository: Repository
    revision: str
    directories: tuple[str, ...]

    @classmethod
    def of(cls, repository: Repository, revision: str) -> LfsStore:
        """Those of `repository`; what is missing is in `revision`. Raises `SourceError`."""
        common = repository.common_dir
        done = repository.git("config", "--type=path", "--get", "lfs.storage")
        configured = os.fsdecode(done.stdout.removesuffix(b"\n"))
        own = os.path.join(common, configured or "lfs", "objects")
        borrowed = (
            os.path.join(os.path.dirname(directory.rstrip("/")), "lfs", "objects")
            for directory in object_directories(common)
        )
        return cls(repository, revision, tuple(dict.fromkeys((own, *borrowed))))

    def find(self, pointer: Pointer, path: str) -> FileRange:
        """The content of the file `path`, all of an ordinary file.

        Raises `SourceError` if it is not there, cannot be read, or is not what makes its name.
        """
        oid = pointer.oid
        for directory in self.directories:
            place = os.path.join(directory, oid[:2], oid[2:4], oid)
            try:
                return self._at(place, pointer, path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                rule = f"its LFS object {oid} cannot be read: {reason(error)}"
                raise SourceError(path, rule, f"check {place}") from None
        rule = f"its LFS object {oid} is not in the repository"
        raise SourceError(path, rule, f"fetch it: {self._fetch}")

    @property
    def _fetch(self) -> str:
        return self.repository.told(f"lfs fetch origin {shlex.quote(self.revision)}")

    def _at(self, place: str, pointer: Pointer, path: str) -> FileRange:
        """The object at `place`. Raises `OSError`, and `SourceError` if it is another."""
        remedy = f"remove {place}, and fetch it: {self._fetch}"
        with open(opened(place), "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size != pointer.size:
                rule = f"its LFS object {pointer.oid} has {status.st_size:,} bytes, and should have"
                raise SourceError(path, f"{rule} {pointer.size:,}", remedy)
            if _digest(file, status) != pointer.oid:
                rule = f"its LFS object {pointer.oid} is damaged: its bytes make another SHA-256"
                raise SourceError(path, rule, remedy)
        whole = os.fsencode(os.path.abspath(place))
        return FileRange(0, pointer.size, whole, pointer.size, status.st_mtime_ns)


_digests: dict[tuple[int, ...], str] = {}
"""The SHA-256 of objects, by the status of their files."""


def _digest(file: BufferedReader, status: os.stat_result) -> str:
    """The SHA-256 of a file; one that stays as it is is read once."""
    key = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    if key not in _digests:
        _digests[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[key]
