"""The transmission phase: a client's requests, answered one after the other (proto.md).

A source that changed gives an error for what is read of it, and all else stays readable. The client
is told that, and nothing of this host's paths; the host is told which file it was.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from contextlib import suppress

from ..errors import BlockpackError
from . import protocol
from .allocation import MOST_DESCRIPTORS
from .export import Export
from .handshake import Agreed, Handshake
from .protocol import Request
from .wire import Gone, Wire

_PIECE = 256 << 10
"""Bytes that are read and sent at once: all that a connection has of a reply in memory."""

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
        transmission = None if agreed is None else Transmission(wire, agreed, log)
        while transmission is not None and transmission.answer():
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
        self._buffer = memoryview(mmap.mmap(-1, _PIECE))  # which takes what is used of it

    def answer(self) -> bool:
        """Answer the next request; False if the client takes its leave. Raises `Gone`."""
        data = self._wire.receive(protocol.REQUEST.size, idle=True)
        request = Request._make(protocol.REQUEST.unpack(data))
        if request.magic != protocol.REQUEST_MAGIC or request.command == protocol.DISCONNECT:
            return False
        if request.command == protocol.WRITE:
            if request.length > protocol.MOST_BYTES:
                return False
            self._wire.skip(request.length)
        refusal = self._refusal(request)
        if refusal is not None:
            self._fail(request, *refusal)
        elif request.command == protocol.READ:
            self._read(request)
        elif request.command == protocol.BLOCK_STATUS:
            self._block_status(request)
        else:  # nothing is written, so all is flushed
            self._wire.send(
                protocol.nothing(request.cookie)
                if self._structured
                else protocol.simple_reply(request.cookie)
            )
        return True

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        """What speaks against a request, as an error and a text; None if nothing does."""
        if request.command in _CHANGES:
            return protocol.EPERM, "this export is read-only"
        known = _KNOWN_FLAGS.get(request.command)
        if known is None:
            return protocol.EINVAL, "there is no such command"
        if request.flags & ~known:
            return protocol.EINVAL, "there is no such flag for this command"
        if request.command == protocol.FLUSH:
            return None
        if not request.length or request.end > self._export.size:
            return protocol.EINVAL, "this is not in the export"
        if request.command == protocol.BLOCK_STATUS:
            if self._context is None:
                return protocol.EINVAL, "no metadata context was agreed on"
        elif request.length > protocol.MOST_BYTES:
            return protocol.EINVAL, "this is more than one request may ask for"
        elif request.flags & protocol.DONT_FRAGMENT and request.length > _PIECE:
            return protocol.EOVERFLOW, "this is more than one chunk has"
        return None

    def _read(self, request: Request) -> None:
        cookie, offset, length = request.cookie, request.offset, request.length
        if self._structured and self._export.allocation.is_zero(offset, length):
            self._wire.send(protocol.hole(cookie, offset, length))
            return
        pieces = [(at, min(_PIECE, request.end - at)) for at in range(offset, request.end, _PIECE)]
        if not self._structured and len(pieces) > 1:
            # A simple reply cannot tell of an error after its head: all is read once before.
            for at, count in pieces:
                if self._filled(request, at, count) is None:
                    return
        for at, count in pieces:
            view = self._filled(request, at, count, begun=at > offset)
            if view is None:
                return
            head = b"" if at > offset else protocol.simple_reply(cookie)
            if self._structured:
                head = protocol.data_head(cookie, at, count, last=at + count == request.end)
            self._wire.send(head, view)

    def _filled(
        self, request: Request, offset: int, length: int, *, begun: bool = False
    ) -> memoryview | None:
        """Bytes of the export; if they cannot be read the request fails, and None.

        Raises `Gone` where a simple reply has `begun`, and so can only be broken off.
        """
        view = self._buffer[:length]
        try:
            self._export.reader.read_into(view, offset)
        except BlockpackError as error:
            where = f"bytes {offset:,} to {offset + length:,}"
            self._log(error.path, f"{where} cannot be read: {error}")
            if begun and not self._structured:
                raise Gone("a source changed within a reply") from None
            self._fail(request, protocol.EIO, "what is there changed, or cannot be read")
            return None
        return view

    def _block_status(self, request: Request) -> None:
        most = 1 if request.flags & protocol.REQUEST_ONE else MOST_DESCRIPTORS
        found = self._export.allocation.descriptors(request.offset, request.length, most)
        assert self._context is not None
        self._wire.send(protocol.block_status(request.cookie, self._context, found))

    def _fail(self, request: Request, error: int, message: str) -> None:
        self._wire.send(
            protocol.error_chunk(request.cookie, error, message)
            if self._structured
            else protocol.simple_reply(request.cookie, error)
        )
