"""The largest image that is allowed, which is for the host to say.

A manifest may ask for terabytes of room in a few characters. That is planned in no time, but all of
an image is read for its digest, and once more when it is deployed.

Of a secret volume it is told only that it is larger.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ...errors import EntryError, UsageError
from ...layers.ccm import encrypted_size
from ...planning.options import Size, optional_size
from ..manifest.specs import ImageSpec
from ..record import ImageRecord


def limit_of(max_size: Size | None) -> int | None:
    """A limit in bytes, if there is one, of a text such as ``2G``, too. Raises `UsageError`."""
    limit = optional_size(max_size)
    if limit is not None and limit < 1:
        rule = f"the largest image has 1 byte or more, not {limit}"
        raise UsageError("", rule, option="max_size=SIZE")
    return limit


def require_within(spec: ImageSpec, size: int, max_size: int | None) -> None:
    """Raise `EntryError` unless an image, which has `size` bytes before it is encrypted, has at
    most `max_size`, or there is no limit; and for one that is too large to be encrypted.

    Nothing that is in it is named.
    """
    size = size if spec.cipher is None else encrypted_size(size)
    if max_size is None or size <= max_size:
        return
    has = "is larger" if spec.secret else f"has {size:,} bytes, more"
    rule = f"its image {has} than the limit of {max_size:,} bytes"
    remedy = "ask for less room, pack less, or raise the limit: {option}"
    raise EntryError("", rule, remedy, "max_size=SIZE")


def is_larger(image: ImageRecord, directory: str | os.PathLike[str], max_size: int | None) -> bool:
    """Whether an image in `directory` has more than `max_size` bytes; one that is gone has none."""
    with suppress(OSError):
        path = os.path.join(directory, image.file)
        return max_size is not None and os.stat(path).st_size > max_size
    return False
