"""The encrypted files of a deployment: made, edited, and encrypted anew for other recipients.

Rule 1: an encrypted file is replaced whole or not at all, and what is there is never lost.
Rule 2: what is decrypted is in memory, or, for an editor, on a RAM file system, its owner's alone,
and wiped at the end.
These are for those who keep the secrets, and name the files that they are about.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import frozen

from ...errors import (
    BlockpackError,
    SecretError,
    SourceError,
    TargetError,
    printable,
    raise_problems,
    reading_errors,
)
from ...layers.memory import guarded
from ...model.extent import FileRange
from ...writing.temporary_names import is_temporary
from ...writing.write import write_bytes
from ..file_names import MANIFEST
from ..source.deployment import DirectorySource
from ..volume_errors import of_volume
from .age import SUFFIX, Closed, Identities, encrypted, recipients_of
from .editing import edited
from .opening import MOST_BYTES, is_encrypted
from .wipe import wipe

if TYPE_CHECKING:
    from ...model.entry import File
    from ..manifest.parser import Manifest

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)

_NOT_ANEW = "nothing was encrypted anew"


@frozen
class Keeper:
    """A deployment in the directory `path`, whose manifest tells who can open its secrets."""

    path: str
    manifest: Manifest

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Keeper:
        """The deployment at `path`. Raises `SourceError` and `Problems`."""
        return cls(os.fspath(path), DirectorySource(os.fspath(path)).manifest())

    @classmethod
    def above(cls, path: str | os.PathLike[str]) -> Keeper:
        """The deployment that the file at `path` is in: the nearest manifest above it.

        Raises `SourceError` and `Problems`.
        """
        directory = os.path.dirname(os.path.abspath(path))
        while not os.path.isfile(os.path.join(directory, MANIFEST)):
            above = os.path.dirname(directory)
            if above == directory:
                rule = f"there is no {MANIFEST} above it that names recipients"
                raise SourceError(os.fspath(path), rule, option="deployment=DIR")
            directory = above
        return cls.at(directory)

    def encrypt(
        self, data: bytes, target: str | os.PathLike[str], *, replace: bool = False
    ) -> None:
        """Encrypt `data` into the file `target`. Raises `TargetError` if it is there already."""
        if not replace and os.path.lexists(target):
            name = printable(os.fspath(target))
            raise TargetError(name, "is there already", "choose another name", "replace")
        _write(encrypted(data, self._recipients()), target)

    def edit(self, path: str | os.PathLike[str], identity: str, editor: str) -> bool:
        """Have `editor` (a command) edit an encrypted file; False if nothing was changed.

        What it edits is on a RAM file system. Raises `SecretError` if there is none, `UsageError`
        if the editor fails, `TargetError` if somebody else changed the file meanwhile, and as the
        other methods do.
        """
        recipients = self._recipients()
        with guarded():
            closed = _contents(path)
            data = _opened(path, Identities.read(identity))
            with edited(data, os.path.basename(path).removesuffix(SUFFIX), editor) as file:
                now = _contents(file)
            if now == data:
                return False
            if _contents(path) != closed:
                rule = "is not what was opened any more: somebody else changed it meanwhile"
                raise TargetError(os.fspath(path), rule, "edit it again")
            _write(encrypted(now, recipients), path)
        return True

    def rekey(self, identity: str) -> list[str]:
        """Encrypt the files that secret volumes are made of anew, for the recipients of now.

        Those are the encrypted ones that a build would open. All are opened before one is written;
        each is replaced whole, and what a killed run left beside them is removed. The paths, in
        the deployment. Raises `Problems` with all that do not open, or with what is wrong with the
        volumes.
        """
        recipients = self._recipients()
        identities = Identities.read(identity)
        paths = self._encrypted()
        errors: list[BlockpackError] = []
        with guarded():
            for path in paths:
                try:
                    _opened(path, identities)
                except BlockpackError as error:
                    errors.append(error)
            raise_problems(_NOT_ANEW, errors)
            for directory in {os.path.dirname(path) for path in paths}:
                _remove_left(directory)
            for path in paths:
                _write(encrypted(_opened(path, identities), recipients), path)
        return [os.path.relpath(path, self.path) for path in paths]

    def _recipients(self) -> list[object]:
        return recipients_of(self.manifest.recipients, os.path.join(self.path, MANIFEST))

    def _encrypted(self) -> list[str]:
        """Where the encrypted files are that secret volumes are made of, each once.

        Raises `Problems` if there is no telling, for a volume cannot be packed.
        """
        source = DirectorySource(self.path)
        found: dict[str, str] = {}
        errors: list[BlockpackError] = []
        for spec in self.manifest.volumes.values():
            if not spec.secret:
                continue
            try:
                tree = source.tree(spec, 1)
            except BlockpackError as error:
                errors.append(of_volume(spec.name, error))
                continue
            for path in map(_path, filter(is_encrypted, tree)):
                found.setdefault(os.path.realpath(path), path)  # a volume may follow links
        raise_problems(_NOT_ANEW, errors)
        return sorted(found.values())


def _path(file: File) -> str:
    """Where a file of a directory's tree is."""
    extent = file.extent()
    assert isinstance(extent, FileRange)
    return os.fsdecode(extent.path)


def plain(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file that is to be encrypted. Raises `SourceError`."""
    return _contents(path)


def _contents(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    with reading_errors(name):
        descriptor = os.open(path, _FLAGS)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(name, "is no regular file", "name one")
            data = b"" if status.st_size > MOST_BYTES else file.read(MOST_BYTES + 1)
    if status.st_size > MOST_BYTES or len(data) > MOST_BYTES:
        raise SourceError(
            name, f"has more than the {MOST_BYTES >> 20} MiB that a secret has", "make it smaller"
        )
    return data


def _opened(path: str | os.PathLike[str], identities: Identities) -> bytes:
    """What is in an encrypted file. Raises `SourceError` and `SecretError`."""
    found = identities.open(_contents(path))
    if not isinstance(found, Closed):
        return found
    remedy = "encrypt it again"
    if found is Closed.OTHERS:
        remedy = f"no identity in {identities.name} opens it, so give another one"
    raise SecretError(os.fspath(path), found.value, remedy)


def _write(data: bytes, target: str | os.PathLike[str]) -> None:
    """Write an encrypted file: whole, or not at all. Raises `TargetError`."""
    write_bytes(data, target)


def _remove_left(directory: str) -> None:
    """Remove what a run left beside encrypted files that was killed when it replaced one."""
    for name in os.listdir(directory):
        if is_temporary(name):
            with suppress(OSError):
                os.unlink(os.path.join(directory, name))


def remove_plain(path: str | os.PathLike[str]) -> None:
    """Wipe and remove a file that has been encrypted. Raises `TargetError`."""
    try:
        wipe(path)
    except OSError as error:
        name = printable(os.fspath(path))
        raise TargetError.of(name, "cannot be removed", error) from None
