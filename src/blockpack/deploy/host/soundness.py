"""Whether images are what was built: when they are new, and before they are live again.

An image that is there and as long as it should be may have been written to, or the disk may have
lost a bit of it. So all of it is read, and its digest compared with the record's.
"""

from __future__ import annotations

import os

from ...errors import BlockpackError, ImageError
from ...images.open_image import open_image
from ...writing.progress import Meter, Tell
from ..building.secret_images import verify
from ..building.sharing import digest_of
from ..record import BuildRecord, ImageRecord
from ..secrets import Secrets
from .generations import Generation

_DISK = "check the disk"
_AGAIN = "deploy again"


def require_sound(image: ImageRecord, directory: str, meter: Meter) -> None:
    """Raise `ImageError` unless a new image in `directory` is what was built, and sound in itself;
    `SourceError` if it cannot be read.
    """
    path = os.path.join(directory, image.file)
    if digest_of(path, meter) != image.sha256:
        raise ImageError(image.title, "is not what was written", _DISK)
    with open_image(path) as opened:
        problems = opened.verify(progress=meter.part())
    if problems:
        raise ImageError(image.title, f"{problems[0]}; nothing was switched", _DISK)


def require_whole(generation: Generation) -> BuildRecord:
    """The record of a generation. Raises `ImageError` unless all its images are there."""
    record = generation.record()
    for image in record.volumes:
        image.size_in(generation.path, _AGAIN)
    return record


def damage(generation: Generation, tell: Tell | None = None) -> BlockpackError | None:
    """What is wrong with a generation, if anything is: all is read, but what is encrypted with a
    key that is elsewhere is not opened.
    """
    try:
        volumes = require_whole(generation).volumes
        meter = Meter("verifying", sum(image.size or 0 for image in volumes), tell)
        for image in volumes:
            path = generation.path / image.file
            if image.secret:
                if image.cipher is None or (image.key and (generation.path / image.key).exists()):
                    verify(image, generation.path, Secrets())
            elif digest_of(str(path), meter) != image.sha256:
                return ImageError(str(path), "is damaged: it is not what was built", _AGAIN)
        meter.finish()
    except BlockpackError as error:
        return error
    return None
