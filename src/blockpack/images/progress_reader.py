"""An image that is read through, and how far it was read."""

from __future__ import annotations

from collections.abc import Callable

from ..reading.positional import PositionalReader


class ProgressReader(PositionalReader):
    """The bytes of `data`; `advance` is told of those that were read for the first time.

    What lies before the furthest byte that was read counts as read: readers go through an image
    from its begin to its end, and pass over what they need not see.
    """

    def __init__(self, data: PositionalReader, advance: Callable[[int], object]) -> None:
        super().__init__(data.size)
        self.read_ahead = data.read_ahead
        self._data = data
        self._advance = advance
        self._furthest = 0

    def pread(self, view: memoryview, position: int) -> int:
        """Fill `view`, or a first part of it, from `position` on; the number of bytes."""
        count = self._data.pread(view, position)
        further = position + count - self._furthest
        if further > 0:
            self._furthest += further
            self._advance(further)
        return count
