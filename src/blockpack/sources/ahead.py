"""Listing a directory while this process is not ready for it yet.

To import all that packs an image takes longer than to list a small tree. So the command has another
process list a larger one meanwhile, which needs no more than `listing`; the scan begins where that
one has got to.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Iterator
from select import POLLHUP, POLLIN, poll
from typing import TYPE_CHECKING, NamedTuple, Self

from ..processes import Worker, signals_held
from .listing import Row, Unread, batches, found_below, plain_rows

if TYPE_CHECKING:
    from ..errors import BlockpackError
    from ..processes import Send

Lost = Callable[[str], "BlockpackError"]
"""Makes the error for a process that came to an end otherwise than by itself."""


class Found(NamedTuple):
    """How far a head start has come.

    So many `names` are in `listings`, one list for each directory that was read. Of a directory in
    which there is something to decide nothing is told: it is `pending`, as are those not read yet.
    """

    names: int
    pending: list[Unread]
    listings: Iterator[list[Row]]


class HeadStart:
    """A process that lists the directory `root` until it is called off; a context manager."""

    def __init__(self, root: str) -> None:
        self.root = os.fsencode(root)
        self._worker: Worker | None = None
        enough, say_enough = os.pipe()
        self._say_enough: int | None = say_enough
        try:
            with signals_held():
                self._worker = Worker.start(
                    lambda send: _list(self.root, enough, send), [say_enough]
                )
        except OSError:  # too many processes, too little memory: nothing is lost but time
            pass
        except BaseException:  # a signal that was held
            self._end()
            raise
        finally:
            os.close(enough)

    def call_off(self, lost: Lost) -> Found | None:
        """What it has found, once: it goes to whoever asks first. None if there is nothing.

        To iterate over the listings raises the error that `lost` makes, should it be killed then.
        """
        worker, self._worker = self._worker, None
        self._end()
        if worker is None:
            return None
        try:
            message = worker.receive()
        except Exception:  # the scan that follows has its own troubles, and tells of them
            message = None
        if not isinstance(message, bytes):
            worker.stop()
            return None
        self._worker = worker
        count, pending = marshal.loads(message)
        return Found(count, pending, self._listings(worker, lost))

    def _listings(self, worker: Worker, lost: Lost) -> Iterator[list[Row]]:
        while isinstance(message := worker.receive(), bytes):
            yield from marshal.loads(message)
        self._worker = None
        if how := worker.finish():
            raise lost(how)

    def _end(self) -> None:
        if self._say_enough is not None:
            os.close(self._say_enough)
            self._say_enough = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def _list(root: bytes, enough: int, send: Send) -> None:
    """List `root`, and what is below, until the other end of `enough` is closed."""
    ending = poll()
    ending.register(enough, POLLIN | POLLHUP)
    pending: list[Unread] = [(os.path.join(root, b""), "", frozenset())]
    not_plain: list[Unread] = []
    count = 0

    def listings() -> Iterator[list[Row]]:
        nonlocal count
        while pending and not ending.poll(0):
            unread = pending.pop()
            rows = plain_rows(unread)
            if rows is None:
                not_plain.append(unread)
                continue
            pending.extend(found_below(unread, rows))
            count += len(rows)
            yield rows

    messages = [marshal.dumps(batch) for batch in batches(listings())]
    send(marshal.dumps((count, pending + not_plain)))
    for message in messages:
        send(message)
