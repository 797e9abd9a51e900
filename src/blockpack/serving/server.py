"""The server: connections in processes of their own, so that no client waits for another.

A process reads by itself and has its own memory for what is sent: bytes that were compared with
their source are what the client gets, whatever becomes of the source meanwhile. Threads would lose
half the speed on small files to the interpreter's lock; they serve where nothing may fork.
"""

from __future__ import annotations

import errno
import gc
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NoReturn

from ..errors import UsageError
from ..workers.processors import may_fork
from .export import Export
from .listening import Listener
from .transmission import Log, converse
from .wire import Wire

MOST_CONNECTIONS = 256
"""Connections at a time; others wait until one of them ends."""

_PAUSE = 0.5
"""Seconds without new connections after the system had no room for one."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN)
"""What the system says when it has no descriptor, memory or process to spare."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

GRACE = 5.0
"""Seconds that connections have to finish what they are at, when the server ends."""


class Server:
    """Serves `exports` on `listeners`, which are its own from now on; a context manager.

    `log` hears what goes wrong with a source.
    """

    def __init__(self, exports: Iterable[Export], listeners: Iterable[Listener], log: Log) -> None:
        self._exports: Mapping[bytes, Export] = {
            export.name.encode("utf-8"): export for export in exports
        }
        if not self._exports:
            raise UsageError("", "there is nothing to serve")
        self._listeners = list(listeners)
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._listening = False
        self._exhausted = False
        self._processes: dict[int, int] = {}
        """The process of each connection, by the pipe whose end tells that of the process."""
        self._threads: dict[threading.Thread, socket.socket] = {}
        self._forking = may_fork() and all(
            export.reader.forkable for export in self._exports.values()
        )

    def addresses(self) -> list[str]:
        """Where clients find the default export, or else the first (NBD URIs)."""
        name = "" if b"" in self._exports else next(iter(self._exports.values())).name
        return [listener.uri(name) for listener in self._listeners]

    def serve(self) -> NoReturn:
        """Serve until an exception ends it, such as `KeyboardInterrupt`."""
        gc.collect()
        gc.freeze()  # what is there is shared with all processes: nobody is to touch it
        try:
            while True:
                connections = len(self._processes) + len(self._threads)
                self._listen(connections < MOST_CONNECTIONS and not self._exhausted)
                timeout = _PAUSE if self._exhausted else None if self._forking else 0.2
                self._exhausted = False
                for key, _ in self._selector.select(timeout):
                    if isinstance(key.fileobj, socket.socket):
                        self._accept(key.fileobj)
                    else:
                        self._ended(key.fd)
                self._threads = {
                    each: own for each, own in self._threads.items() if each.is_alive()
                }
        finally:
            gc.unfreeze()

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
        try:
            connection, _ = listener.accept()
        except OSError as error:
            self._note_exhausted(error)  # otherwise the client has gone again
            return
        with connection:
            connection.setblocking(True)
            if connection.family != getattr(socket, "AF_UNIX", None):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            try:
                if self._forking:
                    self._fork(connection)
                else:
                    self._start_thread(connection.dup())
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                self._log(f"a connection was refused: {error}")
                self._note_exhausted(error)

    def _note_exhausted(self, error: Exception) -> None:
        """Take no clients for a while if the system has no room for them."""
        if not isinstance(error, OSError) or error.errno in _EXHAUSTED:
            self._exhausted = True

    def _start_thread(self, connection: socket.socket) -> None:
        thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
        thread.start()
        self._threads[thread] = connection

    def _fork(self, connection: socket.socket) -> None:
        """Start the process of a connection. Signals wait until it is known, and until it has its
        own handlers: else it would be left behind, or end the server.
        """
        alive, ended = os.pipe()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            pid = os.fork()
            if not pid:
                self._child(connection, mask)
            self._processes[alive] = pid
            self._selector.register(alive, selectors.EVENT_READ)
        except OSError:
            os.close(alive)
            raise
        finally:
            os.close(ended)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _child(self, connection: socket.socket, mask: Iterable[int]) -> NoReturn:
        """One connection, from here to the end of the process."""
        code = 1
        try:
            wire = Wire(connection)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server tells when to end
            signal.signal(signal.SIGTERM, lambda *_: wire.end())
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for listener in self._listeners:
                listener.socket.close()
            for alive in self._processes:
                os.close(alive)
            converse(wire, self._exports, self._log)
            code = 0
        except Exception as error:
            self._log(f"a connection failed: {error!r}")
        finally:
            os._exit(code)

    def _converse(self, connection: socket.socket) -> None:
        """All that a client asks for, until one of the two leaves; in a thread."""
        with connection:
            converse(Wire(connection), self._exports, self._log)

    def _ended(self, alive: int) -> None:
        """The process of a connection has come to its end; a signal may interrupt this."""
        pid = self._processes.pop(alive)
        self._selector.unregister(alive)
        os.close(alive)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)

    def close(self) -> None:
        """Take no more clients, and let those that are there finish what they are at."""
        for listener in self._listeners:
            listener.close()
        for pid in self._processes.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for connection in self._threads.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        until = time.monotonic() + GRACE
        for thread, connection in self._threads.items():
            thread.join(max(until - time.monotonic(), 0))
            with suppress(OSError):  # a thread that is left reads what is closed next
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(1)
        while self._processes and (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if not isinstance(key.fileobj, socket.socket):
                    self._ended(key.fd)
        for alive, pid in list(self._processes.items()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._ended(alive)
        self._selector.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
