"""The transmission phase: a client's requests, answered one after the other (proto.md).

A source that changed gives an error for what is read of it, and all else stays readable. The client
is told that, and nothing of this host's paths; the host is told which file it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from ..errors import BlockpackError
from . import protocol
from .allocation import MOST_DESCRIPTORS
from .export import Export
from .handshake import Agreed, Handshake
from .wire import MOST_AT_ONCE, Gone, Wire

Log = Callable[[str, str], object]
"""Hears what the host should know of: what it is about, and a text."""

_KNOWN_FLAGS = {
    protocol.READ: protocol.DONT_FRAGMENT,
    protocol.BLOCK_STATUS: protocol.REQUEST_ONE,
    protocol.FLUSH: 0,
}
_CHANGES = (protocol.WRITE, protocol.TRIM, protocol.WRITE_ZEROES, protocol.RESIZE)


def converse(wire: Wire, exports: Mapping[bytes, Export], log: Log) -> None:
    """All that a client asks for of `exports` by name, until one of the two leaves."""
    with suppress(Gone):
        agreed = Handshake(wire, exports).agree()
        if agreed is not None:
            transmission = Transmission(wire, agreed, log)
            while transmission.answer():
                pass
        wire.flush()


class Transmission:
    """One client's requests about what it agreed on."""

    def __init__(self, wire: Wire, agreed: Agreed, log: Log) -> None:
        self._wire = wire
        self._export = agreed.export
        self._structured = agreed.structured
        self._context = agreed.context
        self._log = log

    def answer(self) -> bool:
        """Answer the next request; False if the client takes its leave. Raises `Gone`."""
        request = self._wire.receive(protocol.REQUEST.size, idle=True)
        magic, flags, command, cookie, offset, length = protocol.REQUEST.unpack(request)
        if magic != protocol.REQUEST_MAGIC or command == protocol.DISCONNECT:
            return False
        if command == protocol.WRITE:
            if length > protocol.MOST_BYTES:
                return False
            self._wire.skip(length)
        refusal = self._refusal(command, flags, offset, length)
        if refusal is not None:
            self._fail(cookie, *refusal)
        elif command == protocol.READ:
            self._read(cookie, offset, length)
        elif command == protocol.BLOCK_STATUS:
            most = 1 if flags & protocol.REQUEST_ONE else MOST_DESCRIPTORS
            found = self._export.allocation.descriptors(offset, length, most)
            self._wire.send(protocol.block_status(cookie, self._context or 0, found))
        elif self._structured:  # nothing is written, so all is flushed
            self._wire.send(protocol.nothing(cookie))
        else:
            self._wire.send(protocol.simple_reply(cookie))
        return True

    def _refusal(
        self, command: int, flags: int, offset: int, length: int
    ) -> tuple[int, str] | None:
        """What speaks against a request, as an error and a text; None if nothing does."""
        if command in _CHANGES:
            return protocol.EPERM, "this export is read-only"
        known = _KNOWN_FLAGS.get(command)
        if known is None:
            return protocol.EINVAL, "there is no such command"
        if flags & ~known:
            return protocol.EINVAL, "there is no such flag for this command"
        if command == protocol.FLUSH:
            return None
        if not length or offset + length > self._export.size:
            return protocol.EINVAL, "this is not in the export"
        if command == protocol.BLOCK_STATUS:
            if self._context is None:
                return protocol.EINVAL, "no metadata context was agreed on"
        elif length > protocol.MOST_BYTES:
            return protocol.EINVAL, "this is more than one request may ask for"
        elif flags & protocol.DONT_FRAGMENT and length > MOST_AT_ONCE:
            return protocol.EOVERFLOW, "this is more than one chunk has"
        return None

    def _read(self, cookie: int, offset: int, length: int) -> None:
        if self._structured and self._export.allocation.is_zero(offset, length):
            self._wire.send(protocol.hole(cookie, offset, length))
            return
        end = offset + length
        pieces = [(at, min(MOST_AT_ONCE, end - at)) for at in range(offset, end, MOST_AT_ONCE)]
        begun = False
        try:
            if not self._structured and len(pieces) > 1:
                # A simple reply cannot tell of an error after its head: all is read once before.
                for at, count in pieces:
                    self._export.reader.read_into(self._wire.room(count), at)
            for at, count in pieces:
                head = b"" if begun else protocol.simple_reply(cookie)
                if self._structured:
                    head = protocol.data_head(cookie, at, count, last=at + count == end)
                room = self._wire.room(len(head) + count)
                self._export.reader.read_into(room[len(head) :], at)
                room[: len(head)] = head
                self._wire.put(len(room))
                begun = True
        except BlockpackError as error:
            where = f"bytes {at:,} to {at + count:,}"
            self._log(error.path, f"{where} cannot be read: {error}")
            if begun and not self._structured:
                raise Gone("a source changed within a reply") from None
            self._fail(cookie, protocol.EIO, "what is there changed, or cannot be read")

    def _fail(self, cookie: int, error: int, message: str) -> None:
        self._wire.send(
            protocol.error_chunk(cookie, error, message)
            if self._structured
            else protocol.simple_reply(cookie, error)
        )
