"""Errors about one image of a deployment, of a volume or a disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BlockpackError, Problems, TargetError
from .file_names import DISK

_UNNAMED = re.compile(r"(?:(?<=/)|^)\.(?:blockpack|new)-[^/]*/")
"""A directory for what has not got its name yet, in a path."""


class Titled:
    """An image by its name and format, built or not."""

    __slots__ = ()

    name: str
    format: str

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"disk {self.name}" if self.format == DISK else f"volume {self.name}"


def of_image(title: str, error: BlockpackError) -> Problems:
    """An error with what it is about: the title of an image."""
    if isinstance(error, Problems):
        members = [each for each in error.exceptions if isinstance(each, BlockpackError)]
        return Problems(f"{title}: {error.message}", members)
    return Problems(f"{title}:", [error])


@contextmanager
def noted(errors: list[BlockpackError], title: str = "") -> Iterator[None]:
    """Add the error that ends the block to others; with a `title`, as that of an image."""
    try:
        yield
    except BlockpackError as error:
        errors.append(of_image(title, error) if title else error)


@contextmanager
def final_names() -> Iterator[None]:
    """Have errors about a file name the place that it is to get, not where it is made."""
    try:
        yield
    except BlockpackError as error:
        for each in error.errors:
            each.path = _UNNAMED.sub("", each.path)
        raise


def out_of_memory() -> TargetError:
    """The error for a process that has not enough memory."""
    return TargetError("", "there is not enough memory to build it", "free some memory")
