"""What is served by a name: the bytes of a layout or of an image, and which of them are zeros."""

from __future__ import annotations

import os
from typing import Self

from attrs import frozen

from ..errors import UsageError, require_path
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.positional import DescriptorReader, PositionalReader, open_for_reading
from .allocation import Allocation
from .seekable import seekable

MOST_KEPT = 1 << 20
"""Bytes of metadata that each connection keeps for itself, beside what all share."""

MOST_SHARED = 24 << 20
"""Bytes of metadata that are made before serving, and that all connections share."""

Servable = Layout | str | os.PathLike[str]
"""What can be served: a layout, or the path of an image."""


@frozen
class Export:
    """A block device to be served: `name` is what clients ask for, empty for the default.

    `sector_size` (bytes) is what clients had best read in multiples of.
    """

    name: str
    reader: PositionalReader
    allocation: Allocation
    sector_size: int
    description: str

    @classmethod
    def of(cls, name: str, source: Servable) -> Self:
        """The export of a layout, or of the image at a path.

        Raises `SourceError` if it cannot be read, `UsageError` if it is nothing to serve.
        """
        if len(name.encode("utf-8", "surrogateescape")) > 255 or not name.isprintable():
            rule = "the name of an export has at most 255 bytes, all of them printable"
            raise UsageError(name, rule, option="name=NAME")
        if isinstance(source, Layout):
            source = seekable(source)
            reader = LayoutReader(source.runs, forkable=source.forkable, most_kept=MOST_KEPT)
            reader.keep_large(MOST_SHARED)
            allocation = Allocation.of_layout(source)
            return cls(name, reader, allocation, source.sector_size, source.title)
        path = require_path(source)
        file = DescriptorReader(open_for_reading(source, path))
        allocation = Allocation.of_file(file.descriptor, file.size)
        return cls(name, file, allocation, 512, "an image")

    @property
    def size(self) -> int:
        """The size of the device in bytes."""
        return self.reader.size
