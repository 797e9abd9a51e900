"""What MirageOS' key-value stores over a block device have in common.

Facts are those of mirage-kv 6 and mirage-block: keys are lists of segments, empty ones left
out, with ``.`` and ``..`` taken literally; a device is read in whole sectors and not past its
end.
"""

from __future__ import annotations

from typing import Literal

from .image import Image, Source

Kind = Literal["value", "dictionary"]


class Crash(Exception):
    """The unikernel ends here: an exception, a failed assertion, a failed `connect`."""


class KvError(Exception):
    """An operation returned an error; the unikernel goes on."""


class NotFound(KvError):
    """There is nothing under this key."""


class DictionaryExpected(KvError):
    """A part of the key, or the key to list, is a value."""


class ValueExpected(KvError):
    """The key to get is a dictionary."""


class BlockError(KvError):
    """The device refused to read."""


class Device:
    """A block device of `sector_size` bytes a sector over an image."""

    def __init__(self, source: Source, sector_size: int) -> None:
        self.sector_size = sector_size
        self._image = Image(source)
        if not self._image.size or self._image.size % sector_size:
            # Solo5 and Unix refuse to start, Xen hides the tail: all of them are a failure.
            raise Crash(f"an image of {self._image.size} bytes has no whole sectors")

    def read(self, sector: int, length: int) -> bytes:
        """`length` bytes, whole sectors, from `sector` on.

        :raises BlockError: They are no whole sectors, or go past the end of the device.
        """
        start = sector * self.sector_size
        if length % self.sector_size:
            raise BlockError(f"{length} bytes are not whole sectors of {self.sector_size}")
        if start < 0 or start + length > self._image.size:
            raise BlockError(f"sector {sector}, {length} bytes: past the end of the device")
        return self._image.read(start, length)


def segments(key: str | bytes) -> list[bytes]:
    """The segments of `key`, as `Mirage_kv.Key.v` finds them."""
    raw = key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")
    return [segment for segment in raw.split(b"/") if segment]
