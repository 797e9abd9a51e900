"""How far a command is: a bar on a terminal, and a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .output import say, unit_of

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from ..writing.progress import Progress, Tell

_SECONDS = 3.0
"""Between two lines where there is no terminal, as in a git hook or a log."""

_WIDEST = 40
_NARROW = 60
"""Columns of the widest bar, and of a terminal that has no room for rates."""


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Tell | None]:
    """What hears how far something is, and shows it on standard error; None if nobody looks."""
    if quiet or sys.stderr is None:
        yield None
        return
    shown = _Shown()
    try:
        yield shown.tell
    finally:
        shown.close()


class _Shown:
    """A bar on a terminal while there is work, for what comes between may print there itself; or a
    line every few seconds.
    """

    def __init__(self) -> None:
        self._at_terminal = sys.stderr.isatty()
        self._bar: RichProgress | None = None
        self._work = ""
        self._begun = self._last = time.monotonic()

    def tell(self, progress: Progress) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if progress.work != self._work:
            self._work, self._begun = progress.work, now
        if self._at_terminal:
            self._draw(progress)
        elif now - self._last >= _SECONDS:
            self._last = now
            say(f"{progress.work} {self._told(progress)}".rstrip())

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = self._started()
        columns = self._bar.console.width
        told = self._told(progress, narrow=columns < _NARROW)
        room = columns - len(f"{progress.work} {told} ")
        self._drawn.bar_width = max(1, min(_WIDEST, room))
        self._bar.update(
            self._task,
            description=progress.work,
            total=progress.total or None,
            completed=progress.done,
            told=told,
            refresh=True,
        )
        if progress.finished:
            self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _started(self) -> RichProgress:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._drawn = BarColumn()
        # Without a thread of its own, so that the writer may fork.
        bar = RichProgress(
            TextColumn("{task.description}"),
            self._drawn,
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = bar.add_task("", total=None, told="")
        bar.start()
        return bar

    def _told(self, progress: Progress, *, narrow: bool = False) -> str:
        """How far the work is, and unless it is to be `narrow`, how fast, and how long it takes."""
        if not progress.total:
            return ""
        if progress.unit != "bytes":
            return f"{progress.done:,}/{progress.total:,} {progress.unit}"
        power, unit = unit_of(progress.total)
        digits = 2 if unit in ("GiB", "TiB") else 1

        def shown(count: float) -> str:
            return f"{count / power:,.{digits}f}"

        done = f"{shown(progress.done)}/{shown(progress.total)} {unit}"
        seconds = time.monotonic() - self._begun
        if narrow or not progress.done or not seconds:
            return done
        left = round(seconds * (progress.total - progress.done) / progress.done)
        time_left = f"{left // 60}:{left % 60:02} left"
        return f"{done}, {shown(progress.done / seconds)} {unit}/s, {time_left}"
