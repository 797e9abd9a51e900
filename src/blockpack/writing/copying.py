"""Copying what can be read anywhere, a file of an image for one, to a target."""

from __future__ import annotations

from collections.abc import Callable
from mmap import mmap

from ..reading.positional import DescriptorReader, PositionalReader
from .targets import COPIED_AT_ONCE, Copying, Span, Target


def copying(advance: Callable[[int], None] = lambda _: None) -> Copying:
    """A buffer to copy by; `advance` hears of each step."""
    # On a page of its own: the kernel copies a little faster to there.
    return Copying(memoryview(mmap(-1, COPIED_AT_ONCE)), advance)


def copy_content(content: PositionalReader, target: Target, by: Copying | None = None) -> None:
    """Copy all of `content`: by the kernel where it lies in a file, or read and written.

    Raises `TargetError`, and what reading raises.
    """
    by = by or copying()
    offset = 0
    for reader, start, length in content.parts():
        if reader is None:
            target.zeros(offset, length)
            by.advance(length)
        elif isinstance(reader, DescriptorReader):
            target.copy(reader, Span(start, length, offset), by)
        else:
            target.read_and_write(reader, Span(start, length, offset), 0, length, by)
        offset += length
