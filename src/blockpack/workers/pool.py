"""Forked processes that work for this one and report through a pipe.

A worker shares what its parent has made without copying it: that is why it is forked. It holds no
resource but descriptors, and ends when the parent does: a report through a pipe without a reader
fails.

Work is shared out by numbers: each is taken once, by whichever process is free.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar, cast

from ..errors import BlockpackError, SourceError, TargetError

if TYPE_CHECKING:
    from types import FrameType

    from .sharing import SharedCount

MOST_NUMBERS = 1024
"""The most numbers that a pool shares out: as many as the smallest pipe holds."""

Result = TypeVar("Result")

Send = Callable[[object], None]
"""Sends one message, anything that can be pickled, to the parent."""

_FRAME = struct.Struct("=Q")  # bytes of the message that follows; none when all has been done
_NUMBER = struct.Struct("=I")
ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""The signals that end a process which cleans up; not every system has them all."""


Lost = Callable[[str], BlockpackError]
"""Makes the error for a worker that was lost, of how that came about (``was killed by …``)."""


def lost_process(what: str, outcome: str, remedy: str = "try again") -> Lost:
    """What is raised if `what` (``a writing process``) is lost, and what that comes to."""
    return lambda how: TargetError("", f"{what} {how}, and {outcome}", remedy)


def lost_reader(of: str) -> Lost:
    """What is raised if a process is lost that reads a source."""
    return lambda how: SourceError(of, f"a process that reads it {how}", "pack it again")


class WorkerPool:
    """Workers that share out the numbers below `count`, `MOST_NUMBERS` at most; a context manager
    that ends them. Raises `OSError` if there are too few descriptors left.
    """

    def __init__(self, count: int, lost: Lost) -> None:
        import pickle  # noqa: F401 - here, and not where a worker is out of descriptors
        from selectors import DefaultSelector

        if count > MOST_NUMBERS:
            raise ValueError(f"{count} numbers do not fit a pipe")
        self._lost = lost
        self._workers: dict[int, Worker] = {}
        self._numbers, fill = os.pipe()
        try:
            os.write(fill, b"".join(map(_NUMBER.pack, range(count))))
            self._selector = DefaultSelector()
        except BaseException:
            os.close(self._numbers)
            raise
        finally:
            os.close(fill)

    def start(self, jobs: int, work: Callable[[Send], None]) -> int:
        """Fork `jobs` processes that do `work`, or as many as may be; how many these are."""
        from selectors import EVENT_READ

        for number in range(jobs):
            with signals_held():
                try:
                    worker = Worker.start(work, self._workers)
                except OSError:  # too many processes, too little memory
                    return number
                self._workers[worker.results] = worker
            self._selector.register(worker.results, EVENT_READ)
        return jobs

    def numbers(self) -> Iterator[int]:
        """One number after another that nobody else has taken, until all are; for any process."""
        while number := os.read(self._numbers, _NUMBER.size):  # four bytes are read at once
            yield _NUMBER.unpack(number)[0]

    def messages(self, *, wait: bool = True) -> Iterator[object]:
        """What workers send, until all end, or without `wait` by now; raises what one raised."""
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
        os.close(self._numbers)
        for worker in self._workers.values():
            worker.stop()


def shared_out(
    count: int,
    jobs: int,
    work: Callable[[int], Result],
    lost: Lost,
    done: SharedCount | None = None,
) -> Iterator[tuple[int, Result]]:
    """Each number below `count`, `MOST_NUMBERS` at most, and what `work` makes of it, by `jobs`
    processes, in no order. This one is among them, and alone where no others can be had. What is
    `done` is counted for all. Raises what `work` raises, that of others as soon as this one counts.
    """
    jobs = min(jobs, count)
    try:
        pool = WorkerPool(count, lost) if jobs > 1 else None
    except OSError:  # too few descriptors left
        pool = None
    if pool is None:
        yield from ((number, work(number)) for number in range(count))
        return

    def work_off(send: Send) -> None:
        for number in pool.numbers():
            send((number, work(number), done.untold() if done is not None else 0))

    heard: list[object] = []

    def listen() -> None:
        heard.extend(pool.messages(wait=False))

    def results(messages: Iterable[object]) -> Iterator[tuple[int, Result]]:
        for number, result, count in cast(Iterable[tuple[int, Result, int]], messages):
            if done is not None:
                done.tell(count)
            yield number, result

    if done is not None:
        done.listen = listen
    with pool:
        pool.start(jobs - 1, work_off)
        for number in pool.numbers():
            yield number, work(number)
            listen()  # now and then, for a full pipe would hold the others up
            yield from results(heard)
            heard.clear()
        yield from results(pool.messages())


