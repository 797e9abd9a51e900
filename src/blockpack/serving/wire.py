"""One connection's bytes: whole messages, by a deadline, and never more memory than is allowed.

The socket blocks, and gives up each `_TICK` to look whether there is any use in waiting on. So a
request costs one system call to receive and one to answer it, or less where several come at once.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import TypeVar

_A = TypeVar("_A")
_R = TypeVar("_R")

PATIENCE = 60.0
"""Seconds within which a client takes some of what it asked for, or sends the rest of a message."""

_TICK = 1
"""Seconds between two looks at whether to wait on."""

_BUFFER = 8 << 10

_TOGETHER = 16 << 10
"""Bytes from which on replies are sent, though there are more requests to answer."""

MOST_AT_ONCE = 256 << 10
"""Bytes of data in one message to the client, at most."""

_ROOM = MOST_AT_ONCE + 64
"""What is sent at once, with the head of a message."""


class Gone(Exception):
    """The client closed the connection, or did not keep to a deadline."""


class Wire:
    """A connected socket; raises `Gone` when there is no use in going on.

    That is so, too, when the process `server` is not this one's parent any more. `clock` is one
    number, which others may see: when bytes last passed (`time.monotonic`).
    """

    def __init__(
        self,
        connection: socket.socket,
        clock: memoryview[float] | None = None,
        server: int | None = None,
    ) -> None:
        connection.setblocking(True)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _TICK, 0))
        self._socket = connection
        self._clock = memoryview(bytearray(8)).cast("d") if clock is None else clock
        self._server = server
        self._received = b""
        self._taken = 0
        self._replies = memoryview(mmap.mmap(-1, _ROOM))  # which takes what is used of it
        self._unsent = 0
        self._deadline: float | None = None
        self._waiting = False
        self._ending = False

    def end(self) -> None:
        """End the connection once the request at hand is answered: for a signal's handler."""
        self._ending = True
        if self._waiting:
            raise Gone("the server ends")

    def by(self, deadline: float | None) -> None:
        """Have all that follows be done by `deadline` (`time.monotonic`); None ends that."""
        self._deadline = deadline

    def receive(self, count: int, *, idle: bool = False) -> bytes:
        """The next `count` bytes; with `idle` the first of them may take for ever."""
        begin = self._taken
        end = begin + count
        while len(self._received) < end:
            left = self._received[begin:]
            self._received = left + self._more(idle=idle and not left)
            begin, end = 0, count
        self._taken = end
        return self._received[begin:end]

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            count -= len(self.receive(min(count, _BUFFER)))

    def room(self, count: int) -> memoryview:
        """Where the next `count` bytes that are to be sent are put, before `put` has them sent."""
        if self._unsent + count > _ROOM:
            self.flush()
        return self._replies[self._unsent : self._unsent + count]

    def put(self, count: int) -> None:
        """Send `count` bytes that are in their `room`; a few wait if there is more to answer."""
        self._unsent += count
        if self._unsent >= _TOGETHER:
            self.flush()

    def send(self, data: bytes) -> None:
        """Send a short message."""
        self.room(len(data))[:] = data
        self.put(len(data))

    def flush(self) -> None:
        """Send what waits."""
        view = self._replies[: self._unsent]
        self._unsent = 0
        while view:
            view = view[self._patiently(self._socket.send, view) :]

    def _more(self, *, idle: bool) -> bytes:
        """What the client sent since."""
        self.flush()
        self._waiting = idle or self._deadline is not None
        try:
            if self._waiting and self._ending:
                raise Gone("the server ends")
            data = self._patiently(self._socket.recv, _BUFFER, idle=idle)
        finally:
            self._waiting = False
        if not data:
            raise Gone("the client closed the connection")
        return data

    def _patiently(self, call: Callable[[_A], _R], argument: _A, *, idle: bool = False) -> _R:
        """What a call on the socket gives, once the client sends or takes something."""
        waited = 0
        while True:
            try:
                done = call(argument)
            except BlockingIOError:
                done = None
            except OSError as error:
                raise Gone(str(error)) from None
            now = time.monotonic()
            if self._deadline is not None and now > self._deadline:
                raise Gone("the handshake took too long")
            if done is not None:
                self._clock[0] = now
                return done
            waited += _TICK
            if waited >= PATIENCE and not idle:
                raise Gone("the client takes too long")
            if self._server not in (None, os.getppid()):
                raise Gone("the server is no more")
