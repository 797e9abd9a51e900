"""The formats that there are: one row each, and what it takes to find one's volume and reader.

Nothing is imported before it is asked for: build hooks start the command often. Other packages add
formats by an entry point of the group ``blockpack.formats`` that leads to a `Format`; they are
looked for where none of these is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from ..planning.volume import Volume
    from .reader import ImageReader

GROUP = "blockpack.formats"
"""The group of entry points that add formats."""


class Format(NamedTuple):
    """A format by its name, with its classes as ``MODULE:CLASS``."""

    # A tuple for the reason that `options.Option` is one.
    name: str
    volume: str
    reader: str
    what: str = ""
    """What its images are, for people: ``a tar archive``."""
    suffix: str | None = None
    """How the names of images end that can be of no other format."""

    def volume_class(self) -> type[Volume]:
        """What plans images of this format."""
        found: type[Volume] = load(self.volume)
        return found

    def reader_class(self) -> type[ImageReader]:
        """What reads them."""
        found: type[ImageReader] = load(self.reader)
        return found


def load(name: str, package: str | None = None) -> Any:
    """What is at ``MODULE:ATTRIBUTE``, where a module may be one of `package`."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module, package), attribute)


def _own(name: str, title: str, what: str, suffix: str | None = None) -> Format:
    home = f"{__package__}.{name}"
    return Format(
        name, f"{home}.volume:{title}Volume", f"{home}.reader:{title}Reader", what, suffix
    )


FORMATS = {
    format.name: format
    for format in (
        _own("tar", "Tar", "a tar archive", suffix=".tar"),
        _own("fat", "Fat", "a FAT file system"),
        _own("git", "Git", "a pack of git objects"),
        _own("erofs", "Erofs", "an EROFS file system"),
    )
}
"""The formats of this package by name; readers are asked in this order whether one is theirs."""


def formats() -> Iterator[Format]:
    """All formats, those of other packages last."""
    yield from FORMATS.values()
    for point in entry_points(GROUP):
        yield point.load()


@cache
def entry_points(group: str) -> EntryPoints:
    """The entry points of a group, looked for once: the metadata of all packages are read."""
    from importlib import metadata  # slow to import, and seldom needed

    return metadata.entry_points(group=group)


def format_named(name: str) -> Format:
    """The format `name`. Raises `UsageError` if there is none."""
    if name in FORMATS:
        return FORMATS[name]
    known = {format.name: format for format in formats()}
    if name not in known:
        raise UsageError(name, "is not a format", f"choose from {', '.join(known)}")
    return known[name]


def format_of(head: bytes, known: Iterable[Format]) -> Format | None:
    """Which of the `known` formats images have that begin with `head`, if any."""
    return next((format for format in known if format.reader_class().recognises(head)), None)


def format_of_file(name: str) -> Format | None:
    """The format that a file's name says it has, if any."""
    for format in FORMATS.values():
        if format.suffix is not None and name.lower().endswith(format.suffix):
            return format
    return None
