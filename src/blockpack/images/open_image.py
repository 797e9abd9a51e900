"""Opening an image: from a path, bytes, a file or a layout to what reads it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import BinaryIO

from ..errors import ImageError, UsageError, reading_errors, require_open, require_path
from ..formats.reader import ImageReader, Report
from ..formats.registry import Format, formats
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..reading.positional import (
    BytesReader,
    DescriptorReader,
    PositionalReader,
    open_for_reading,
    reader_of,
)
from .image import Image
from .remote import is_url, open_url

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Layout
"""Where an image is: a path (a device's too), a URL that fsspec opens, its bytes, a binary file
that seeks, or a layout, which is read as if it had been written."""


def open_image(
    source: ImageSource,
    *,
    key: bytes | None = None,
    key_file: str | os.PathLike[str] | None = None,
    sector_size: int | None = None,
    report: Report | None = None,
) -> Image:
    """The image at `source`.

    An encrypted image takes its `key`, or the file that holds it. `sector_size` (bytes) is the
    encryption's; by default it is found out. `report` is called with what cannot be read; without
    it a walk through all entries raises that at its end.

    Raises `SourceError` if the image or the key cannot be read, `UsageError` if the key is not
    valid, or others may read its file, and `ImageError` if `source` is not an image, is damaged, or
    has another key.
    """
    if key_file is not None:
        from ..layers.keys import read_key

        if key is not None:
            raise UsageError(
                "", "both a key and a file that holds one are given", "give one, not both"
            )
        key = read_key(key_file)
    data, name = _data(source)
    try:
        return _opened(data, name, key, sector_size, report)
    except BaseException:
        data.close()
        raise


def _data(source: ImageSource) -> tuple[PositionalReader, str]:
    """What reads the bytes of `source`, and its name for messages."""
    if isinstance(source, Layout):
        return LayoutReader(source.runs, forkable=source.forkable), "the layout"
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesReader(source), "the image"
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "seek"):
            rule = f"{type(source).__name__} is not an image"
            raise UsageError("", rule, "give a path, bytes, a binary file or a layout")
        name = str(getattr(source, "name", "the image"))
        require_open(source, name)
        with reading_errors(name):
            return reader_of(source), name
    name = require_path(source)
    if is_url(name) and not os.path.lexists(name):
        return open_url(name), name
    descriptor = open_for_reading(source, name)
    with reading_errors(name):
        try:
            return DescriptorReader(descriptor), name
        except BaseException:
            os.close(descriptor)
            raise


def _opened(
    data: PositionalReader,
    name: str,
    key: bytes | None,
    sector_size: int | None,
    report: Report | None,
) -> Image:
    device = _is_device(data)
    if key is None:
        return Image(recognised(data, name, device=device), report=report)
    from ..layers.ccm_reader import decrypted

    try:
        layer = decrypted(data, name, key, sector_size, device=device)
    except ImageError:
        plain = format_of(head_of(data, name))
        if plain is None:
            raise
        rule = f"is not encrypted: it is a plain image of the format {plain.name}"
        raise ImageError(name, rule, "give no key") from None
    return Image(recognised(layer, name, device=device), layer=layer, report=report)


def recognised(data: PositionalReader, name: str, *, device: bool = False) -> ImageReader:
    """The reader for what is in `data`. Raises `ImageError` if it is of no format."""
    format = format_of(head_of(data, name))
    if format is None:
        rule = "not a tar archive, a FAT file system or a pack of git objects"
        sectors = data.size and not data.size % (2 * 512)  # as encrypted ones are
        remedy = "if it is encrypted, give its key: {option}" if sectors else ""
        raise ImageError(name, rule, remedy, "key_file=FILE" if sectors else "")
    return format.reader_class()(data, device=device)


def head_of(data: PositionalReader, name: str) -> bytes:
    """What tells the format of an image, its first bytes. Raises `SourceError`."""
    with reading_errors(name):
        return data.read_at(0, 4096)


def format_of(head: bytes) -> Format | None:
    """The format of images that begin with `head`, if any."""
    recognising = (f for f in formats() if f.reader_class().recognises(head))
    return next(recognising, None)


def _is_device(data: PositionalReader) -> bool:
    with suppress(OSError):
        if isinstance(data, DescriptorReader):
            return stat.S_ISBLK(os.fstat(data.descriptor).st_mode)
    return False
