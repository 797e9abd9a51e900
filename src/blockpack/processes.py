"""Forked processes that work for this one and report through a pipe.

A worker shares what its parent has made without copying it: that is why it is forked. It holds no
resource but descriptors, and ends when the parent does: a report through a pipe without a reader
fails.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, NoReturn, Self

from attrs import define, field, frozen

from .errors import BlockpackError

Send = Callable[[object], None]
"""Sends one message, anything that can be pickled, to the parent."""

_LENGTH = struct.Struct("=Q")
_NUMBER = struct.Struct("=I")


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
    def start(cls, work: Callable[[Send], None], others: Iterable[int] = ()) -> Self:
        """Fork a process that does `work`; a `BlockpackError` in it is its last message.

        It lets go of its own and the `others`' ends of the pipes that this process reads, or it
        would not notice when nobody reads them any more. Raises `OSError`.
        """
        results, report = os.pipe()
        try:
            process = os.fork()
        except OSError:
            os.close(results)
            os.close(report)
            raise
        if not process:
            _live(work, report, (results, *others))
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


@frozen
class Queue:
    """The numbers from 0 on, shared out: each is taken once, by one of the processes."""

    MOST: ClassVar[int] = 1024
    """As many as the smallest pipe holds."""

    _numbers: int

    @classmethod
    def of(cls, count: int) -> Self:
        """The numbers below `count`, which is at most `MOST`."""
        numbers, fill = os.pipe()
        os.write(fill, b"".join(map(_NUMBER.pack, range(count))))
        os.close(fill)
        return cls(numbers)

    def __iter__(self) -> Iterator[int]:
        while number := os.read(self._numbers, _NUMBER.size):  # four bytes are read at once
            yield _NUMBER.unpack(number)[0]

    def close(self) -> None:
        """Let go of it, in this process."""
        os.close(self._numbers)


@define
class Crew:
    """Workers that do the same work together; a context manager that ends them."""

    _lost: Callable[[str], BlockpackError]
    """The error for a worker that came to an end otherwise than by itself."""
    _workers: dict[int, Worker] = field(factory=dict, init=False)
    _selector: selectors.BaseSelector = field(factory=selectors.DefaultSelector, init=False)

    def start(self, jobs: int, work: Callable[[Send], None]) -> int:
        """Fork `jobs` processes that do `work`, or as many as may be; how many these are."""
        for number in range(jobs):
            with _signals_held():
                try:
                    worker = Worker.start(work, self._workers)
                except OSError:  # too many processes, too little memory
                    return number
                self._workers[worker.results] = worker
            self._selector.register(worker.results, selectors.EVENT_READ)
        return jobs

    def messages(self, *, wait: bool = True) -> Iterator[object]:
        """What the workers send, until all have ended; without `wait`, what is there by now.

        Raises what the first worker that failed raised.
        """
        while self._workers and (ready := self._selector.select(None if wait else 0)):
            for key, _ in ready:
                message = self._workers[key.fd].receive()
                if message is None:
                    self._selector.unregister(key.fd)
                    how = self._workers.pop(key.fd).finish()
                    if how is not None:
                        raise self._lost(how)
                else:
                    yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for worker in self._workers.values():
            worker.stop()


_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep signals back between a worker's birth and its being known, for it could not be ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _live(work: Callable[[Send], None], report: int, not_ours: Iterable[int]) -> NoReturn:
    """The life of a worker, which is born with signals held back."""

    def send(message: object) -> None:
        data = pickle.dumps(message)
        view = memoryview(_LENGTH.pack(len(data)) + data)
        while view:
            view = view[os.write(report, view) :]

    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and stops us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        for descriptor in not_ours:
            os.close(descriptor)
        try:
            work(send)
        except BlockpackError as error:
            send(error)
        status = 0
    except BrokenPipeError:
        pass  # the parent is gone
    finally:
        os._exit(status)
