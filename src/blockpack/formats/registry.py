"""The formats that there are: one row each, and what it takes to find one's volume and reader.

Nothing is imported before it is asked for: build hooks start the command often.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..planning.volume import Volume
    from .image import Image


class Format(NamedTuple):
    """A format by its name, with its classes as ``MODULE:CLASS`` below this package."""

    # A tuple for the reason that `options.Option` is one.
    name: str
    volume: str
    image: str
    suffix: str | None = None
    """How the names of images end that can be of no other format."""

    def volume_class(self) -> type[Volume]:
        """What plans images of this format."""
        found: type[Volume] = _load(self.volume)
        return found

    def image_class(self) -> type[Image]:
        """What reads them."""
        found: type[Image] = _load(self.image)
        return found


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(f".{module}", __package__), attribute)


FORMATS = {
    format.name: format
    for format in (
        Format("tar", "tar.volume:TarVolume", "tar.reader:TarImage", suffix=".tar"),
        Format("fat", "fat.volume:FatVolume", "fat.reader:FatImage"),
        Format("git", "git.volume:GitVolume", "git.reader:GitImage"),
    )
}
"""All formats by name; readers are asked in this order whether an image is theirs."""


def format_named(name: str) -> Format:
    """The format `name`. Raises `UsageError` if there is none."""
    from ..planning.volume import require_choice  # and all that volumes need

    require_choice("format", name, tuple(FORMATS))
    return FORMATS[name]


def format_of_file(name: str) -> Format | None:
    """The format that a file's name says it has, if any."""
    for format in FORMATS.values():
        if format.suffix is not None and name.lower().endswith(format.suffix):
            return format
    return None
