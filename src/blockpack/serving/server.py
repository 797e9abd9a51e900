"""The server: connections in processes of their own, so that no client waits for another.

A process reads by itself and has its own memory for what is sent: bytes that were compared with
their source are what the client gets, whatever becomes of the source meanwhile. Threads would lose
half the speed on small files to the interpreter's lock; they serve where nothing may fork.
"""

from __future__ import annotations

import errno
import gc
import mmap
import os
import select
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, NoReturn

from ..errors import UsageError
from ..reading.lifetime import Closing, held, on_failure
from ..workers.pool import ENDING, signals_held
from . import protocol
from .export import Export
from .listening import Listener
from .transmission import converse
from .wire import Wire

MOST_CONNECTIONS = 256
"""Connections at a time. Who comes then takes the place of the client that was silent longest."""

LEAST_IDLE = 1.0
"""Seconds for which a client was silent, at least, that loses its place to another."""

_PAUSE = 0.1
"""Seconds without new connections after there was no room for one."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)
"""What the system says when it has no descriptor, memory or process to spare."""

_MOST_TOLD = 10_000
"""Things of which is known that they were told."""

_AT_ONCE = 64 << 10
"""Bytes that a pipe holds, at most."""

GRACE = 5.0
"""Seconds that connections have to finish what they are at, when the server ends."""


class _Process(NamedTuple):
    """A connection in a process of its own; `place` is that of its clock."""

    place: int
    pid: int

    def end(self, *, now: bool = False) -> None:
        """Let it finish what it is at, unless it is to end `now`."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL if now else signal.SIGTERM)


