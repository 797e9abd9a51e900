"""Key files: nobody but their owner may read them, and nothing that they hold is ever shown."""

from __future__ import annotations

import os
import re
import stat

from ..errors import TargetError, UsageError, printable, reading_errors, require_path
from ..reading.lifetime import held, on_failure
from ..reading.ownership import open_trusted
from .ccm import KEY_SIZES, require_key_size
from .memory import no_dumps

_HEX = re.compile(rb"\s*([0-9A-Fa-f]+)\s*")
_LONGEST = 4096
"""Bytes of a key file that are read, at most."""

_ONLY_NEW = (
    os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def read_key(path: str | os.PathLike[str]) -> bytes:
    """The key in the file at `path`: 16, 24 or 32 bytes, or twice as many hex digits.

    White space around hex digits, such as the end of the line, is ignored. What can be read as hex
    digits is.

    Raises `SourceError` if the file cannot be read. Raises `UsageError` if it holds no key, is not
    a regular file, belongs neither to this user nor to root, or is readable or writable for others.
    """
    name = printable(require_path(path))
    data = read_private(path, _LONGEST)
    digits = _HEX.fullmatch(data)
    if digits is not None and len(digits[1]) // 2 in KEY_SIZES and len(digits[1]) % 2 == 0:
        return bytes.fromhex(digits[1].decode("ascii"))
    if len(data) in KEY_SIZES:
        return data
    known = " or ".join(map(str, KEY_SIZES))
    rule = f"holds no key: a key is {known} bytes, or twice as many hex digits"
    raise UsageError(name, rule, "make one with 'openssl rand -hex 32'")


def read_private(path: str | os.PathLike[str], most: int) -> bytes:
    """Up to `most` bytes of a key or identity; no memory is dumped from then on. As `read_key`."""
    name = printable(require_path(path))
    with reading_errors(name), held(open_trusted(path, UsageError, follow=True)) as descriptor:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if os.name == "posix" and mode & 0o077:
            rule = f"others may read or write it (mode {mode:04o})"
            remedy = f"run 'chmod 600 {name}', and consider who may have read it"
            raise UsageError(name, rule, remedy)
        no_dumps()
        return os.read(descriptor, most)


def make_key(path: str | os.PathLike[str], size: int = 32) -> bytes:
    """A fresh key of `size` bytes (16, 24 or 32), and a new file at `path` that holds it.

    The file has hex digits and the end of a line; it is its owner's alone (0600) from the
    first byte on, and flushed to the disk.

    Raises `TargetError` if there is something at `path`, or the file cannot be written, and
    `UsageError` for another size.
    """
    require_key_size(size)
    name = printable(require_path(path))
    no_dumps()
    key = os.urandom(size)
    try:
        descriptor = os.open(path, _ONLY_NEW, 0o600)
    except FileExistsError:
        rule = "is there already, and a key is never overwritten"
        raise TargetError(name, rule, "choose another name") from None
    except OSError as error:
        raise TargetError.of(name, "no key can be made there", error) from None
    with held(descriptor), on_failure(lambda: os.unlink(path)):  # half a key is none
        try:
            write_key(descriptor, key)
        except OSError as error:
            raise TargetError.of(name, "the key cannot be written", error) from None
    return key


def write_key(descriptor: int, key: bytes) -> None:
    """Write a file that `read_key` reads, and flush it. Raises `OSError`."""
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)  # the umask may have left its owner less
    line = key.hex().encode("ascii") + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]
    os.fsync(descriptor)  # a lost key is a lost image
