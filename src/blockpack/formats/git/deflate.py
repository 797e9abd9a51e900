"""Whether an object is deflated or stored, and how.

Rule 1: what does not get smaller is stored. That is told by samples, since deflating what is
compressed already (pictures, videos) costs more than all else together.
Rule 2: the result follows from the content, the level and the version of zlib alone, never from
where the content comes from, how it was cut into pieces, or who did it.
Rule 3: level 0 stores everything, so that not even the version of zlib has a say.
"""

from __future__ import annotations

import zlib
from typing import Literal

from attrs import define

from ...reading.inflate import adler32
from .pack_format import STORED, ZLIB_STORED, adler_trailer, stored_block, stored_size

Compression = Literal["auto"] | int
"""The level of deflating, 0 (store everything) to 9; ``auto`` is `AUTO_LEVEL`."""

AUTO_LEVEL = 4
"""Above, time grows much more than what is deflated gets smaller."""

PIECE = 16 * STORED
"""Content up to this size (bytes) is packed in one go, larger content in pieces of it."""

_SMALL, _PARTS = 64 << 10, 4
"""Content up to a size (bytes) is looked at as one, larger content in parts."""

_SLICE, _SLICES = 64, 4
"""A sample is that many slices of so many bytes, evenly spread."""

_DIFFERENT = 142
"""Of 256 random bytes 162 are different, and hardly ever fewer than that."""

_AGAIN, _WITHIN = 8, 4096
"""So many bytes that are there again within so many tell of larger patterns."""


def is_worth_it(view: memoryview, level: int) -> bool:
    """Whether content that begins with `view`, a `PIECE` at most, may get smaller."""
    size = len(view)
    if not level or size <= _SLICE * _SLICES:
        return bool(level)
    if size <= _SMALL:
        return _has_pattern(view)
    part = size // _PARTS
    return any(_has_pattern(view[n * part : (n + 1) * part]) for n in range(_PARTS))


def _has_pattern(view: memoryview) -> bool:
    """Whether a few samples of `view` do not look random, a hundredth of the work of deflating."""
    stride = len(view) // _SLICES
    starts = range((stride - _SLICE) // 2, _SLICES * stride, stride)
    if len(set(b"".join([view[start : start + _SLICE] for start in starts]))) < _DIFFERENT:
        return True
    middle = len(view) // 2
    following = bytes(view[middle : middle + _WITHIN])
    return following.find(following[:_AGAIN], _AGAIN) >= 0


@define
class Storing:
    """Stores `size` bytes in all, as an object of `zlib.compressobj` deflates them."""

    size: int
    adler: int = 1
    """The Adler-32 of what was compressed."""
    _done: int = 0

    def compress(self, view: memoryview) -> bytes:
        """The piece as stored blocks."""
        self.adler = adler32(view, self.adler)
        return self.frame(view)

    def frame(self, view: memoryview) -> bytes:
        """`compress` for those who make the Adler-32 themselves."""
        parts: list[bytes | memoryview] = [] if self._done else [ZLIB_STORED]
        for start in range(0, max(len(view), 1), STORED):
            part = view[start : start + STORED]
            self._done += len(part)
            parts += (stored_block(len(part), last=self._done == self.size), part)
        return b"".join(parts)

    def flush(self) -> bytes:
        """The Adler-32, which ends the stream."""
        return adler_trailer(self.adler)


def packed(view: memoryview, level: int) -> bytes:
    """The zlib stream of `view`, a `PIECE` at most, deflated if that is shorter, else stored."""
    if is_worth_it(view, level):
        deflated = zlib.compress(view, level)
        if len(deflated) < stored_size(len(view)):
            return deflated
    storing = Storing(len(view))
    return storing.compress(view) + storing.flush()
