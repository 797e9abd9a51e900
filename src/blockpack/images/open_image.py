"""Opening an image: from a path, bytes, a file or a layout to what reads it."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from ..errors import (
    ImageError,
    SourceError,
    UsageError,
    image_errors,
    reading_errors,
    require_open,
    require_path,
)
from ..formats import registry
from ..formats.fat.flash_frame import unframed
from ..formats.reader import ImageReader, Report
from ..formats.registry import Format, formats
from ..layers.disk.record import DISK, begins_a_disk
from ..model.limits import MOST
from ..planning.layout import Layout
from ..planning.layout_reader import LayoutReader
from ..planning.options import Size, optional_size
from ..reading.lifetime import on_failure
from ..reading.positional import (
    BytesReader,
    DescriptorReader,
    PositionalReader,
    open_for_reading,
    reader_of,
)
from .address import split_address
from .image import Image
from .remote import is_url, open_url

if TYPE_CHECKING:
    from ..layers.disk.reader import DiskReader, OpenPartition
    from ..layers.verity.reader import VerityReader

_BLANK = 128 << 10
"""Bytes that tell of an image that begins with zeros: ISO 9660, btrfs and others have something in
them, a tar of nothing has not."""

_ROOT_HASH = re.compile("(?:[0-9A-Fa-f]{8}){5,16}").fullmatch

ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Layout
"""Where an image is: a path (a device's too), a URL that fsspec opens, its bytes, a binary file
that seeks, or a layout, which is read as if it had been written. A path or URL may lead to a
partition of a disk, by its number or name: ``card.img#2``."""


def open_image(
    source: ImageSource,
    *,
    key: bytes | None = None,
    key_file: str | os.PathLike[str] | None = None,
    sector_size: Size | None = None,
    partition: int | str | None = None,
    report: Report | None = None,
    root_hash: str | None = None,
    hash_offset: Size | None = None,
    hash_tree: str | os.PathLike[str] | None = None,
) -> Image:
    """The image at `source`; or of a disk that is there, in one `partition`, by number or name.

    An encrypted image takes its `key`, or the file that holds it. `sector_size` (bytes) is the
    encryption's; by default it is found out. `report` is called with what cannot be read; without
    it a walk through all entries raises that at its end.

    A hash tree of dm-verity behind the image is found by itself in a file, or is at `hash_offset`;
    one beside it is in the file `hash_tree`. Reading does not check it, but `Image.verify` does,
    against `root_hash` if that is given.

    Raises `SourceError` if the image or the key cannot be read, `UsageError` if the key is not
    valid, or others may read its file, and `ImageError` if `source` is not an image, is damaged, or
    has another key.
    """
    if key_file is not None:
        from ..layers.keys import read_key

        if key is not None:
            rule = "both a key and a file that holds one are given"
            raise UsageError("", rule, "give one, not both")
        key = read_key(key_file)
    data, name, addressed = _data(source)
    with on_failure(data.close):
        if partition is not None and addressed is not None:
            raise UsageError(name, "two partitions are named", "name one, here or there")
        wanted = addressed if partition is None else str(partition)
        verity = _verity(root_hash, optional_size(hash_offset), hash_tree)
        if isinstance(source, Layout) and (offset := source.geometry.get("hash_offset")):
            verity = verity._replace(offset=int(offset))
        return _opened(data, name, wanted, key, optional_size(sector_size), report, verity)


def _data(source: ImageSource) -> tuple[PositionalReader, str, str | None]:
    """What reads the bytes of `source`, its name for messages, and which partition is meant."""
    if isinstance(source, Layout):
        return LayoutReader(source.runs, forkable=source.forkable), "the layout", None
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesReader(source), "the image", None
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "seek") or not hasattr(source, "read"):
            rule = f"{type(source).__name__} is not an image"
            raise UsageError("", rule, "give a path, bytes, a binary file or a layout")
        name = str(getattr(source, "name", "the image"))
        require_open(source, name)
        with reading_errors(name):
            return reader_of(source, name), name, None
    name = require_path(source)
    data, partition = open_at(name)
    return data, name, partition


def open_at(address: str) -> tuple[PositionalReader, str | None]:
    """What reads the file, device or URL at an address, and the partition that it names, if any.

    Raises `SourceError`, and `UsageError` for a URL without fsspec.
    """
    place, partition = split_address(address)
    if is_url(place):
        # Elsewhere a name may have a '#'; http never sends what is behind one (RFC 3986, 3.5).
        if partition is not None and not place.rpartition("::")[2].startswith("http"):
            with suppress(SourceError):
                return open_url(address), None
        return open_url(place), partition
    descriptor = open_for_reading(place, address)
    with reading_errors(address), on_failure(lambda: os.close(descriptor)):
        return DescriptorReader(descriptor), partition


