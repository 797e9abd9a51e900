"""What is open until it is closed, or until the end of a ``with`` block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self


class Closing:
    """Something that is open; a context manager that closes it."""

    __slots__ = ()

    def close(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def held(descriptor: int) -> Iterator[int]:
    """The descriptor, which the end of the block closes."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` if the block fails: what is open then is nobody's."""
    try:
        yield
    except BaseException:
        undo()
        raise
