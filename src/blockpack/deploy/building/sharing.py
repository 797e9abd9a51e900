"""Sharing: an image that an earlier generation has becomes one of a new generation.

It is cloned where the file system can, else linked, and then compared with what was built: somebody
may have written to it, such as a machine that has it attached, and more than reads.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import evolve

from ...errors import BlockpackError, reading_errors
from ...writing.clone import clone_file
from ...writing.progress import Meter
from ..file_names import IMAGE, PLACEMENTS
from ..record import BuildRecord, ImageRecord

_AT_ONCE = 256 << 10
"""Bytes that are read at once: they stay in the processor's cache."""


Earlier = Mapping[str, tuple[ImageRecord, Path]]
"""The images of generations, by fingerprint, with their directories; of each that of the newest."""


def earlier_images(directories: Iterable[Path]) -> Earlier:
    """What can be shared of the builds in `directories`, the oldest of which is the first."""
    images: dict[str, tuple[ImageRecord, Path]] = {}
    for directory in directories:
        with suppress(BlockpackError):  # a damaged record: it has nothing to share
            for image in BuildRecord.read(directory).volumes:
                if image.fingerprint is not None:
                    images[image.fingerprint] = image, directory
    return images


def share(image: ImageRecord, home: Path, name: str, into: str, meter: Meter) -> ImageRecord | None:
    """Put the files of an image in `home` into a directory, without copying their blocks; what it
    is there, as that of the volume `name`. `meter` counts the bytes that are compared. None if that
    cannot be done, or the image is not as it was built, or cannot be read.
    """
    placements = None if image.placements is None else name + PLACEMENTS
    shared = evolve(image, name=name, file=name + IMAGE, placements=placements)
    with suppress(OSError, BlockpackError):
        for old, new in zip(image.files, shared.files, strict=True):
            source, target = home / old, os.path.join(into, new)
            if not clone_file(source, target):
                os.link(source, target)
        path = os.path.join(into, shared.file)
        if os.stat(path).st_size == image.size and digest_of(path, meter) == image.sha256:
            return shared
    for new in shared.files:
        with suppress(OSError):
            os.unlink(os.path.join(into, new))
    return None


def digest_of(path: str, meter: Meter) -> str:
    """The SHA-256 of a file, in hexadecimal digits. Raises `SourceError`."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_AT_ONCE))
    with reading_errors(path), open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            meter.advance(count)
    return digest.hexdigest()
