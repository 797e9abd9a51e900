"""Every exception that blockpack raises on purpose; each knows its exit code.

The tree of exceptions follows the flow. What a caller can do about an error depends on
where it arose: in what was asked (`UsageError`, `ManifestError`), in the entries to pack
(`EntryError`), in their sources (`SourceError`), in the target (`TargetError`), in an image
that is being read (`ImageError`) or in what the host does with it (`ActivationError`).

Problems that can be known together are raised together: `Problems` is an `ExceptionGroup`,
so both ``except blockpack.BlockpackError`` and ``except* blockpack.EntryError`` catch it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import UnsupportedOperation
from operator import attrgetter
from typing import Any, Self

_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EROFS: "choose another place",
    errno.EFBIG: "choose another file system",
    errno.EACCES: "check its permissions, or run as another user",
    errno.EPERM: "check its permissions, or run as another user",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EIO: "check the disk",
    errno.EPIPE: "let the reader read to the end",
    errno.EMFILE: "raise the limit of open files ('ulimit -n')",
    errno.EBADF: "leave it open for this",
    errno.ELOOP: "mend the links, or choose another place",
}

_NUMBERS = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
}

Spelling = Callable[[str, str], str]
"""How an option is written, of its name in the library and its value (empty for a flag)."""


def as_keyword(name: str, value: str) -> str:
    """An option as an argument of the library."""
    if not value:
        return f"{name}=True"
    is_bare = value.isdigit() or value.isupper()  # a number, or a word that stands for a value
    return f"{name}={value}" if is_bare else f"{name}={value!r}"


class BlockpackError(Exception):
    """Base of all errors that blockpack raises on purpose.

    `path` is what it is about (an entry, a source, a target; empty for none), `rule` what that
    breaks, `remedy` what to do. Where an option cures it, `option` has its name as the library
    spells it, with a value after ``=`` (``profile=linux``; a value in capitals, as in
    ``key_file=FILE``, stands for any). The remedy has the option in the place of ``{option}``, or
    at its end.
    """

    exit_code: int = 1
    """What the command exits with when this error ends it."""

    def __init__(self, path: str, rule: str, remedy: str = "", option: str = "") -> None:
        super().__init__(path, rule, remedy, option)
        self.path = path
        self.rule = rule
        self.option = option
        self._advice = remedy

    @classmethod
    def of(cls, path: str, what: str, error: OSError, remedy: str = "") -> Self:
        """That `what` failed (``cannot be read``), with the operating system's reason."""
        remedy = remedy or _REMEDIES.get(error.errno or 0, "")
        return cls(path, f"{what}: {reason(error)}", remedy)

    @property
    def errors(self) -> tuple[BlockpackError, ...]:
        """It alone; of `Problems` all of them, those in groups within the group included."""
        return (self,)

    @property
    def remedy(self) -> str:
        """What to do, with the option as a keyword."""
        return self._remedy(as_keyword)

    def _remedy(self, spell: Spelling) -> str:
        if not self.option:
            return self._advice
        name, _, value = self.option.partition("=")
        spelled = spell(name, value)
        if "{option}" in self._advice:
            return self._advice.replace("{option}", spelled)
        return f"{self._advice}, or give {spelled}" if self._advice else f"give {spelled}"

    def settle(self, spell: Spelling) -> None:
        """Have the option written as `spell` does, whoever tells the error."""
        self._advice, self.option = self._remedy(spell), ""

    def told(self, spell: Spelling) -> str:
        """The whole text on one printable line, with the option as `spell` writes it.

        Names of files are all over an error's parts, so it is here that they are made printable.
        """
        where = f"{self.path}: " if self.path else ""
        remedy = self._remedy(spell)
        return printable(f"{where}{self.rule}" + (f"; {remedy}" if remedy else ""))

    def __str__(self) -> str:
        return self.told(as_keyword)


class UsageError(BlockpackError, ValueError):
    """An option or an argument is wrong."""

    exit_code = 2


class ManifestError(BlockpackError):
    """A manifest of a deployment is wrong.

    `file` and `line` say where, `key` is what stands there (``volumes.site.format``; empty for the
    file as a whole), `rule` what it breaks, `remedy` what to do.
    """

    exit_code = 2

    def __init__(self, file: str, line: int, key: str, rule: str, remedy: str = "") -> None:
        super().__init__(file, rule, remedy)
        self.args = file, line, key, rule, remedy
        self.file = file
        self.line = line
        self.key = key

    def told(self, spell: Spelling) -> str:
        """The whole text; `spell` has nothing to write."""
        what = f"{self.key}: " if self.key else ""
        told = f"; {self.remedy}" if self.remedy else ""
        return printable(f"{self.file}:{self.line}: {what}{self.rule}{told}")


class EntryError(BlockpackError):
    """One entry (or the tree as a whole) cannot be held by the format or the profile, or the image
    is larger than is allowed.

    `path` is the entry's path in the tree.
    """

    exit_code = 3


class NotInTreeError(EntryError, KeyError):
    """A tree has no entry of that path."""


class SourceError(BlockpackError):
    """A source is missing, unreadable, or changed since it was planned."""

    exit_code = 4


class TargetError(BlockpackError):
    """The target is full, too small, busy, or cannot be written."""

    exit_code = 5


class ImageError(BlockpackError):
    """What should be an image is not one, or is damaged."""

    exit_code = 6


class Deviation(ImageError):
    """An image is not quite as its format wants it, and all of it can be read nevertheless."""


class _NotThatError(ImageError, OSError):
    """What is at a path of an image is not what was asked for, as an operating system tells it."""

    # Whoever sends errors to other processes (tblib) sets what an operating system's have.
    filename = property(attrgetter("path"), lambda *_: None, doc="The path.")
    strerror = property(attrgetter("rule"), lambda *_: None, doc="The rule.")


