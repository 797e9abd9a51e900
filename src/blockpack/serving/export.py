"""What is served by a name: the bytes of a layout or of an image, and which of them are zeros."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Self

from attrs import frozen

from ..errors import SourceError, UsageError, require_path
from ..images.address import split_address
from ..images.open_image import partition_of
from ..model.extent import Data, Extent, Zeros
from ..planning.layout import Layout
from ..planning.layout_reader import LEAST_KEPT, LayoutReader
from ..reading.positional import DescriptorReader, PositionalReader, open_for_reading
from .allocation import Allocation
from .seekable import seekable

MOST_KEPT = 1 << 20
"""Bytes of metadata that each connection keeps for itself, beside what all share."""

MOST_SHARED = 24 << 20
"""Bytes of metadata that are made before serving, and that all connections share."""

_LARGE = 64 << 10
"""Bytes of an item that may be metadata which takes its time, such as a big directory."""

Servable = Layout | str | os.PathLike[str]
"""What can be served: a layout, or the path of an image, or a partition of it (``card.img#2``)."""


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
        if not name.isprintable() or len(name.encode("utf-8")) > 255:
            rule = "the name of an export has at most 255 bytes, all of them printable"
            raise UsageError(name, rule, option="name=NAME")
        if isinstance(source, Layout):
            return cls._of_layout(name, seekable(source))
        path = require_path(source)
        place, partition = split_address(path)
        image: PositionalReader
        image = file = _Image(open_for_reading(place, path), path)
        try:
            if partition is not None:
                image = partition_of(file, path, partition).data
            _, begin = image.in_file() or (file, 0)
            allocation = Allocation.of_file(file.descriptor, image.size, begin)
        except BaseException:
            file.close()
            raise
        return cls(name, image, allocation, 512, "an image")

    @classmethod
    def _of_layout(cls, name: str, layout: Layout) -> Self:
        """All that takes its time is done in one walk: large metadata, and where zeros are."""
        reader = LayoutReader(layout.runs, forkable=layout.forkable, most_kept=MOST_KEPT)
        shared: list[Data] = []

        def zeros() -> Iterator[tuple[int, int]]:
            room = MOST_SHARED
            for extent in _telling(layout):
                if type(extent) is Zeros:
                    yield extent.offset, extent.offset + extent.length
                elif type(extent) is Data and LEAST_KEPT <= extent.length <= room:
                    shared.append(extent)
                    room -= extent.length

        allocation = Allocation(layout.size, zeros())
        reader.keep(shared)
        return cls(name, reader, allocation, layout.sector_size, layout.title)

    @property
    def size(self) -> int:
        """The size of the device in bytes."""
        return self.reader.size


class _Image(DescriptorReader):
    """An image that must stay as it was when it was opened: its map of zeros was made then."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor)
        self._name = name
        self._stamp = self._current_stamp()

    def read_into(self, view: memoryview, position: int) -> None:
        """As of any reader. Raises `SourceError` if the image has changed."""
        super().read_into(view, position)
        if self._current_stamp() != self._stamp:
            raise SourceError(self._name, "has changed since it is served", "serve it again")

    def _current_stamp(self) -> tuple[int, int]:
        status = self.check()
        return status.st_size, status.st_mtime_ns


def _telling(layout: Layout) -> Iterator[Extent]:
    """The extents among which are all worthwhile zeros, and all metadata that takes long to make.

    There may be a million others.
    """
    for run in layout.runs:
        if not run.dense:
            yield from run.make(0, len(run))
            continue
        for item in run.large(_LARGE):
            yield from run.make(item, item + 1)
