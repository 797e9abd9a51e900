"""The bytes of a layout, told from its extents alone: no reader or writer of blockpack's."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import blockpack


def rendered(layout: blockpack.Layout) -> bytes:
    """The image of `layout`, whose sources are as they were planned."""
    image = bytearray()
    for extent in layout.extents:
        assert extent.offset == len(image)
        if isinstance(extent, blockpack.Data):
            image += extent.data
        elif isinstance(extent, blockpack.Zeros):
            image += bytes(extent.length)
        elif isinstance(extent, blockpack.FileRange):
            with open(extent.path, "rb") as file:
                file.seek(extent.start)
                image += file.read(extent.length)
        else:
            with closing(extent.store.open(extent.key, extent.name)) as stream:
                image += stream.read(extent.size)[extent.start : extent.start + extent.length]
    assert len(image) == layout.size
    return bytes(image)


def make_files(directory: Path, files: dict[str, bytes]) -> Path:
    """`directory`, with `files` in it."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def pattern(size: int, seed: int = 1) -> bytes:
    """`size` bytes that are not zeros and do not repeat at any block's size."""
    unit = bytes((seed * 31 + n * 7) % 251 + 1 for n in range(251))
    return (unit * (size // len(unit) + 1))[:size]


def differ_at(one: bytes, other: bytes) -> int | None:
    """The first byte that is not the same; None if all are. (pytest takes minutes to show it.)"""
    if one == other:
        return None
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
