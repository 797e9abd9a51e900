"""The handshake: a client and the server agree on an export (proto.md, "Fixed newstyle").

Each option that a client may send is a method; what is not known is refused, and the client goes on
or leaves. All of it must be done by a deadline.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

from . import protocol
from .export import Export
from .wire import Gone, Wire

DEADLINE = 10.0
"""Seconds that a client has for its handshake."""

_ALLOCATION_ID = 1
_MOST_OPTIONS = 128
"""Options in one handshake, at most."""


class Agreed(NamedTuple):
    """What a handshake came to; `context` is the number of `protocol.ALLOCATION`, if asked for."""

    export: Export
    structured: bool
    context: int | None


class _Refused(Exception):
    """An option is refused: the type of the reply, and why."""


class Handshake:
    """One client's handshake over `wire`, about `exports` by name."""

    def __init__(self, wire: Wire, exports: Mapping[bytes, Export]) -> None:
        self.wire = wire
        self.exports = exports
        self.structured = False
        self.zeros_wanted = True
        self.allocation_of: Export | None = None
        """The export for which the client asked for the context of allocation."""

    def agree(self) -> Agreed | None:
        """What both sides agree on; None if the client only had a look. Raises `Gone`."""
        self.wire.deadline = time.monotonic() + DEADLINE
        self.wire.send(protocol.GREETING)
        (flags,) = struct.unpack(">I", self.wire.receive(4))
        if flags & ~(protocol.FIXED_NEWSTYLE | protocol.NO_ZEROES):
            raise Gone("the client sent flags that there are not")
        self.zeros_wanted = not flags & protocol.NO_ZEROES
        for _ in range(_MOST_OPTIONS):
            magic, option, length = protocol.OPTION.unpack(self.wire.receive(protocol.OPTION.size))
            if magic != protocol.OPTION_MAGIC:
                raise Gone("the client does not speak NBD")
            if option == protocol.EXPORT_NAME:
                return self._export_name(length)
            if option == protocol.ABORT:
                self.wire.skip(min(length, protocol.LONGEST_OPTION))
                self._reply(option, protocol.ACK)
                return None
            agreed = self._answered(option, length)
            if agreed is not None:
                return agreed
        raise Gone("the client asked for too much")

    def _answered(self, option: int, length: int) -> Agreed | None:
        """Answer an option; what is agreed if it ends the handshake."""
        try:
            if length > protocol.LONGEST_OPTION:
                self.wire.skip(length)
                raise _Refused(protocol.ERR_TOO_BIG, "there is too much of it")
            data = self.wire.receive(length)
            if option in (protocol.LIST, protocol.STRUCTURED_REPLY):
                if data:
                    raise _Refused(protocol.ERR_INVALID, "this option takes no data")
                for name in self.exports if option == protocol.LIST else ():
                    self._reply(option, protocol.SERVER, protocol.counted(name))
                self.structured |= option == protocol.STRUCTURED_REPLY
                self._reply(option, protocol.ACK)
            elif option in (protocol.INFO, protocol.GO):
                return self._info(option, data)
            elif option in (protocol.LIST_META_CONTEXT, protocol.SET_META_CONTEXT):
                self._meta_context(option, data)
            else:
                raise _Refused(protocol.ERR_UNSUP, "this server has no such option")
        except _Refused as refused:
            kind, why = refused.args
            self._reply(option, kind, why.encode("utf-8"))
        return None

    def _reply(self, option: int, kind: int, data: bytes = b"") -> None:
        self.wire.send(protocol.option_reply(option, kind, data))

    # Options ----------------------------------------------------------------------------------

    def _export_name(self, length: int) -> Agreed:
        """The oldest way: there is no reply, so a name that is not known ends the connection."""
        if length > protocol.LONGEST_STRING:
            raise Gone("the client sent too long a name")
        export = self.exports.get(self.wire.receive(length))
        if export is None:
            raise Gone("the client asked for an export that there is not")
        tail = bytes(124) if self.zeros_wanted else b""
        self.wire.send(self._size_and_flags(export) + tail)
        return self._agreed(export)

    def _info(self, option: int, data: bytes) -> Agreed | None:
        fields = _Fields(data)
        export = self._known(fields.string())
        for _ in range(fields.number(">H")):
            fields.number(">H")  # all is told, whatever was asked for
        fields.require_end()
        sizes = 1, max(export.sector_size, 4096), protocol.MOST_BYTES
        for kind, info in (
            (protocol.INFO_EXPORT, self._size_and_flags(export)),
            (protocol.INFO_DESCRIPTION, export.description.encode("utf-8")),
            (protocol.INFO_BLOCK_SIZE, struct.pack(">III", *sizes)),
        ):
            self._reply(option, protocol.INFO_REPLY, struct.pack(">H", kind) + info)
        self._reply(option, protocol.ACK)
        return self._agreed(export) if option == protocol.GO else None

    def _meta_context(self, option: int, data: bytes) -> None:
        setting = option == protocol.SET_META_CONTEXT
        if setting:
            self.allocation_of = None  # whatever becomes of this, the last choice is void
        if not self.structured:
            raise _Refused(protocol.ERR_INVALID, "ask for structured replies first")
        fields = _Fields(data)
        export = self._known(fields.string())
        queries = [fields.string() for _ in range(fields.number(">I"))]
        fields.require_end()
        all_known = not setting and (not queries or b"base:" in queries)
        if all_known or protocol.ALLOCATION in queries:
            reply = struct.pack(">I", _ALLOCATION_ID if setting else 0) + protocol.ALLOCATION
            self._reply(option, protocol.META_CONTEXT, reply)
            if setting:
                self.allocation_of = export
        self._reply(option, protocol.ACK)

    # What they have in common -----------------------------------------------------------------

    def _known(self, name: bytes) -> Export:
        export = self.exports.get(name)
        if export is None:
            raise _Refused(protocol.ERR_UNKNOWN, "there is no such export")
        return export

    def _size_and_flags(self, export: Export) -> bytes:
        flags = protocol.HAS_FLAGS | protocol.READ_ONLY | protocol.CAN_MULTI_CONN
        if self.structured:
            flags |= protocol.SEND_DF
        return struct.pack(">QH", export.size, flags)

    def _agreed(self, export: Export) -> Agreed:
        self.wire.deadline = None
        context = _ALLOCATION_ID if self.allocation_of is export else None
        return Agreed(export, self.structured, context)


class _Fields:
    """The fields of an option's data. Raises `_Refused` if they are not all there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, format: str) -> int:
        """A number of the `struct` format."""
        value: int
        (value,) = struct.unpack(format, self._take(struct.calcsize(format)))
        return value

    def string(self) -> bytes:
        """A string after its length."""
        length = self.number(">I")
        if length > protocol.LONGEST_STRING:
            raise _Refused(protocol.ERR_TOO_BIG, "a string is too long")
        return self._take(length)

    def require_end(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data):
            raise _Refused(protocol.ERR_INVALID, "there is more than was announced")

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise _Refused(protocol.ERR_INVALID, "there is less than was announced")
        self._at += count
        return self._data[self._at - count : self._at]
