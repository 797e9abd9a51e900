"""Files on web servers, read by ranges (RFC 9110, 14), with the settings of fsspec's filesystem.

A server is not believed: each answer has to be whole, of the range that was asked for, and of the
file that the first one was of, by its length, ETag and Last-Modified. So bytes of two versions of a
file are never mixed. One that knows no ranges is asked once, for all of it.

Imported by `remote` alone, where a URL is one of these: aiohttp and fsspec are optional.
"""

from __future__ import annotations

import asyncio
import os
import re
from ssl import SSLError
from typing import Any, NamedTuple

import aiohttp
from fsspec.asyn import sync

from ..errors import SourceError
from ..reading.spool import Spool

PATIENCE = 60
"""Seconds in which a server has to send something."""

SLOWEST = 4 << 10
"""Bytes a second that it has to send."""

MOST_WHOLE = 1 << 30
"""Bytes that are fetched of a server that knows no ranges."""

_RedirectError = getattr(aiohttp, "RedirectClientError", aiohttp.InvalidURL)  # new in 3.10

_FAILURES: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    (
        (aiohttp.ClientSSLError,),
        "the connection to the server is not secure: {reason}",
        "see whether the URL begins with https rightly, and the server has a certificate",
    ),
    (
        (aiohttp.ClientConnectorError,),
        "the server cannot be reached: {reason}",
        "see whether the name and the port are right, and the server runs",
    ),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError),
        "the server ended the connection",
        "try again",
    ),
    (
        (aiohttp.TooManyRedirects,),
        "the server leads on again and again, as in a circle",
        "give the URL where the file is",
    ),
    (
        (aiohttp.InvalidURL, ValueError, _RedirectError),
        "it is not a web address, or the server leads to one that is none: {reason}",
        "give the URL where the file is",
    ),
    (
        (aiohttp.ClientError,),
        "the server does not answer as HTTP says: {reason}",
        "see whether the port is a web server's",
    ),
)
"""What is told of the library's errors, and what to do; the first row that one is of."""

_PIECE = 1 << 20

_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18})", re.ASCII)
"""Content-Range, with the length of the whole (RFC 9110, 14.4)."""


class _Version(NamedTuple):
    """What tells one version of a file from another."""

    size: int
    tag: str
    modified: str


class WebFile:
    """The file at a URL; `filesystem` is fsspec's for such. Raises `SourceError`.

    The first bytes, of which `begin` has no more than are asked for, tell its `size`.
    """

    def __init__(self, filesystem: Any, url: str, name: str, length: int) -> None:
        self._filesystem = filesystem
        self._url = url
        self._name = name
        self._version: _Version | None = None
        self._whole: Spool | None = None
        self.begin = self.fetch(0, length)
        assert self._version is not None
        self.size = self._version.size

    def fetch(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, or to where the file ends."""
        data: bytes = b""
        if self._whole is None:
            try:
                data = sync(self._filesystem.loop, self._asked, start, end)
            except (aiohttp.ClientError, ValueError) as error:
                row = next(row for row in _FAILURES if isinstance(error, row[0]))
                raise self._error(row[1].format(reason=_reason(error)), row[2]) from error
        if self._whole is not None:
            assert self._version is not None
            data = b"".join(self._whole.read(start, min(end, self._version.size) - start))
        return data

    async def _asked(self, start: int, end: int) -> bytes:
        options = dict(self._filesystem.kwargs)
        asked = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        options["headers"] = {**options.get("headers", {}), **asked}
        options.setdefault("timeout", aiohttp.ClientTimeout(sock_connect=PATIENCE))
        session = await self._filesystem.set_session()
        asking = session.get(self._filesystem.encode_url(self._url), **options)
        async with await self._in_time(asking, 0) as response:
            return await self._answered(response, start, end)

    async def _answered(self, response: Any, start: int, end: int) -> bytes:
        """The bytes of an answer, if it is one to what was asked."""
        told = response.headers.get("Content-Range", "")
        found = _RANGE.fullmatch(told)
        if response.status == 416 and found is not None:  # nothing is there
            self._require_same(response, int(found[3]))
            if not int(found[3]):
                return b""
        if response.status not in (200, 206):
            raise self._error(f"the server says {response.status} {response.reason}", "")
        coding = response.headers.get("Content-Encoding", "identity")
        if coding not in ("", "identity"):
            raise self._error(f"the server sends it packed by {coding[:40]!r}")
        if response.status == 200:
            await self._take_whole(response)
            return b""
        if found is None or found[1] is None:
            raise self._error(f"the server does not tell which range it sends: {told[:80]!r}")
        self._require_same(response, int(found[3]))
        end = min(end, int(found[3]))
        if (int(found[1]), int(found[2]) + 1) != (start, end):
            asked = f"bytes {start:,} to {end:,} were asked for"
            raise self._error(f"{asked}, and the server sends {told[:80]!r}")
        return await self._read(response, end - start)

    async def _take_whole(self, response: Any) -> None:
        """Keep all that a server sends that knows no ranges."""
        length = response.content_length
        if length is None:
            raise self._error("has no size that its server tells")
        if length > MOST_WHOLE:
            raise self._error(f"the server knows no ranges, and sends all {length:,} bytes")
        self._require_same(response, length)
        spool = Spool()
        for at in range(0, length, _PIECE):
            spool.write(await self._read(response, min(_PIECE, length - at)), at)
        self._whole = spool

    def _require_same(self, response: Any, size: int) -> None:
        """Raise `SourceError` if an answer is of another version than the first."""
        told = response.headers
        version = _Version(size, told.get("ETag", ""), told.get("Last-Modified", ""))
        if self._version is None:
            self._version = version
        elif version != self._version:
            raise self._error("changed while it was read", "read it again")

    async def _read(self, response: Any, length: int) -> bytes:
        """The next `length` bytes of an answer, which has not fewer."""
        try:
            reading = response.content.readexactly(length)
            data: bytes = await self._in_time(reading, length)
        except asyncio.IncompleteReadError as error:
            rule = f"the server sent {len(error.partial):,} bytes of {length:,}, and no more"
            raise self._error(rule) from None
        return data

    async def _in_time(self, work: Any, length: int) -> Any:
        """The result of `work`, which takes no longer than `length` bytes may take."""
        seconds = PATIENCE + length / SLOWEST
        try:
            return await asyncio.wait_for(work, seconds)
        except asyncio.TimeoutError:  # noqa: UP041 - aiohttp's are derived from this
            rule = f"the server takes longer than {seconds:,.0f} s for {length:,} bytes"
            raise self._error(rule, "try again") from None

    def _error(self, rule: str, remedy: str = "download it first") -> SourceError:
        return SourceError(self._name, rule, remedy)


def _reason(error: Exception) -> str:
    """What is the matter, in few words, as the system or the library has them."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    number = getattr(inner, "errno", None) or 0
    if number > 0 and not isinstance(inner, SSLError):  # whose numbers are its own
        return os.strerror(number).lower()
    names = ("verify_message", "reason", "strerror", "message")
    text = next(filter(None, (getattr(inner, name, "") for name in names)), str(inner))
    text = " ".join(text.replace("_", " ").split())[:100]
    return text.lower() if text.isupper() else text
