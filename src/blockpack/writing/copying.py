"""Copying what can be read anywhere, a file of an image for one, to a target."""

from __future__ import annotations

from ..reading.positional import DescriptorReader, PositionalReader
from .targets import Copying, Span, Target


def copy_content(content: PositionalReader, target: Target, copying: Copying) -> None:
    """Copy all of `content`: by the kernel where it lies in a file, or read and written.

    Raises `TargetError`, and what reading raises.
    """
    offset = 0
    for reader, start, length in content.parts():
        if reader is None:
            target.zeros(offset, length)
            copying.advance(length)
        elif isinstance(reader, DescriptorReader):
            target.copy(reader, Span(start, length, offset), copying)
        else:
            target.read_and_write(reader, Span(start, length, offset), 0, length, copying)
        offset += length
