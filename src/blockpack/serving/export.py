"""What is served by a name: the bytes of a layout or of an image, and which of them are zeros."""

from __future__ import annotations

import os
from typing import NamedTuple, Self

from ..errors import ImageError, SourceError, UsageError, require_path
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.gaps import holes
from ..reading.lifetime import on_failure
from ..reading.positional import DescriptorReader, PositionalReader, open_for_reading
from .allocation import Allocation
from .seekable import seekable
from .shared import SharedReader

Servable = Layout | str | os.PathLike[str]
"""What can be served: a layout, or the path of an image, or a partition of it (``card.img#2``)."""


class Export(NamedTuple):
    """A block device by its name, empty for the default; best read by multiples of a sector."""

    name: str
    reader: PositionalReader
    allocation: Allocation
    sector_size: int
    description: str

    @classmethod
    def of(cls, name: str, source: Servable, *, forking: bool = False) -> Self:
        """The export of a layout, or of the image at a path; for forked processes if `forking`.
        Raises `SourceError` if it cannot be read, `TargetError` without room, `UsageError` for
        nothing to serve.
        """
        if not name.isprintable() or len(name.encode("utf-8")) > 255:
            rule = "the name of an export has at most 255 bytes, all of them printable"
            raise UsageError(name, rule, option="name=NAME")
        if isinstance(source, Layout):
            layout = seekable(source)
            allocation = Allocation(layout.size, layout.zeros())
            reader = SharedReader(layout) if forking else LayoutReader(layout.runs)
            return cls(name, reader, allocation, layout.sector_size, layout.title)
        from ..images.address import split_address  # layouts have no use for it, and begin sooner
        from ..images.open_image import partition_of
        from ..images.remote import is_url

        path = require_path(source)
        place, partition = split_address(path)
        if is_url(place):
            raise UsageError(path, "is in no file of this machine", "fetch it first")
        file = _Image(open_for_reading(place, path), path)
        image: PositionalReader = file
        with on_failure(file.close):
            if partition is not None:
                image = partition_of(file, path, partition).data
            _, begin = image.in_file() or (file, 0)
            found = holes(file.descriptor, begin + image.size, begin)
            zeros = ((start - begin, stop - begin) for start, stop in found)
            allocation = Allocation(image.size, zeros, file.require_unchanged)
        return cls(name, image, allocation, 512, "an image")

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
        try:
            super().read_into(view, position)
        except ImageError:  # it ends early
            raise self._changed() from None
        self.require_unchanged()

    def require_unchanged(self) -> None:
        """Raise `SourceError` if the image has changed."""
        if self._current_stamp() != self._stamp:
            raise self._changed()

    def _changed(self) -> SourceError:
        return SourceError(self._name, "has changed since it is served", "serve it again")

    def _current_stamp(self) -> tuple[int, int]:
        status = self.check()
        return status.st_size, status.st_mtime_ns