class _Thread(NamedTuple):
    """A connection in a thread."""

    place: int
    thread: threading.Thread
    socket: socket.socket

    def end(self, *, now: bool = False) -> None:
        """As of a process."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR if now else socket.SHUT_RD)


class Server(Closing):
    """Serves `exports` on `listeners`, which are its own from now on. `log` hears what goes wrong
    with a source, once of each. `forking` gives connections processes of their own, not threads.
    """

    def __init__(
        self,
        exports: Iterable[Export],
        listeners: Iterable[Listener],
        log: Callable[[str], object],
        *,
        forking: bool,
    ) -> None:
        self._exports = {export.name.encode("utf-8"): export for export in exports}
        if not self._exports:
            raise UsageError("", "there is nothing to serve")
        self._listeners = list(listeners)
        self._log = log
        self._told: set[int] = set()
        self._selector = selectors.DefaultSelector()
        self._listening = False
        self._pausing = False
        self._processes: dict[int, _Process] = {}
        """By the pipe that each tells the host's news by, and its own end."""
        self._threads: list[_Thread] = []
        self._clocks = memoryview(mmap.mmap(-1, 8 * MOST_CONNECTIONS)).cast("d")
        self._forking = forking
        self._process = os.getpid()

    def addresses(self) -> list[str]:
        """Where clients find the default export, or else the first (NBD URIs)."""
        name = "" if b"" in self._exports else next(iter(self._exports.values())).name
        return [listener.uri(name) for listener in self._listeners]

    def serve(self) -> NoReturn:
        """Serve until an exception ends it, such as `KeyboardInterrupt`."""
        self._rehearse()
        gc.freeze()  # what is there is shared with all processes: nobody is to touch it
        try:
            while True:
                self._listen(not self._pausing)
                timeout = _PAUSE if self._pausing else None if self._forking else 0.2
                self._pausing = False
                for key, _ in self._selector.select(timeout):
                    if isinstance(key.fileobj, socket.socket):
                        self._accept(key.fileobj)
                    else:
                        self._hear(key.fd)
                self._threads = [each for each in self._threads if each.thread.is_alive()]
        finally:
            gc.unfreeze()

    def _rehearse(self) -> None:
        """Answer a client of our own: what CPython has adapted before it forks is shared by all."""
        client, connection = socket.socketpair()
        with client, connection:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
            client.sendall(protocol.rehearsal(next(iter(self._exports))))
            client.shutdown(socket.SHUT_WR)
            converse(Wire(connection), self._exports, lambda *_: None)

    def _listen(self, listening: bool) -> None:
        """Take clients, or have who comes wait, as the system lets him."""
        if listening == self._listening:
            return
        self._listening = listening
        for listener in self._listeners:
            if listening:
                listener.socket.setblocking(False)
                self._selector.register(listener.socket, selectors.EVENT_READ)
            else:
                self._selector.unregister(listener.socket)

    def _accept(self, listener: socket.socket) -> None:
        place = self._place()
        if place is None:
            return
        try:
            connection, _ = listener.accept()
        except OSError as error:
            self._note_exhausted(error)  # otherwise the client has gone again
            return
        with connection:
            if connection.family != getattr(socket, "AF_UNIX", None):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            try:
                if self._forking:
                    self._fork(connection, place)
                else:
                    own = connection.dup()
                    thread = threading.Thread(target=self._converse, args=(own, place), daemon=True)
                    thread.start()
                    self._threads.append(_Thread(place, thread, own))
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                self._log(f"a connection was refused: {error}")
                self._note_exhausted(error)

    @property
    def _connections(self) -> list[_Process | _Thread]:
        return [*self._processes.values(), *self._threads]

    def _place(self) -> int | None:
        """A place that is free; None if there is none, and who was silent longest loses his."""
        connections = self._connections
        free = set(range(MOST_CONNECTIONS)).difference(each.place for each in connections)
        now = time.monotonic()
        if free:
            place = min(free)
            self._clocks[place] = now
            return place
        silent = min(connections, key=lambda each: self._clocks[each.place])
        if now - self._clocks[silent.place] >= LEAST_IDLE:
            silent.end(now=True)
        self._pausing = True  # until one has ended
        return None

    def _note_exhausted(self, error: Exception) -> None:
        """Take no clients for a while if the system has no room for them."""
        if not isinstance(error, OSError) or error.errno in _EXHAUSTED:
            self._pausing = True

    def _converse(self, connection: socket.socket, place: int) -> None:
        """All that a client asks for, until one of the two leaves; in a thread."""
        with connection:
            wire = Wire(connection, self._clocks[place : place + 1])
            converse(wire, self._exports, lambda about, text: self._tell(hash(about or text), text))

    def _fork(self, connection: socket.socket, place: int) -> None:
        """Start the process of a connection. Signals wait until it is known, and until it has its
        own handlers: else it would be left behind, or end the server.
        """
        news, telling = os.pipe()
        with held(telling), signals_held():
            with on_failure(lambda: os.close(news)):
                pid = os.fork()
            if not pid:
                for descriptor in (news, *self._processes, self._selector.fileno()):
                    os.close(descriptor)
                self._child(connection, place, telling)
            self._processes[news] = _Process(place, pid)
            self._selector.register(news, selectors.EVENT_READ)

    def _child(self, connection: socket.socket, place: int, telling: int) -> NoReturn:
        def tell(about: str, text: str) -> None:
            line = f"{hash(about or text)} {text}".encode("utf-8", "replace")
            with suppress(OSError):  # the server is no more
                os.write(telling, line[: select.PIPE_BUF - 1] + b"\n")  # all of it at once

        code = 1
        try:
            wire = Wire(connection, self._clocks[place : place + 1], self._process)
            for number in ENDING:
                signal.signal(number, signal.SIG_IGN)  # the server tells when to end
            signal.signal(signal.SIGTERM, lambda *_: wire.end())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            for listener in self._listeners:
                listener.socket.close()
            converse(wire, self._exports, tell)
            code = 0
        except Exception as error:
            tell("", f"a connection failed: {error!r}")
        finally:
            os._exit(code)

    def _hear(self, news: int) -> None:
        """What the process of a connection tells, or that it has come to its end."""
        told = os.read(news, _AT_ONCE)
        for line in told.decode("utf-8", "replace").splitlines():
            about, _, text = line.partition(" ")
            self._tell(int(about), text)
        if told:
            return
        process = self._processes.pop(news)
        self._selector.unregister(news)
        os.close(news)
        with suppress(ChildProcessError):
            os.waitpid(process.pid, 0)

    def _tell(self, about: int, text: str) -> None:
        """Tell what is not told yet; a thing is known by its hash, alike in all processes."""
        if about not in self._told:
            if len(self._told) >= _MOST_TOLD:
                self._told.clear()
            self._told.add(about)
            self._log(text)

    def close(self) -> None:
        """Take no more clients, and let those that are there finish what they are at."""
        for listener in self._listeners:
            listener.close()
        for each in self._connections:
            each.end()
        until = time.monotonic() + GRACE
        for own in self._threads:
            own.thread.join(max(until - time.monotonic(), 0))
            own.end(now=True)  # a thread that is left reads what is closed next
            own.thread.join(1)
        while self._processes:
            left = until - time.monotonic()
            if left <= 0:
                for process in self._processes.values():
                    process.end(now=True)
            for key, _ in self._selector.select(max(left, 0.1)):
                if not isinstance(key.fileobj, socket.socket):
                    self._hear(key.fd)
        self._selector.close()
