"""Listing a directory while this process is not ready for it yet.

To import all that packs an image takes longer than to list a small tree. So the command has another
process list its source meanwhile, one that needs no more than `listing`; the scan begins where that
one has got to.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable, Iterator
from select import select
from typing import TYPE_CHECKING, Self

from ..processes import Worker, signals_held
from .listing import Row, Unread, found_below, plain_rows

if TYPE_CHECKING:
    from ..errors import BlockpackError
    from ..processes import Send

BATCH = 4_000
"""Rows sent at once."""

Lost = Callable[[str], "BlockpackError"]
"""Makes the error for a process that came to an end otherwise than by itself."""


class HeadStart:
    """A process that lists the directory `root` until it is called off; a context manager.

    Of a directory in which there is something to decide it tells nothing. That is in `pending`
    then, with all that it did not get to. `count` is how many rows it has found.
    """

    def __init__(self, root: str) -> None:
        self.pending: list[Unread] = [(os.path.join(os.fsencode(root), b""), "", frozenset())]
        self.count = 0
        self._worker: Worker | None = None
        enough, say_enough = os.pipe()
        self._say_enough: int | None = say_enough
        try:
            with signals_held():
                self._worker = Worker.start(
                    lambda send: _list(self.pending, enough, send), [say_enough]
                )
        except OSError:  # too many processes, too little memory: nothing is lost but time
            pass
        finally:
            os.close(enough)

    def call_off(self, lost: Lost) -> None:
        """Have it stop, so that others can go on with what is `pending`."""
        self._close()
        if self._worker is not None and (message := self._message(self._worker, lost)):
            self.count, self.pending = marshal.loads(message)

    def listings(self, lost: Lost) -> Iterator[list[Row]]:
        """The rows of each directory that it has read, once it is called off."""
        while self._worker is not None and (message := self._message(self._worker, lost)):
            yield from marshal.loads(message)

    def _message(self, worker: Worker, lost: Lost) -> bytes | None:
        message = worker.receive()
        if isinstance(message, bytes):
            return message
        self._worker = None
        if how := worker.finish():
            raise lost(how)
        return None

    def _close(self) -> None:
        if self._say_enough is not None:
            os.close(self._say_enough)
            self._say_enough = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._worker is not None:
            self._worker.stop()


def _list(pending: list[Unread], enough: int, send: Send) -> None:
    """List what is `pending`, and what is below, until the other end of `enough` is closed."""
    not_plain: list[Unread] = []
    messages: list[bytes] = []
    batch: list[list[Row]] = []
    count = before = 0  # rows found, and those of them that are in messages
    while pending and not select([enough], [], [], 0)[0]:
        unread = pending.pop()
        rows = plain_rows(unread)
        if rows is None:
            not_plain.append(unread)
            continue
        pending += found_below(unread, rows)
        batch.append(rows)
        count += len(rows)
        if count >= before + BATCH:
            messages.append(marshal.dumps(batch))
            batch, before = [], count
    send(marshal.dumps((count, pending + not_plain)))
    for message in (*messages, marshal.dumps(batch)):
        send(message)