class NotInImageError(_NotThatError, FileNotFoundError, KeyError):
    """An image has no entry of that path."""

    errno = errno.ENOENT


class NotAFileError(_NotThatError, IsADirectoryError):
    """What is at that path of an image is not a file."""

    errno = errno.EISDIR


class NotADirectoryInImageError(_NotThatError, NotADirectoryError):
    """What is at that path of an image is not a directory."""

    errno = errno.ENOTDIR


class NotALinkError(_NotThatError):
    """What is at that path of an image is not a symbolic link."""

    errno = errno.EINVAL


class ActivationError(BlockpackError):
    """The host's own command failed for a new generation of images; the switch to it is undone."""

    exit_code = 7


class SecretError(BlockpackError):
    """A secret cannot be opened, or would lie where it must not.

    Its text never has a secret's name, size or digest.
    """

    exit_code = 8


class Problems(BlockpackError, ExceptionGroup[BlockpackError]):
    """Several errors that were found together, before anything was written.

    Its own `path` and `remedy` are empty: its members have theirs.
    """

    def __init__(self, message: str, errors: Sequence[BlockpackError]) -> None:
        super().__init__("", message)
        self.args = message, errors

    @property
    def errors(self) -> tuple[BlockpackError, ...]:
        """All of them, those in groups within the group included."""
        members = (error for error in self.exceptions if isinstance(error, BlockpackError))
        return tuple(error for member in members for error in member.errors)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The first member's exit code."""
        first = self.exceptions[0]
        return first.exit_code if isinstance(first, BlockpackError) else BlockpackError.exit_code

    def derive(self, excs: Sequence[BlockpackError]) -> Self:  # type: ignore[override]
        """Keep the type when ``except*`` splits the group."""
        return type(self)(self.message, excs)

    def __str__(self) -> str:
        return "\n".join([printable(self.message), *(f"  {error}" for error in self.exceptions)])


class WrongUsage(Problems, UsageError):
    """Several arguments or options that are wrong, found together."""

    exit_code = UsageError.exit_code


def raise_usage(errors: Iterable[UsageError]) -> None:
    """Raise what is wrong with arguments or options, if anything is: one error as itself."""
    found = list(errors)
    if len(found) == 1:
        raise found[0]
    if found:
        raise WrongUsage(f"{len(found):,} problems: wrong arguments or options", found)


def problems(message: str, errors: Sequence[BlockpackError]) -> Problems:
    """The group of one or more `errors`; `message` gets their number."""
    noun = "problem" if len(errors) == 1 else "problems"
    return Problems(f"{len(errors):,} {noun}: {message}", errors)


def raise_problems(message: str, errors: Iterable[BlockpackError]) -> None:
    """Raise `Problems` if there are any `errors`."""
    found = list(errors)
    if found:
        raise problems(message, found)


def require_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """`path` as a text. Raises `UsageError` for what no operating system takes for a path."""
    name = os.fsdecode(path)
    if not name:
        raise UsageError("", "the path is empty", "give one")
    try:
        is_path = b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # a lone surrogate
        is_path = False
    if not is_path:
        rule = "is not a path: it holds a NUL or half a character"
        raise UsageError(name, rule, "leave that out")
    return name


def require_open(file: object, name: str) -> None:
    """Raise `UsageError` for a file object that its owner has closed."""
    if getattr(file, "closed", False):
        raise UsageError(name, "is a closed file object", "leave it open until the work is done")


def bytes_of(file: Any, most: int, path: str) -> bytes:
    """What `file` reads, `most` bytes of it. Raises `UsageError` for what is no binary file."""
    data: object = file.read(most)
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UsageError(path, f"read() gives {type(data).__name__}", "open it in the mode 'rb'")
    found = bytes(data)  # a view may have a length of its own
    if len(found) > most:
        rule = f"read() gives {len(found):,} bytes, and {most:,} were asked for"
        raise UsageError(path, rule, "give a binary file")
    return found


def size_of(file: Any) -> int:
    """The length in bytes of a file object that seeks; some, as `mmap`, do not say where to."""
    end = file.seek(0, os.SEEK_END)
    size: int = file.tell() if end is None else end
    return size


def reason(error: OSError) -> str:
    """What the operating system says is wrong, as the end of a sentence."""
    if isinstance(error, UnsupportedOperation):
        return f"its file object cannot do that ({error})"
    text = error.strerror or str(error)
    is_name = " " not in text or "/" in text  # and no sentence, as libraries have either
    if error.strerror is None and type(error) in _NUMBERS and is_name:
        text = os.strerror(_NUMBERS[type(error)])
    return text.lower()


@contextmanager
def reading_errors(path: str, *, remedy: str = "") -> Iterator[None]:
    """Turn an operating system's error while reading `path` into a `SourceError`."""
    try:
        yield
    except OSError as error:
        raise SourceError.of(path, "cannot be read", error, remedy) from None


@contextmanager
def image_errors(image: str) -> Iterator[None]:
    """Have what is wrong with an image as a whole tell which image that is, if that is known."""
    try:
        yield
    except ImageError as error:
        if error.path or not image:
            raise
        raise type(error)(image, *error.args[1:]) from None


def printable(text: str) -> str:
    """`text` with everything escaped that a terminal or a log could trip over.

    Bytes that are not UTF-8 (surrogate escapes) and control characters become ``\\xNN``.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that surrogateescape carried through
        point -= 0xDC00
    return f"\\x{point:02x}" if point <= 0xFF else f"\\u{point:04x}"
