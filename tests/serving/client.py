"""A client of the NBD protocol that says what it is told to, also what no sound client would say.

Written from the NBD project's proto.md; shares no code with the server.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

READ, WRITE, DISCONNECT, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
EPERM, EIO, EINVAL, EOVERFLOW = 1, 5, 22, 75
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED = 1, 2, 3, 5, 6, 7, 8
LIST_META, SET_META = 9, 10
ACK, SERVER, INFO_REPLY, META = 1, 2, 3, 4
ERR_UNSUP, ERR_INVALID, ERR_UNKNOWN, ERR_TOO_BIG = (1 << 31 | code for code in (1, 3, 6, 9))


class OptionReply(NamedTuple):
    kind: int
    data: bytes


class Reply(NamedTuple):
    """A simple or structured reply; `data` is a chunk's payload, or nothing on an error."""

    error: int
    cookie: int
    data: bytes
    kind: int = 0


class Client:
    """A connection to the server at a Unix socket; greeted, and nothing more."""

    def __init__(self, path: Path, flags: int = 3, timeout: float = 20.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.structured = False
        self.size = 0
        try:
            self.socket.connect(str(path))
            assert self.receive(18) == b"NBDMAGICIHAVEOPT\0\3"
            self.send(struct.pack(">I", flags))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    @property
    def server(self) -> int:
        """The process that listens."""
        process, _, _ = struct.unpack("iII", self.socket.getsockopt(1, 17, 12))  # SO_PEERCRED
        return int(process)

    def is_closed(self) -> bool:
        """Whether the server has closed the connection, or does so before the timeout."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def option(
        self, option: int, data: bytes = b"", length: int | None = None
    ) -> list[OptionReply]:
        """All replies to an option, up to the one that ends it."""
        announced = len(data) if length is None else length
        self.send(struct.pack(">8sII", b"IHAVEOPT", option, announced) + data)
        replies: list[OptionReply] = []
        while not replies or not (replies[-1].kind == ACK or replies[-1].kind >> 31):
            magic, told, kind, count = struct.unpack(">QIII", self.receive(20))
            assert (magic, told) == (0x3E889045565A9, option)
            replies.append(OptionReply(kind, self.receive(count)))
        return replies

    def go(self, name: bytes = b"", *, structured: bool = True, allocation: bool = False) -> Self:
        """Agree on an export, as ordinary clients do."""
        if structured:
            assert self.option(STRUCTURED)[-1].kind == ACK
            self.structured = True
        if allocation:
            query = counted(b"base:allocation")
            found = self.option(SET_META, counted(name) + struct.pack(">I", 1) + query)
            assert [reply.kind for reply in found] == [META, ACK]
        replies = self.option(GO, counted(name) + struct.pack(">H", 0))
        assert replies[-1].kind == ACK
        kind, self.size, _ = struct.unpack(">HQH", replies[0].data)
        assert kind == 0
        return self

    def ask(
        self,
        command: int,
        offset: int = 0,
        length: int = 0,
        *,
        flags: int = 0,
        magic: int = 0x25609513,
    ) -> None:
        self.send(struct.pack(">IHHQQI", magic, flags, command, 7, offset, length))

    def reply(self, length: int = 0) -> Reply:
        """The reply to one request; a simple one has `length` bytes of data."""
        (magic,) = struct.unpack(">I", self.receive(4))
        if magic == 0x67446698:
            error, cookie = struct.unpack(">IQ", self.receive(12))
            return Reply(error, cookie, b"" if error else self.receive(length))
        assert magic == 0x668E33EF and self.structured
        flags, kind, cookie, count = struct.unpack(">HHQI", self.receive(16))
        payload = self.receive(count)
        if kind >> 15:
            assert flags == 1
            error, said = struct.unpack(">IH", payload[:6])
            assert payload[6 : 6 + said].isascii()
            return Reply(error, cookie, payload[6:], kind)
        if not flags:  # more chunks follow; here they are of data, and in order
            more = self.reply()
            if more.error:
                return more
            begin, next_begin = (struct.unpack(">Q", each[:8])[0] for each in (payload, more.data))
            assert kind == more.kind == 1 and begin + count - 8 == next_begin
            payload += more.data[8:]
        return Reply(0, cookie, payload, kind)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the export; those of a hole are zeros. Raises `OSError` on an error."""
        self.ask(READ, offset, length)
        reply = self.reply(length)
        if reply.error:
            raise OSError(reply.error, reply.data.decode("utf-8", "replace"))
        if reply.kind == 1:
            assert struct.unpack(">Q", reply.data[:8]) == (offset,)
            return reply.data[8:]
        if reply.kind == 2:
            assert struct.unpack(">QI", reply.data) == (offset, length)
            return bytes(length)
        return reply.data


def counted(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text
