"""How far something is that goes through many bytes."""

from __future__ import annotations

import time
from collections.abc import Callable

from attrs import frozen

_SECONDS = 0.05


@frozen
class Progress:
    """How far something is: `done` of `total` bytes, or whatever the `unit` is."""

    done: int
    total: int
    unit: str = "bytes"

    def __str__(self) -> str:
        share = self.done / self.total if self.total else 1
        return f"{self.done:,} of {self.total:,} {self.unit} ({share:.0%})"


class Meter:
    """Counts bytes and calls back, at most every twentieth of a second."""

    def __init__(self, total: int, progress: Callable[[Progress], object] | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._last = 0.0

    def advance(self, count: int) -> None:
        """Count bytes that are done."""
        self._done += count
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._last >= _SECONDS and self._done < self._total:
            self._last = now
            self._progress(Progress(self._done, self._total))

    def finish(self) -> None:
        """All of them are."""
        if self._progress is not None:
            self._progress(Progress(self._total, self._total))
