"""Writing an image that is there to a device or file, as guarded as a layout is written.

With a block map only what has to be right is written, and only if it is as the map says.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ..errors import ImageError, TargetError, UsageError, reading_errors
from ..model.extent import Extent, FileRange, Zeros
from ..planning.layout import Layout
from ..planning.runs import Run
from ..reading.gaps import with_gaps
from ..reading.positional import (
    DescriptorReader,
    PartReader,
    PositionalReader,
    open_for_reading,
)
from ..writing.files import own_descriptor
from ..writing.progress import Tell
from ..writing.write import Report, write
from .address import split_address
from .block_map import BLOCK, BlockMap, digest_of
from .open_image import part_at
from .sectors import differing_sectors

_STREAMS = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR)


def write_image(
    image: str,
    target: str | os.PathLike[str],
    *,
    block_map: BlockMap | None = None,
    verify: bool = False,
    allow_device: bool = False,
    progress: Tell | None = None,
) -> Report:
    """Write the image at `image`, a path or the address of a disk's partition, to the path
    `target`; with `verify` it is read back.

    Of what a `block_map` leaves out nothing is written to a device. Raises `UsageError` if the
    image is in no file, `ImageError` if it is not the one of the map, and `TargetError` as `write`
    does, if what is read back differs, or before anything is written if nothing can be.
    """
    is_stream = os.path.exists(target) and stat.S_IFMT(os.stat(target).st_mode) in _STREAMS
    if verify and (is_stream or own_descriptor(target) is not None):
        rule = "is a stream, and cannot be read back"
        raise TargetError(os.fspath(target), rule, "write to it without verifying")
    with part_at(image) as data:
        found = data.in_file()
        if found is None:
            raise UsageError(image, "is in no file of this machine", "fetch it first")
        file, begin = found
        status = file.check()
        if block_map is not None:
            _require_same(block_map, data, image)
        stretches = _stretches(block_map, data.size)
        path = os.fsencode(os.path.abspath(split_address(image)[0]))

        def make(start: int, stop: int) -> Iterator[Extent]:
            for offset, end, wanted in stretches[start:stop]:
                length = end - offset
                if wanted:
                    yield FileRange(
                        offset, length, path, file.size, status.st_mtime_ns, begin + offset
                    )
                else:
                    yield Zeros(offset, length, free=True)

        offsets = [*(offset for offset, _, _ in stretches), data.size]
        layout = Layout(format="image", runs=(Run(offsets, make),), sector_size=BLOCK)
        report = write(layout, target, progress=progress, allow_device=allow_device, sparing=True)
        if verify:
            _compare(data, os.fspath(target), [each[:2] for each in stretches if each[2]])
    return report


def _stretches(block_map: BlockMap | None, size: int) -> list[tuple[int, int, bool]]:
    """Begins and ends, and whether that is to be written, in order."""
    whole = [(0, size)]
    if block_map is not None:
        whole = [(f * BLOCK, min((last + 1) * BLOCK, size)) for f, last, _ in block_map.ranges]
    return list(with_gaps(whole, 0, size))


def _require_same(block_map: BlockMap, data: PositionalReader, image: str) -> None:
    """Raise `ImageError` unless the map is that of the image."""
    if data.size != block_map.size:
        rule = f"has {data.size:,} bytes, and the map is of {block_map.size:,}"
        raise ImageError(image, rule, "give the map that was made with it")
    for first, last, digest in block_map.ranges:
        if digest_of(data, first, last) != digest:
            rule = f"differs from its map in bytes {first * BLOCK:,} to {(last + 1) * BLOCK:,}"
            raise ImageError(image, rule, "give the map that was made with it")


def _compare(data: PositionalReader, target: str, wanted: list[tuple[int, int]]) -> None:
    """Read back what was written. Raises `TargetError` for the first bytes that differ."""
    with DescriptorReader(open_for_reading(target, target)) as written:
        if hasattr(os, "posix_fadvise"):  # from the medium, and not from memory
            os.posix_fadvise(written.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for start, end in wanted:
            ours, theirs = (PartReader(each, start, end - start) for each in (data, written))
            with reading_errors(target):
                found = next(differing_sectors(ours, theirs, 1), None)
            if found is not None:
                first, last = start + found[0], start + found[1]
                rule = f"differs from what was written in bytes {first:,} to {last:,}"
                raise TargetError(target, rule, "see whether the medium is sound")
