"""The NBD protocol's values: magics, options, replies, requests (proto.md of the NBD project).

All numbers are big-endian. Nothing here reads or writes: bytes become values, and values bytes.
"""

from __future__ import annotations

import struct

# Handshake ("Fixed newstyle negotiation") ---------------------------------------------------------

GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 1 | 2)
"""The server's first bytes: it is of the fixed newstyle, and may leave out zeros."""

FIXED_NEWSTYLE, NO_ZEROES = 1, 2
"""The client's flags."""

OPTION = struct.Struct(">8sII")
"""What a client asks for: magic, option, length of its data."""

OPTION_MAGIC = b"IHAVEOPT"

EXPORT_NAME, ABORT, LIST, INFO, GO, STRUCTURED_REPLY = 1, 2, 3, 6, 7, 8
LIST_META_CONTEXT, SET_META_CONTEXT = 9, 10
"""Options. All others are refused as unsupported."""

ACK, SERVER, INFO_REPLY, META_CONTEXT = 1, 2, 3, 4
"""Types of replies to options."""

_ERROR = 1 << 31
ERR_UNSUP, ERR_INVALID, ERR_UNKNOWN, ERR_TOO_BIG = _ERROR | 1, _ERROR | 3, _ERROR | 6, _ERROR | 9
"""Replies that refuse an option."""

INFO_EXPORT, INFO_DESCRIPTION, INFO_BLOCK_SIZE = 0, 2, 3
"""What is told of an export."""

LONGEST_STRING = 4096
"""Bytes of the longest name."""

LONGEST_OPTION = 64 << 10
"""Bytes of data that an option has at most here; the most that a client needs is far below."""

ALLOCATION = b"base:allocation"
"""The metadata context that tells zeros from data."""

_OPTION_REPLY = struct.Struct(">QIII")
_OPTION_REPLY_MAGIC = 0x3E889045565A9


def option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    """The server's reply to an option."""
    return _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def counted(text: bytes) -> bytes:
    """A string after its length."""
    return struct.pack(">I", len(text)) + text


# Transmission -------------------------------------------------------------------------------------

HAS_FLAGS, READ_ONLY, SEND_DF, CAN_MULTI_CONN = 1 << 0, 1 << 1, 1 << 7, 1 << 8
"""The export's flags."""

READ, WRITE, DISCONNECT, FLUSH, BLOCK_STATUS = 0, 1, 2, 3, 7
TRIM, WRITE_ZEROES, RESIZE = 4, 6, 8
"""Commands."""

DONT_FRAGMENT, REQUEST_ONE = 1 << 2, 1 << 3
"""Flags of commands."""

EPERM, EIO, EINVAL, EOVERFLOW = 1, 5, 22, 75
"""Errors of commands."""

HOLE_AND_ZERO = 1 | 2
"""The status of a stretch of zeros in `ALLOCATION`; that of data is 0."""

MOST_BYTES = 32 << 20
"""Bytes that one request asks for, at most: what every client may without asking."""

REQUEST = struct.Struct(">QQQI")
"""What a client asks for: magic, flags and command as one number, of 32, 16 and 16 bits; a cookie;
and offset and length in bytes.
"""

REQUEST_MAGIC = 0x25609513

SIMPLE_REPLY = struct.Struct(">IIQ")
"""The head of a simple reply, which data follows if there is no error: magic, error, cookie."""

SIMPLE_MAGIC = 0x67446698

_CHUNK = struct.Struct(">IHHQI")
DATA_HEAD = struct.Struct(">IHHQIQ")
"""What comes before the data in a chunk of a structured reply: magic, whether it is the last chunk,
`OFFSET_DATA`, cookie, the length of what follows, and the data's offset.
"""

CHUNK_MAGIC = 0x668E33EF
OFFSET_DATA = 1
_NONE, _OFFSET_HOLE, _BLOCK_STATUS = 0, 2, 5
_ERROR_CHUNK = (1 << 15) | 1


def simple_reply(cookie: int, error: int = 0) -> bytes:
    """A simple reply, or the head of one."""
    return SIMPLE_REPLY.pack(SIMPLE_MAGIC, error, cookie)


def _chunk(cookie: int, kind: int, length: int, *, last: bool = True) -> bytes:
    return _CHUNK.pack(CHUNK_MAGIC, last, kind, cookie, length)


def nothing(cookie: int) -> bytes:
    """The structured reply to what succeeded, and has nothing to tell."""
    return _chunk(cookie, _NONE, 0)


def hole(cookie: int, offset: int, length: int, *, last: bool = True) -> bytes:
    """A chunk of `length` zeros in a structured reply, the `last` one or another."""
    return _chunk(cookie, _OFFSET_HOLE, 12, last=last) + struct.pack(">QI", offset, length)


def block_status(cookie: int, context: int, descriptors: bytes) -> bytes:
    """The structured reply of a `context`'s descriptors, (length, status) of 32 bits each."""
    length = 4 + len(descriptors)
    return _chunk(cookie, _BLOCK_STATUS, length) + struct.pack(">I", context) + descriptors


def error_chunk(cookie: int, error: int, message: str) -> bytes:
    """The structured reply of an error, with a text for people."""
    text = message.encode("utf-8", "replace")[:LONGEST_STRING]
    return _chunk(cookie, _ERROR_CHUNK, 6 + len(text)) + struct.pack(">IH", error, len(text)) + text


def rehearsal(name: bytes) -> bytes:
    """What a client says that reads the beginning of an export over and over."""
    options = (STRUCTURED_REPLY, b""), (GO, counted(name) + bytes(2))
    asked = [OPTION.pack(OPTION_MAGIC, option, len(data)) + data for option, data in options]
    reads = REQUEST.pack(REQUEST_MAGIC << 32 | READ, 0, 0, 1024) * 16
    return struct.pack(">I", FIXED_NEWSTYLE) + b"".join(asked) + reads
