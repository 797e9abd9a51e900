"""The transmission phase: a client's requests, answered one after the other (proto.md).

A source that changed gives an error for what is read of it, and all else stays readable. The client
is told that, and nothing of this host's paths; the host is told which file it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import length_hint

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
_PLAIN_READ = protocol.REQUEST_MAGIC << 32 | protocol.READ
_UNREADABLE = protocol.EIO, "what is there changed, or cannot be read"
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
        self._size = agreed.export.size
        self._read_into = agreed.export.reader.read_into
        self._structured = agreed.structured
        self._context = agreed.context
        self._log = log

    def answer(self) -> bool:
        """Answer all requests that have come; False if the client takes its leave, or `Gone`."""
        requests = protocol.REQUEST.iter_unpack(self._wire.messages(protocol.REQUEST.size))
        for head, cookie, offset, length in requests:
            if head == _PLAIN_READ and 0 < length <= MOST_AT_ONCE and offset + length <= self._size:
                self._read(cookie, offset, length)  # as nearly all are
                continue
            magic, flags, command = head >> 32, head >> 16 & 0xFFFF, head & 0xFFFF
            if magic != protocol.REQUEST_MAGIC or command == protocol.DISCONNECT:
                return False
            if command == protocol.WRITE:
                if length > protocol.MOST_BYTES:
                    return False
                left = length_hint(requests) * protocol.REQUEST.size
                self._wire.give_back(left)  # what comes next is its data
                self._wire.skip(length)
            self._answer(flags, command, cookie, offset, length)
            if command == protocol.WRITE:
                break
        return True

    def _answer(self, flags: int, command: int, cookie: int, offset: int, length: int) -> None:
        """Answer any request but one to leave."""
        if refusal := self._refusal(command, flags, offset, length):
            self._fail(cookie, *refusal)
        elif command == protocol.READ and length > MOST_AT_ONCE:
            self._read_much(cookie, offset, length)
        elif command == protocol.READ:
            self._read(cookie, offset, length)
        elif command == protocol.BLOCK_STATUS:
            most = 1 if flags & protocol.REQUEST_ONE else MOST_DESCRIPTORS
            try:
                found = self._export.allocation.descriptors(offset, length, most)
            except BlockpackError as error:
                self._fail_to_read(cookie, error, offset, length)
            else:
                self._wire.send(protocol.block_status(cookie, self._context or 0, found))
        elif self._structured:  # nothing is written, so all is flushed
            self._wire.send(protocol.nothing(cookie))
        else:
            self._wire.send(protocol.simple_reply(cookie))

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

    def _read(self, cookie: int, offset: int, length: int, *, last: bool = True) -> bool:
        """Answer with one message, the `last` chunk or another; whether it can be read. Nearly all
        of a server's time goes by in here, so nothing is called without need.
        """
        wire = self._wire
        begin = wire.unsent
        structured = self._structured
        data = begin + (protocol.DATA_HEAD.size if structured else protocol.SIMPLE_REPLY.size)
        end = data + length
        try:
            if structured and self._export.allocation.is_zero(offset, length):
                wire.send(protocol.hole(cookie, offset, length, last=last))
                return True
            self._read_into(wire.replies[data:end], offset)
        except BlockpackError as error:
            self._fail_to_read(cookie, error, offset, length)
            return False
        if structured:
            head = protocol.CHUNK_MAGIC, last, protocol.OFFSET_DATA, cookie, 8 + length, offset
            protocol.DATA_HEAD.pack_into(wire.replies, begin, *head)
        else:
            protocol.SIMPLE_REPLY.pack_into(wire.replies, begin, protocol.SIMPLE_MAGIC, 0, cookie)
        wire.put(end)
        return True

    def _read_much(self, cookie: int, offset: int, length: int) -> None:
        wire, end = self._wire, offset + length
        pieces = [(at, min(MOST_AT_ONCE, end - at)) for at in range(offset, end, MOST_AT_ONCE)]
        if self._structured:
            for at, count in pieces:
                if not self._read(cookie, at, count, last=at + count == end):
                    return
            return
        # A simple reply cannot tell of an error after its head: all is read once before.
        for sending in (False, True):
            if sending:
                wire.send(protocol.simple_reply(cookie))
            for at, count in pieces:
                until = wire.unsent + count
                try:
                    self._read_into(wire.replies[wire.unsent : until], at)
                except BlockpackError as error:
                    self._fail_to_read(cookie, error, at, count, within_reply=sending)
                    return
                if sending:
                    wire.put(until)

    def _fail_to_read(
        self, cookie: int, error: BlockpackError, at: int, count: int, *, within_reply: bool = False
    ) -> None:
        self._log(error.path, f"bytes {at:,} to {at + count:,} cannot be read: {error}")
        if within_reply:
            raise Gone("a source changed within a reply")
        self._fail(cookie, *_UNREADABLE)

    def _fail(self, cookie: int, error: int, message: str) -> None:
        self._wire.send(
            protocol.error_chunk(cookie, error, message)
            if self._structured
            else protocol.simple_reply(cookie, error)
        )
