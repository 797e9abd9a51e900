"""One connection's bytes: whole messages, by a deadline, and never more memory than is allowed."""

from __future__ import annotations

import select
import socket
import time

PATIENCE = 60.0
"""Seconds within which a client takes some of what it asked for, or sends the rest of a message."""

_BUFFER = 8 << 10

_TOGETHER = 16 << 10
"""Bytes from which on replies are sent, though there are more requests to answer."""


class Gone(Exception):
    """The client closed the connection, or did not keep to a deadline."""


class Wire:
    """A connected socket; raises `Gone` when there is no use in going on.

    That is so, too, when nobody reads the pipe `server` any more. `clock` is one number, which
    others may see: when bytes last passed (`time.monotonic`).
    """

    def __init__(
        self,
        connection: socket.socket,
        clock: memoryview[float] | None = None,
        server: int | None = None,
    ) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._clock = memoryview(bytearray(8)).cast("d") if clock is None else clock
        self._server = server
        self._poll = select.poll()
        if server is not None:
            self._poll.register(server, 0)  # an error is told in any case
        self._event = select.POLLIN
        self._poll.register(connection, self._event)
        self._received = b""
        self._together = memoryview(bytearray(_TOGETHER))
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
        while len(self._received) < count:
            self._received += self._more(idle=idle and not self._received)
        found, self._received = self._received[:count], self._received[count:]
        return found

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        while count:
            count -= len(self.receive(min(count, _BUFFER)))

    def send(self, *parts: bytes | memoryview) -> None:
        """Send all parts, one after the other; a few bytes wait if there is more to answer."""
        count = self._unsent + sum(map(len, parts))
        if self._received and count <= _TOGETHER:
            for part in parts:
                self._together[self._unsent : self._unsent + len(part)] = part
                self._unsent += len(part)
        else:
            self._send([self._together[: self._unsent], *parts])
            self._unsent = 0

    def flush(self) -> None:
        """Send what waits."""
        if self._unsent:
            self._send([self._together[: self._unsent]])
            self._unsent = 0

    def _send(self, parts: list[bytes | memoryview]) -> None:
        views = [memoryview(part) for part in parts if len(part)]
        while views:
            try:
                sent = self._socket.sendmsg(views)
            except BlockingIOError:
                self._wait(select.POLLOUT)
                continue
            except OSError as error:
                raise Gone(str(error)) from None
            self._clock[0] = time.monotonic()
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if views:
                views[0] = views[0][sent:]

    def _more(self, *, idle: bool) -> bytes:
        """What the client sent since."""
        self.flush()
        self._waiting = idle or self._deadline is not None
        try:
            if self._waiting and self._ending:
                raise Gone("the server ends")
            self._wait(select.POLLIN, idle=idle)
            data = self._socket.recv(_BUFFER)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise Gone(str(error)) from None
        finally:
            self._waiting = False
        if not data:
            raise Gone("the client closed the connection")
        self._clock[0] = time.monotonic()
        return data

    def _wait(self, event: int, *, idle: bool = False) -> None:
        """Wait until the client sends or takes something."""
        seconds = None if idle else PATIENCE
        if self._deadline is not None:
            seconds = self._deadline - time.monotonic()
            if seconds <= 0:
                raise Gone("the handshake took too long")
        if event != self._event:
            self._poll.modify(self._socket, event)
            self._event = event
        found = self._poll.poll(None if seconds is None else seconds * 1000)
        if not found:
            raise Gone("the client takes too long")
        if any(descriptor == self._server for descriptor, _ in found):
            raise Gone("the server is no more")
