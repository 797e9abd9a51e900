"""How far something is that goes through many bytes.

What takes long does one kind of work after the other: an image is packed, then flushed. Each has a
name, a total of its own, and ends when that work does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import evolve, frozen

from ..workers.sharing import Advance

_SECONDS = 0.05


@frozen
class Progress:
    """How far a `work` (``packing``, ``verifying``) is: `done` of `total` bytes, or other units.

    A `total` of 0 says that nobody knows how far it is. The last one of a work is `finished`.
    """

    work: str
    done: int
    total: int
    unit: str = "bytes"
    finished: bool = False

    def __str__(self) -> str:
        if not self.total:
            return self.work
        share = self.done / self.total
        return f"{self.work}: {self.done:,} of {self.total:,} {self.unit} ({share:.0%})"


Tell = Callable[[Progress], object]
"""Hears how far something is."""


class Meter:
    """Counts what is done of a work, and reports at its begin and, at most every twentieth of
    a second, until it is finished.
    """

    def __init__(self, work: str, total: int, tell: Tell | None, unit: str = "bytes") -> None:
        self._at = Progress(work, 0, total, unit)
        self._tell = tell
        self._done = 0
        self._last = 0.0
        self._told(0)

    def advance(self, count: int = 1) -> None:
        """Count bytes, or other units, that are done."""
        self._done += count
        if self._tell is None:
            return
        now = time.monotonic()
        if now - self._last >= _SECONDS and self._done < self._at.total:
            self._last = now
            self._told(self._done)

    def part(self) -> Tell:
        """Hears how far a part of this work is, and counts that in."""
        return increments(self.advance)

    def finish(self) -> None:
        """All of it is done."""
        self._told(self._at.total, finished=True)

    def flush(self) -> None:
        """All of it is done; what comes now is that it is flushed to the disk."""
        self.finish()
        self._at = Progress("flushing", 0, 0)
        self._told(0)

    def _told(self, done: int, *, finished: bool = False) -> None:
        if self._tell is not None:
            self._tell(evolve(self._at, done=done, finished=finished))


SILENT = Meter("", 0, None)
"""Counts for nobody."""


def increments(count: Advance) -> Tell:
    """Hears how far something is, and has `count` hear how much was done since then."""
    heard = 0

    def hear(progress: Progress) -> None:
        nonlocal heard
        count(progress.done - heard)
        heard = progress.done

    return hear
