"""One connection's bytes: whole messages, by a deadline, and never more memory than is allowed."""

from __future__ import annotations

import socket
import time

PATIENCE = 60.0
"""Seconds within which a client takes some of what it asked for, or sends the rest of a message."""

_BUFFER = 64 << 10


class Gone(Exception):
    """The client closed the connection, or did not keep to a deadline."""


class Wire:
    """A connected socket; raises `Gone` when there is no use in going on."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(_BUFFER)
        self._start = self._end = 0
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
        parts = []
        while True:
            waiting = self._end - self._start
            if waiting:
                taken = min(waiting, count)
                parts.append(bytes(self._buffer[self._start : self._start + taken]))
                self._start += taken
                count -= taken
                idle = False
            if not count:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            self._fill(idle=idle)

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            count -= len(self.receive(min(count, _BUFFER)))

    def send(self, *parts: bytes | memoryview) -> None:
        """Send all parts, one after the other."""
        views = [memoryview(part) for part in parts if len(part)]
        while views:
            self._set_timeout(idle=False)
            try:
                sent = self._socket.sendmsg(views)
            except OSError as error:
                raise Gone(str(error)) from None
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views:
                views[0] = views[0][sent:]

    def _fill(self, *, idle: bool) -> None:
        self._set_timeout(idle=idle)
        self._waiting = idle or self._deadline is not None
        if self._waiting and self._ending:
            raise Gone("the server ends")
        try:
            count = self._socket.recv_into(self._buffer)
        except OSError as error:
            raise Gone(str(error)) from None
        finally:
            self._waiting = False
        if not count:
            raise Gone("the client closed the connection")
        self._start, self._end = 0, count

    def _set_timeout(self, *, idle: bool) -> None:
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise Gone("the handshake took too long")
            self._socket.settimeout(left)
        else:
            self._socket.settimeout(None if idle else PATIENCE)
