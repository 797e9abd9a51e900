"""Forked processes that work for this one and report through a pipe.

A worker shares what its parent has made without copying it: that is why it is forked. It holds no
resource but descriptors, and ends when the parent does: a report through a pipe without a reader
fails.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable
from typing import NoReturn, Self

from attrs import define

from .errors import BlockpackError

Send = Callable[[object], None]
"""Sends one message, anything that can be pickled, to the parent."""

_LENGTH = struct.Struct("=Q")


def processors(jobs: int | None) -> int:
    """How many processes may work at once: `jobs`, or one a processor; 1 where none may fork."""
    # A process with threads must not fork: a lock that one of them holds would stay locked.
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return 1
    if jobs is not None:
        return jobs
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


@define
class Worker:
    """A forked process, and the pipe that it reports through."""

    process: int
    results: int

    @classmethod
    def start(cls, work: Callable[[Send], None]) -> Self:
        """Fork a process that does `work`; a `BlockpackError` in it is its last message."""
        results, report = os.pipe()
        process = os.fork()
        if not process:
            _live(work, report)
        os.close(report)
        return cls(process, results)

    def receive(self) -> object:
        """The next message; None when the worker has ended. Raises what the worker raised."""
        length = self._read(_LENGTH.size)
        message = self._read(_LENGTH.unpack(length)[0]) if length else b""
        if not message:
            return None
        value = pickle.loads(message)
        if isinstance(value, BlockpackError):
            raise value
        return value

    def finish(self) -> str | None:
        """Wait for the end; how it came about, unless all was well."""
        os.close(self.results)
        _, status = os.waitpid(self.process, 0)
        code = os.waitstatus_to_exitcode(status)
        if not code:
            return None
        return f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"

    def stop(self) -> None:
        """End it, whatever it does."""
        os.kill(self.process, signal.SIGKILL)
        self.finish()

    def _read(self, length: int) -> bytes:
        """`length` bytes, or none if the worker ended."""
        parts = []
        while length:
            part = os.read(self.results, length)
            if not part:
                return b""
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _live(work: Callable[[Send], None], report: int) -> NoReturn:
    """The life of a worker."""

    def send(message: object) -> None:
        data = pickle.dumps(message)
        view = memoryview(_LENGTH.pack(len(data)) + data)
        while view:
            view = view[os.write(report, view) :]

    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and stops us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            work(send)
        except BlockpackError as error:
            send(error)
        status = 0
    except BrokenPipeError:
        pass  # the parent is gone
    finally:
        os._exit(status)