class Verity(NamedTuple):
    """What is known of an image's hash tree: its root hash, its offset, the file that has it."""

    root_hash: str | None = None
    offset: int | None = None
    file: str | None = None

    def layer(self, data: PositionalReader, name: str, device: bool) -> VerityReader | None:
        """What reads the image without its tree; None if it has none.

        Raises `ImageError` if something is known of it, and it is not there, and `UsageError` for
        a root hash that is not one of its.
        """
        from ..layers.verity.reader import VerityReader, stray_tree, tree_at, tree_behind

        if self.file is not None:
            hashes = part_at(self.file)
            with on_failure(hashes.close):
                tree = tree_at(hashes, self.offset or 0, self.file)
                return VerityReader(data, hashes, tree, self.root_hash, name)
        found = None
        if self.offset is not None:
            found = tree_at(data, self.offset, name)
        elif data.forkable:  # else each of the short reads may take a journey
            found = tree_behind(data)
        if found is not None:
            return VerityReader(data, data, found, self.root_hash, name)
        if self.root_hash is not None:
            at = recognised(data, name, device=device).behind()
            stray = None if at is None else stray_tree(data, at)
            if stray is None:
                remedy = "give the byte where it begins: {option}"
                stray = ImageError("", "has no hash tree at its end", remedy, "hash_offset=N")
            stray.path = name
            raise stray
        return None


def _verity(
    root_hash: str | None, offset: int | None, file: str | os.PathLike[str] | None
) -> Verity:
    """What is said of a hash tree. Raises `UsageError` for what cannot be."""
    if root_hash is not None and not _ROOT_HASH(root_hash):
        raise UsageError("", f"{root_hash!r} is not a root hash", "give 64 hexadecimal digits")
    if offset is not None and not 0 <= offset <= MOST:
        raise UsageError("", f"no hash tree begins at byte {offset:,}", option="hash_offset=N")
    place = None if file is None else require_path(file)
    return Verity(root_hash and root_hash.lower(), offset, place)


def part_at(address: str) -> PositionalReader:
    """What reads the file or the partition at an address. Raises as the two do."""
    data, partition = open_at(address)
    with on_failure(data.close):
        return data if partition is None else partition_of(data, address, partition).data


def _opened(
    data: PositionalReader,
    name: str,
    partition: str | None,
    key: bytes | None,
    sector_size: int | None,
    report: Report | None,
    verity: Verity,
) -> Image:
    image = partial(Image, report=report, name=name)
    device = _is_device(data)
    of_partition: ImageReader | None = None
    if partition is not None and (key is None or format_of(data, name) is DISK):
        found = partition_of(data, name, partition)
        if key is None:
            of_partition = found.opened()
        data, partition, device = found.data, None, True
    if key is None:
        tree = verity.layer(data, name, device)
        if tree is not None:
            return image(recognised(tree, name), layer=tree)
        return image(of_partition or recognised(data, name, device=device))
    if any(each is not None for each in verity):
        rule = "an encrypted image has no hash tree: its sectors are authenticated"
        raise UsageError(name, rule, "give its key, or what is known of a tree")
    from ..layers.ccm_reader import decrypted

    try:
        layer = decrypted(data, name, key, sector_size, device=device)
    except ImageError:
        plain = format_of(data, name)
        if plain is None:
            raise
        rule = f"is not encrypted: it is a plain image of the format {plain.name}"
        of_part = f", or name what is encrypted: {name}#NUMBER" if plain is DISK else ""
        raise ImageError(name, rule, f"give no key{of_part}") from None
    if partition is not None:
        return image(partition_of(layer, name, partition).opened(), layer=layer)
    return image(recognised(layer, name, device=device), layer=layer)


def partition_of(data: PositionalReader, name: str, wanted: str) -> OpenPartition:
    """The partition of the number or name `wanted` on the disk in `data`.

    Raises `ImageError` if that is none, and `NotInImageError` if it has no such partition.
    """
    reader = recognised(data, name, device=_is_device(data))
    if reader.format != DISK.name:
        remedy = f"leave out '#{wanted}'"
        raise ImageError(name, "has no partition table, and so no partitions", remedy)
    return cast("DiskReader", reader).partition(wanted, split_address(name)[0])


def recognised(data: PositionalReader, name: str, *, device: bool = False) -> ImageReader:
    """The reader for what is in `data`. Raises `ImageError` if it is of no format."""
    with reading_errors(name):
        data = unframed(data) or data  # whose first sector tells nothing
    format = format_of(data, name)
    if format is None:
        whats = (format.what for format in formats() if format.what)
        rule = f"not {', '.join(whats)} or a partitioned disk"
        sectors = data.size and not data.size % (2 * 512)  # as encrypted ones are
        remedy = "if it is encrypted, give its key: {option}" if sectors else ""
        raise ImageError(name, rule, remedy, "key_file=FILE" if sectors else "")
    with image_errors(name):
        return format.reader_class()(data, device=device)


def format_of(data: PositionalReader, name: str) -> Format | None:
    """The format of an image by its first bytes, if any, or `DISK`. Raises `SourceError`."""
    with reading_errors(name):
        head = data.read_at(0, 4096)
        if not any(head):
            head = data.read_at(0, _BLANK)
    return DISK if begins_a_disk(head) else registry.format_of(head, formats())


def _is_device(data: PositionalReader) -> bool:
    with suppress(OSError):
        if found := data.in_file():
            return stat.S_ISBLK(os.fstat(found[0].descriptor).st_mode)
    return False
