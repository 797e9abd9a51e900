"""Files encrypted with age (https://age-encryption.org/v1), by the library pyrage.

Identities open them, recipients are who they are made for. Nothing here raises an error that has
anything of a secret or an identity in it, not even as its context.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import Enum
from typing import Any

from attrs import field, frozen

from ...errors import BlockpackError, SecretError, UsageError, printable, raise_problems
from ...layers.keys import read_private

SUFFIX = ".age"
"""What the names of encrypted files end in."""

_MOST_IDENTITY = 1 << 20
"""Bytes of a file of identities, at most."""

_BEGINNINGS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
_NO_MATCH = "No matching keys found"


def has_suffix(path: str) -> bool:
    """Whether a file is encrypted by its name; what is called nothing else is not."""
    return path.endswith(SUFFIX) and not f"/{path}".endswith(f"/{SUFFIX}")


def is_closed(data: bytes) -> bool:
    """Whether a file is encrypted by what it begins with."""
    return data.startswith(_BEGINNINGS)


class Closed(Enum):
    """Why a file does not open."""

    OTHERS = "is encrypted for others"
    DAMAGED = "is damaged, or not encrypted with age"


def library() -> Any:
    """The library pyrage. Raises `UsageError` without it."""
    try:
        import pyrage
    except ImportError as error:
        raise UsageError("", f"secrets need blockpack[secrets] installed ({error})") from None
    return pyrage


@frozen
class Identities:
    """What opens files: the identities in the file that `name` is the name of."""

    name: str
    _keys: tuple[Any, ...] = field(repr=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Identities:
        """The identities in the file at `path`: of age, one a line but for those that are empty or
        begin with ``#``, or one of SSH.

        Raises `SourceError` if it cannot be read, and `UsageError` if others than its owner may
        read or write it, and for what is not an identity.
        """
        pyrage, name = library(), printable(os.fspath(path))
        data = read_private(path, _MOST_IDENTITY)
        if data.lstrip().startswith(b"-----BEGIN"):
            return cls(name, (_ssh_identity(name, data),))
        if is_closed(data):
            rule = "is itself encrypted, and blockpack never asks for a passphrase"
            raise UsageError(name, rule, "give an unencrypted one")
        keys = []
        errors: list[BlockpackError] = []
        for number, line in enumerate(data.splitlines(), 1):
            text = line.strip().decode("ascii", "replace")
            if not text or text.startswith("#"):
                continue
            try:
                keys.append(pyrage.x25519.Identity.from_str(text))
            except pyrage.IdentityError:
                rule = "cannot be used as an identity"
                errors.append(UsageError(f"{name}:{number}", rule, "leave it out"))
        known = "those of age begin with AGE-SECRET-KEY-1; those of plugins cannot be used"
        raise_problems(f"{name} is not a file of identities ({known})", errors)
        if not keys:
            raise UsageError(name, "holds no identity", "make one with 'age-keygen'")
        return cls(name, tuple(keys))

    def open(self, data: bytes) -> bytes | Closed:
        """What is encrypted in `data`, or why it cannot be told."""
        if not is_closed(data):
            return Closed.DAMAGED
        pyrage = library()
        try:
            return bytes(pyrage.decrypt(data, list(self._keys)))
        except pyrage.DecryptError as error:
            return Closed.OTHERS if str(error) == _NO_MATCH else Closed.DAMAGED
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of Rust's, for a file that it trips over
                raise
            return Closed.DAMAGED


def _ssh_identity(name: str, data: bytes) -> Any:
    pyrage = library()
    rule, remedy = "cannot be used as an identity", "give an Ed25519 or RSA key of SSH"
    try:
        return pyrage.ssh.Identity.from_buffer(data)
    except pyrage.IdentityError as error:
        if "must be decrypted" in str(error):
            rule = "has a passphrase, and blockpack never asks for one"
            remedy = "give an identity without one"
    raise UsageError(name, rule, remedy)


def recipients_of(recipients: Iterable[str], where: str) -> list[Any]:
    """The recipients, as the library has them; `where` they are told is for messages. Raises
    `Problems` for invalid ones, and `SecretError` if there are none.
    """
    pyrage = library()
    found = []
    errors: list[BlockpackError] = []
    for text in recipients:
        kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
        try:
            found.append(kind.from_str(text))
        except pyrage.RecipientError:
            shown = printable(text if len(text) < 80 else f"{text[:77]}…")
            rule = f"{shown} cannot be used as a recipient"
            errors.append(UsageError(where, rule, "give age1… or an SSH key"))
    raise_problems("nothing was encrypted", errors)
    if not found:
        rule = "names no recipients, so nobody could open the secrets"
        remedy = "add recipients = [\"age1…\"] to [deployment]; 'age-keygen' prints yours"
        raise SecretError(where, rule, remedy)
    return found


def encrypted(data: bytes, recipients: list[Any]) -> bytes:
    """A file of age that has `data` in it for `recipients`, of `recipients_of`."""
    return bytes(library().encrypt(data, recipients))
