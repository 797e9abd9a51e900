"""Sharing: an image that an earlier generation has becomes one of a new generation.

It is cloned where the file system can, else linked, and then compared with what was built: somebody
may have written to it, such as a machine that has it attached, and more than reads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

from attrs import frozen

from ...errors import BlockpackError, reading_errors
from ...writing.clone import clone_file
from ...writing.progress import Meter
from ..record import BuildRecord, ImageRecord

_AT_ONCE = 256 << 10
"""Bytes that are read at once: they stay in the processor's cache."""


@frozen
class Earlier:
    """The images of generations, by volume and fingerprint; of each that of the newest one."""

    _images: dict[tuple[str, str], tuple[ImageRecord, Path]]

    @classmethod
    def of(cls, directories: Iterable[Path]) -> Self:
        """What can be shared of the builds in `directories`, the oldest of which is the first."""
        images: dict[tuple[str, str], tuple[ImageRecord, Path]] = {}
        for directory in directories:
            with suppress(BlockpackError):  # a damaged record: it has nothing to share
                for image in BuildRecord.read(directory).volumes:
                    if image.fingerprint is not None:
                        images[image.name, image.fingerprint] = image, directory
        return cls(images)

    def find(self, volume: str, fingerprint: str) -> ImageRecord | None:
        """The image of a volume that has this fingerprint."""
        image, _ = self._images.get((volume, fingerprint), (None, None))
        return image

    def share(self, image: ImageRecord, into: str, meter: Meter) -> bool:
        """Put the files of an image that was found into a directory, without copying their blocks.

        `meter` counts the bytes that are compared. False if that cannot be done, or the image is
        not as it was built, or cannot be read.
        """
        assert image.fingerprint is not None
        _, home = self._images[image.name, image.fingerprint]
        with suppress(OSError, BlockpackError):
            for name in image.files:
                _clone_or_link(home / name, os.path.join(into, name))
            path = os.path.join(into, image.file)
            if os.stat(path).st_size == image.size and digest_of(path, meter) == image.sha256:
                return True
        for name in image.files:
            with suppress(OSError):
                os.unlink(os.path.join(into, name))
        return False


def _clone_or_link(source: Path, target: str) -> None:
    if not clone_file(source, target):
        os.link(source, target)


def digest_of(path: str, meter: Meter) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises `SourceError`."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_AT_ONCE))
    with reading_errors(path), open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            meter.advance(count)
    return digest.hexdigest()
