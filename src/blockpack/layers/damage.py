"""Telling what is damaged: one error for each stretch of blocks, and not too many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from ..errors import ImageError

_MOST_STRETCHES = 100
"""Damaged stretches that are reported, at most."""


def stretches(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers in ascending order as the first and the last of each stretch of them."""
    first = last = -2
    for number in numbers:
        if number != last + 1:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last


def told(
    damaged: Iterator[tuple[int, int]], tell: Callable[[int, int], ImageError], more: str
) -> Iterator[ImageError]:
    """The error for each of the stretches; after too many, that there are `more`."""
    for first, last in islice(damaged, _MOST_STRETCHES):
        yield tell(first, last)
    if next(damaged, None) is not None:
        yield ImageError("", f"and there are more {more}")
