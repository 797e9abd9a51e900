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

_TOGETHER = 32 << 10
"""Bytes from which on replies are sent, though there are more requests to answer."""

_HEAD = 64
"""Bytes of the longest head of data."""

MOST_AT_ONCE = 256 << 10
"""Bytes of data in one message to the client, at most."""


class Gone(Exception):
    """The client closed the connection, or did not keep to a deadline."""


class Wire:
    """A connected socket; raises `Gone` when there is no use in going on, or this process is no
    child of `server` any more. `clock` tells others when bytes last passed (`time.monotonic`). What
    is to be sent is put into `replies`, from byte `unsent` on: there is room for one more message.
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
        self.replies = memoryview(mmap.mmap(-1, _TOGETHER + _HEAD + MOST_AT_ONCE))
        self.unsent = 0
        self.deadline: float | None = None
        """By when (`time.monotonic`) all that follows is to be done, if by any time."""
        self._waiting = False
        self._ending = False

    def end(self) -> None:
        """End the connection once the request at hand is answered: for a signal's handler."""
        self._ending = True
        if self._waiting:
            raise Gone("the server ends")

    def receive(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._await(count)
        self._taken += count
        return self._received[self._taken - count : self._taken]

    def messages(self, size: int) -> bytes:
        """All messages of `size` bytes that have come whole; the first may take for ever."""
        if self._taken == len(self._received):
            self._received = self._more(idle=True)
            self._taken = 0
        there = self._await(size)
        begin = self._taken
        self._taken += there - there % size
        return self._received[begin : self._taken]

    def give_back(self, count: int) -> None:
        """Have the last `count` bytes not be received yet."""
        self._taken -= count

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            count -= len(self.receive(min(count, _BUFFER)))

    def send(self, data: bytes) -> None:
        """Send a short message."""
        begin = self.unsent
        self.replies[begin : begin + len(data)] = data
        self.put(begin + len(data))

    def put(self, unsent: int) -> None:
        """Send the first `unsent` bytes of `replies`; a few wait for what else is answered."""
        self.unsent = unsent
        if unsent >= _TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        begin, end = 0, self.unsent
        while begin < end:
            view = self.replies[begin:end]
            try:
                begin += self._socket.send(view)
            except OSError as error:
                begin += self._again(self._socket.send, view, error)
            self._clock[0] = time.monotonic()
        self.unsent = 0

    def _await(self, count: int) -> int:
        """Wait for `count` bytes; how many there are."""
        while len(self._received) - self._taken < count:
            self._received = self._received[self._taken :] + self._more()
            self._taken = 0
        return len(self._received) - self._taken

    def _more(self, *, idle: bool = False) -> bytes:
        if self.unsent:
            self.flush()
        self._waiting = idle or self.deadline is not None
        try:
            if self._waiting and self._ending:
                raise Gone("the server ends")
            data = self._socket.recv(_BUFFER)
        except OSError as error:
            data = self._again(self._socket.recv, _BUFFER, error, idle=idle)
        finally:
            self._waiting = False
        self._clock[0] = now = time.monotonic()
        if self.deadline is not None and now > self.deadline:
            raise Gone("the handshake took too long")
        if not data:
            raise Gone("the client closed the connection")
        return data

    def _again(
        self, call: Callable[[_A], _R], argument: _A, error: OSError, *, idle: bool = False
    ) -> _R:
        """Repeat a call that would block until it does not. Raises `Gone`, for other errors at
        once.
        """
        waited = 0
        while isinstance(error, BlockingIOError):
            waited += _TICK
            if waited >= PATIENCE and not idle:
                raise Gone("the client takes too long")
            if self.deadline is not None and time.monotonic() > self.deadline:
                raise Gone("the handshake took too long")
            if self._server not in (None, os.getppid()):
                raise Gone("the server is no more")
            try:
                return call(argument)
            except OSError as another:
                error = another
        raise Gone(str(error)) from None
