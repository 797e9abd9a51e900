"""The encrypted files of a deployment: made, edited, and encrypted again for other recipients.

Rule 1: an encrypted file is replaced whole or not at all, and what is there is never lost.
Rule 2: what is decrypted is in memory, or, for an editor, on a RAM file system, its owner's alone,
and wiped at the end.
Rule 3: it is the deployment at hand whose recipients they are encrypted for.
These are for those who keep the secrets, and name the files that they are about.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from attrs import frozen

from ...errors import (
    BlockpackError,
    Problems,
    SecretError,
    SourceError,
    TargetError,
    raise_problems,
    reading_errors,
)
from ...layers.memory import guarded
from ...model.extent import FileRange
from ...reading.ownership import own_uid
from ...writing import replacement
from ...writing.place import Place
from ...writing.targets import target_errors
from ..file_names import MANIFEST
from ..image_errors import noted
from ..manifest.parser import Manifest
from ..source.open_directory import OpenDirectory
from .age import SUFFIX, Closed, Identities, encrypted, recipients_of
from .editing import edited, keep_in_ram
from .held_file import HeldFile
from .opening import encrypted_files

_NOT_ANEW = "nothing was encrypted again"


@frozen
class Keeper:
    """A deployment in the directory `path`, whose manifest tells who can open its secrets."""

    path: str
    manifest: Manifest

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Keeper:
        """The deployment at `path`. Raises `SourceError` and `Problems`."""
        return cls(os.fspath(path), OpenDirectory(os.fspath(path)).manifest)

    @classmethod
    def at_hand(cls, directory: str | os.PathLike[str]) -> Keeper:
        """The deployment that `directory` is, or is in: no further up than the repository's top,
        and not in another owner's directory or file system: what is there may be anybody's.

        Raises `SourceError` and `Problems`.
        """
        at = start = os.path.realpath(directory)
        while not os.path.lexists(os.path.join(at, MANIFEST)):
            with reading_errors(start):
                barrier = _barrier(at)
            if barrier:
                rule = f"there is no {MANIFEST} in it or above, up to {at}, {barrier}"
                raise SourceError(start, rule, option="deployment=DIR")
            at = os.path.dirname(at)
        shown = os.path.relpath(at)
        return cls.at(at if shown.startswith(os.pardir) else shown)

    @property
    def manifest_path(self) -> str:
        """Where the manifest is."""
        return os.path.normpath(os.path.join(self.path, MANIFEST))

    def encrypt(
        self, data: bytes, target: str | os.PathLike[str], *, replace: bool = False
    ) -> None:
        """Encrypt `data` into the file `target`, and see it to the disk. Raises `TargetError` if
        there is something already, and with `replace` for a link.
        """
        path = os.fspath(target)
        closed = encrypted(data, self._recipients())
        directory, name = os.path.split(path)
        with target_errors(path), Place.open(directory or os.curdir) as place:
            with suppress(FileNotFoundError):
                is_link = stat.S_ISLNK(place.lstat(name).st_mode)
                rule = "is a link, which is not followed" if is_link else "is there already"
                if is_link or not replace:
                    option = "" if is_link else "replace"
                    raise TargetError(path, rule, "choose another name", option)
            replacement.replace(place, name, closed, flush=True)

    def edit(self, path: str | os.PathLike[str], identity: str, editor: str) -> bool:
        """Have `editor` (a command) edit an encrypted file; False if nothing was changed. Raises
        `SecretError` if there is no RAM file system, `UsageError` if the editor fails,
        `TargetError` if somebody else changed the file meanwhile, and as the other methods do.
        """
        recipients = self._recipients()
        with guarded(), HeldFile.reading(path) as file:
            data = _opened(file, Identities.read(identity))
            name = os.path.basename(path).removesuffix(SUFFIX)
            with edited(data, name, editor) as plain, HeldFile.reading(plain) as saved:
                now = saved.data
            if now == data:
                return False
            closed = encrypted(now, recipients)
            try:
                file.replace(closed)
            except TargetError as error:
                kept = keep_in_ram(closed, f"{name}{SUFFIX}")
                raise TargetError(file.path, error.rule, f"what was edited is in {kept}") from None
        return True

    def rekey(self, identity: str, paths: list[str]) -> None:
        """Encrypt the files at `paths` anew, for the recipients of now.

        All are opened before one is written; each is replaced whole, and what a killed run left
        beside them is removed. Raises `Problems` with all that do not open, and `TargetError` for
        one that somebody else changed meanwhile; those before it are encrypted anew then.
        """
        recipients = self._recipients()
        identities = Identities.read(identity)
        errors: list[BlockpackError] = []
        with guarded():
            for path in paths:
                with noted(errors), HeldFile.reading(path) as file:
                    _opened(file, identities)
            raise_problems(_NOT_ANEW, errors)
            for number, path in enumerate(paths):
                try:
                    with HeldFile.reading(path) as file:
                        file.place.tidy()
                        file.replace(encrypted(_opened(file, identities), recipients))
                except BlockpackError as error:
                    told = f"{number:,} of {len(paths):,} files were encrypted again before"
                    raise Problems(told, [error]) from None

    def encrypted_files(self) -> list[str]:
        """Where the encrypted files are that a build would open for secret volumes, each once.
        Raises `Problems` if there is no telling, for a volume cannot be packed.
        """
        deployment = OpenDirectory(self.path)
        found: dict[str, str] = {}
        errors: list[BlockpackError] = []
        for spec in self.manifest.volumes.values():
            if spec.secret:
                with noted(errors, spec.title):
                    for file in encrypted_files(deployment.tree(spec)).values():
                        extent = file.extent()
                        assert isinstance(extent, FileRange)
                        path = os.fsdecode(extent.path)
                        found.setdefault(os.path.realpath(path), path)  # a volume may follow links
        raise_problems(_NOT_ANEW, errors)
        return sorted(found.values())

    def _recipients(self) -> list[object]:
        return recipients_of(self.manifest.recipients, self.manifest_path)


def _barrier(directory: str) -> str:
    """Why nobody looks for a manifest above `directory`; empty if one does."""
    if os.path.lexists(os.path.join(directory, ".git")):
        return "the top of a repository"
    os.stat(directory)
    above = os.stat(os.path.dirname(directory))
    if os.path.ismount(directory):
        return "the top of a file system"
    if above.st_uid != own_uid():
        return "which is in a directory of another user"
    return ""


def _opened(file: HeldFile, identities: Identities) -> bytes:
    found = identities.open(file.data)
    if not isinstance(found, Closed):
        return found
    remedy = "encrypt it again"
    if found is Closed.OTHERS:
        remedy = f"no identity in {identities.name} opens it, so give another one"
    raise SecretError(file.path, found.value, remedy)