class Worker:
    """A forked process, and the pipe that it reports through."""

    def __init__(self, process: int, results: int) -> None:
        self.process = process
        self.results = results
        self._done = False

    @classmethod
    def start(cls, work: Callable[[Send], None], others: Iterable[int] = ()) -> Self:
        """Fork a process that does `work`; an error in it is its last message. It lets go of its
        own and the `others`' ends of the pipes that this process reads, or it would not notice when
        nobody reads them any more. Raises `OSError`.
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
        frame = self._read(_FRAME.size)
        if not frame:
            return None
        (length,) = _FRAME.unpack(frame)
        if not length:
            self._done = True
            return self.receive()
        message = self._read(length)
        if message is None:
            return None
        import pickle

        value = pickle.loads(message)
        if isinstance(value, Exception):
            raise value
        return value

    def finish(self) -> str | None:
        """Wait for the end; how it came about, unless all was well."""
        os.close(self.results)
        try:
            _, status = os.waitpid(self.process, 0)
        except ChildProcessError:  # somebody else waits for all children, or nobody is to
            return None if self._done else "came to an end"
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"was killed by signal {-code}"
        return None if self._done else f"ended with status {code}"

    def stop(self) -> None:
        """Kill it."""
        with suppress(ProcessLookupError):  # somebody else waited for it
            os.kill(self.process, signal.SIGKILL)
        self.finish()

    def _read(self, length: int) -> bytes | None:
        """`length` bytes; None if the worker ended before."""
        parts = []
        while length:
            part = os.read(self.results, length)
            if not part:
                return None
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


@contextmanager
def signals_held() -> Iterator[None]:
    """Keep back the signals that end a process, between two things that belong together.

    Other threads may let them through, and then Python raises here what it makes of them: that is
    kept back, too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    usual = {number: signal.getsignal(number) for number in ENDING}
    came: list[int] = []
    over = False

    def came_by_thread(number: int, frame: FrameType | None) -> None:
        handler = usual[number]
        if over and callable(handler):
            handler(number, frame)
        else:
            came.append(number)

    try:
        with suppress(ValueError):  # in another thread than the first, nothing is raised
            for number in filter(lambda number: callable(usual[number]), ENDING):
                signal.signal(number, came_by_thread)
        yield
    finally:
        over = True
        try:
            for number, handler in usual.items():
                if signal.getsignal(number) is came_by_thread:
                    signal.signal(number, handler)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(number)


class _ParentGone(Exception):
    """Nobody reads what a worker sends."""


def _live(work: Callable[[Send], None], report: int, not_ours: Iterable[int]) -> NoReturn:
    """The life of a worker, which is born with signals held back."""

    def send(message: object) -> None:
        import pickle

        data = pickle.dumps(message)
        put(_FRAME.pack(len(data)) + data)

    def put(data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(report, view) :]
        except BrokenPipeError:
            raise _ParentGone from None

    status = 1
    try:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and stops us
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        for descriptor in not_ours:
            os.close(descriptor)
        try:
            work(send)
            put(_FRAME.pack(0))
        except _ParentGone:
            raise
        except Exception as error:
            send(_portable(error))
        status = 0
    except _ParentGone:
        pass
    finally:
        os._exit(status)


def _portable(error: Exception) -> Exception:
    """`error` as the parent can raise it; one that is not ours with the way that it came."""
    import pickle

    try:
        is_same = type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # whatever an error's own way to be pickled may raise
        is_same = False
    if not is_same:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    if not isinstance(error, BlockpackError):
        import traceback

        error.add_note(f"In a forked process:\n{traceback.format_exc()}")
    return error
