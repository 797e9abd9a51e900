"""Comparing an image with what a volume would make of a tree.

The tree is planned as for packing and the plan read through `Layout.open` by the same reader
as the image. So both sides have a format's own view: FAT's times in steps of two seconds, the
times that the `mtime` rule gives, links as files where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from ..errors import printable
from ..formats.reader import ImageEntry
from ..planning.layout import Layout
from .image import Image
from .opening import open_image

_CHUNK = 1 << 20


@frozen
class Difference:
    """What is not the same about the entry `path`."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.what}"


def compare(image: Image, layout: Layout) -> Iterator[Difference]:
    """How `image` differs from the planned one: in entries, kinds, sizes, times and bytes.

    Raises `ImageError` if the image is damaged, `SourceError` if a source has changed.
    """
    with open_image(layout) as planned:
        actual = {entry.path: entry for entry in image.walk()}
        for expected in planned.walk():
            found = actual.pop(expected.path, None)
            if found is None:
                yield Difference(expected.path, "is missing in the image")
                continue
            differences = list(_differences(found, expected))
            if not differences and expected.kind == "file":
                differences = list(_contents(image, planned, expected.path))
            for what in differences:
                yield Difference(expected.path, what)
        for path in actual:
            yield Difference(path, "is in the image, and not in the source")


def _differences(found: ImageEntry, expected: ImageEntry) -> Iterator[str]:
    if found.kind != expected.kind:
        yield f"is a {found.kind}, and should be a {expected.kind}"
    elif found.size != expected.size:
        yield f"has {found.size:,} bytes, and should have {expected.size:,}"
    elif found.target != expected.target:
        yield f"leads to {printable(found.target)}, and should to {printable(expected.target)}"
    if found.mtime_ns != expected.mtime_ns:
        yield "has another time than the source would get"


def _contents(image: Image, planned: Image, path: str) -> Iterator[str]:
    with image.open(path) as found, planned.open(path) as expected:
        at = 0
        while data := expected.read(_CHUNK):
            other = found.read(len(data))
            if other != data:
                first = next(i for i, (a, b) in enumerate(zip(data, other, strict=True)) if a != b)
                yield f"differs from byte {at + first:,} on"
                return
            at += len(data)
