"""A web server is not believed: whatever it answers, bytes are right, or there is an error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.images.remote import MOST_PAGES, PAGE, open_url
from faults.rendering import rendered


def image_of(seed: int, size: int = 5 * PAGE) -> bytes:
    tree = blockpack.Tree()
    tree.add("film", bytes([seed]) * size)
    tree.add("page", b"page %d" % seed)
    return rendered(blockpack.TarVolume().plan(tree))


ONE, OTHER = image_of(1), image_of(2)


class Answer:
    """What a server answers to a request; a lie changes it before it is sent."""

    def __init__(self, data: bytes, asked: str | None) -> None:
        self.status = 200
        self.headers = {"ETag": '"1"', "Last-Modified": formatdate(1_000_000_000, usegmt=True)}
        self.body: bytes | Iterator[bytes] = data
        if asked is not None:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last), len(data) - 1)
            self.status = 206 if start < len(data) else 416
            self.body = data[start : end + 1]
            told = f"{start}-{end}" if self.status == 206 else "*"
            self.headers["Content-Range"] = f"bytes {told}/{len(data)}"
        self.headers["Content-Length"] = str(len(self.body))


Lie = Callable[[Answer, int], object]


@contextmanager
def served(lie: Lie, data: Callable[[int], bytes] = lambda number: ONE) -> Iterator[Any]:
    """A server of `data` by the number of the request, as a URL; it counts what it sent."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Not on the terminal."""

        def do_GET(self) -> None:
            number = server.requests  # type: ignore[attr-defined]
            server.requests += 1  # type: ignore[attr-defined]
            answer = Answer(data(number), self.headers.get("Range"))
            lie(answer, number)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
            try:
                for piece in pieces:
                    self.wfile.write(piece)
                    server.sent += len(piece)  # type: ignore[attr-defined]
            except OSError:
                pass  # nobody listens any more

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.sent = server.requests = 0  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_port}/www.img"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def read_all(url: str) -> dict[str, bytes]:
    with blockpack.open_image(url) as image:
        return {entry.path: image.read(entry.path) for entry in image}


FILES = {"film": b"\1" * (5 * PAGE), "page": b"page 1"}


def headers(**changed: str | None) -> Lie:
    """The answer with other headers; None is for one that is left out."""

    def lie(answer: Answer, _: int) -> None:
        for name, value in changed.items():
            name = name.replace("_", "-")
            answer.headers.pop(name, None)
            if value is not None:
                answer.headers[name] = value

    return lie


def from_second(lie: Lie) -> Lie:
    """A lie that is told from the second answer on."""
    return lambda answer, number: lie(answer, number) if number else None


def status(number: int) -> Lie:
    return lambda answer, _: setattr(answer, "status", number)


def whole(answer: Answer, _: int) -> None:
    """Ranges are not known."""
    Answer.__init__(answer, ONE, None)


def cut(answer: Answer, _: int) -> None:
    """The body ends early."""
    assert isinstance(answer.body, bytes)
    answer.body = answer.body[: len(answer.body) // 2]


def cut_whole(answer: Answer, _: int) -> None:
    whole(answer, 0)
    cut(answer, 0)


def shorter(answer: Answer, _: int) -> None:
    """Less than was asked for, and told so."""
    cut(answer, 0)
    first = answer.headers["Content-Range"].partition("-")[0]
    last = int(first.rpartition(" ")[2]) + len(answer.body) - 1  # type: ignore[arg-type]
    answer.headers["Content-Range"] = f"{first}-{last}/{len(ONE)}"
    answer.headers["Content-Length"] = str(len(answer.body))  # type: ignore[arg-type]


def endless(answer: Answer, _: int) -> None:
    """A body that never ends, without a length."""
    whole(answer, 0)
    del answer.headers["Content-Length"]
    answer.body = (bytes(PAGE) for _ in range(1 << 16))


def vast(answer: Answer, _: int) -> None:
    """A whole that would fill the disk."""
    endless(answer, 0)
    answer.headers["Content-Length"] = str(1 << 40)


def more(answer: Answer, _: int) -> None:
    """More than is told."""
    del answer.headers["Content-Length"]
    kept = answer.body
    assert isinstance(kept, bytes)
    answer.body = (each for each in (kept, *[bytes(PAGE)] * (1 << 16)))


def huge(answer: Answer, _: int) -> None:
    """An image of an absurd size."""
    first = answer.headers["Content-Range"].partition("/")[0]
    answer.headers["Content-Range"] = f"{first}/{(1 << 59) - 1}"


def redirected(answer: Answer, number: int) -> None:
    """Led on, once."""
    if not number:
        answer.status, answer.body = 302, b""
        answer.headers = {"Location": "/elsewhere.img", "Content-Length": "0"}


def astray(location: str) -> Lie:
    def lie(answer: Answer, _: int) -> None:
        answer.status, answer.body = 302, b""
        answer.headers = {"Location": location, "Content-Length": "0"}

    return lie


HONEST: dict[str, Lie] = {
    "ranges": lambda answer, number: None,
    "no ranges": whole,
    "redirected": redirected,
    "no validators": headers(ETag=None, Last_Modified=None),
    "no lengths": headers(Content_Length=None),
    "more": more,
}

LIES: dict[str, tuple[Lie, str]] = {
    "cut": (cut, "cannot be read|does not answer as HTTP says|and no more"),
    "cut whole": (cut_whole, "cannot be read|does not answer as HTTP says|and no more"),
    "shorter": (shorter, "were asked for"),
    "endless": (endless, "has no size"),
    "too much": (vast, "knows no ranges, and sends all"),
    "another range": (headers(Content_Range=f"bytes 512-66047/{len(ONE)}"), "were asked for"),
    "no range": (headers(Content_Range=None), "does not tell which range"),
    "unknown length": (headers(Content_Range="bytes 0-65535/*"), "does not tell which range"),
    "giant numbers": (headers(Content_Range="bytes 0-65535/" + "9" * 500), "does not tell"),
    "several parts": (
        headers(Content_Range=None, Content_Type="multipart/byteranges; boundary=x"),
        "does not tell which range",
    ),
    "packed": (headers(Content_Encoding="gzip"), "packed by 'gzip'"),
    "odd coding": (headers(Content_Encoding="x" * 5000), "packed by 'xxx"),
    "not there": (status(404), "says 404"),
    "forbidden": (status(403), "says 403"),
    "failing": (status(500), "says 500"),
    "not modified": (status(304), "says 304|does not answer as HTTP says"),
    "no such range": (status(416), "says 416"),
    "a loop": (astray("/www.img"), "again, as in a circle; give the URL where the file is"),
    "to a file": (astray("file:///etc/passwd"), "leads to one that is none: file:///etc/passwd;"),
    "to no URL": (astray("http://[::1"), "leads to one that is none: "),
    "to nobody": (astray("http://127.0.0.1:1/"), "cannot be reached: connection refused; see whe"),
    "no numbers": (headers(Content_Length="abc"), "does not answer as HTTP says: "),
    "another tag": (from_second(headers(ETag='"2"')), "changed while it was read"),
    "no tag": (from_second(headers(ETag=None)), "changed while it was read"),
    "another time": (
        from_second(headers(Last_Modified=formatdate(1_100_000_000, usegmt=True))),
        "changed while it was read",
    ),
    "another length": (
        from_second(headers(Content_Range="bytes 65536-131071/131072")),
        "changed while it was read",
    ),
    "gone": (from_second(status(404)), "says 404"),
    "whole later": (
        from_second(lambda answer, _: Answer.__init__(answer, OTHER + OTHER, None)),
        "changed while it was read",
    ),
}


@pytest.mark.parametrize("lie", HONEST.values(), ids=HONEST)
def test_what_is_served_is_read(lie: Lie) -> None:
    with served(lie) as server:
        assert read_all(server.url) == FILES
        if lie is whole:
            assert server.requests == 1
        assert server.sent <= 16 << 20


@pytest.mark.parametrize(("lie", "told"), LIES.values(), ids=LIES)
def test_a_lie_is_an_error(lie: Lie, told: str) -> None:
    with served(lie) as server:
        with pytest.raises(blockpack.SourceError, match=told) as error:
            read_all(server.url)
        assert len(str(error.value)) < 500
        assert server.requests <= 20
        assert server.sent <= 16 << 20


@pytest.mark.parametrize("lie", ["a loop", "to a file", "to nobody", "not there", "failing"])
def test_a_source_is_refused_in_the_same_words(lie: str) -> None:
    with served(LIES[lie][0]) as server:
        with pytest.raises(blockpack.SourceError, match=LIES[lie][1]) as raised:
            blockpack.scan(server.url)
        assert raised.value.path == server.url


def test_an_absurd_size_is_read_no_further_than_its_tables() -> None:
    with served(huge) as server:
        with pytest.raises(blockpack.BlockpackError):
            read_all(server.url)
        assert server.sent <= len(ONE) + PAGE


def test_an_empty_file_has_no_bytes() -> None:
    for lie in (
        lambda answer, number: None,
        lambda answer, number: Answer.__init__(answer, b"", None),
    ):
        with served(lie, lambda number: b"") as server, open_url(server.url) as reader:
            assert reader.size == 0


@pytest.mark.parametrize("late", ["headers", "body"])
def test_a_server_that_sends_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    from blockpack.images import web

    monkeypatch.setattr(web, "PATIENCE", 0.3)
    monkeypatch.setattr(web, "SLOWEST", 1 << 20)
    ended = threading.Event()

    def lie(answer: Answer, _: int) -> None:
        if late == "headers":
            ended.wait(30)
        body = answer.body
        assert isinstance(body, bytes)
        pieces = (body[n : n + 1] for n in range(len(body)) if not ended.wait(0.05))
        answer.body = pieces

    with served(lie) as server:
        begun = time.monotonic()
        try:
            with pytest.raises(blockpack.SourceError, match="takes longer than"):
                read_all(server.url)
        finally:
            ended.set()
        assert time.monotonic() - begun < 20


def test_what_is_no_http_is_told() -> None:
    def lie(answer: Answer, _: int) -> None:
        raise ConnectionAbortedError

    with served(lie) as server:
        told = "the server ended the connection; try again"
        with pytest.raises(blockpack.SourceError, match=told):
            read_all(server.url)
        secure = server.url.replace("http", "https", 1)
        with pytest.raises(blockpack.SourceError, match=r"is not secure: .*; see whether the URL"):
            read_all(secure)


@given(after=st.integers(0, 12), validators=st.sampled_from(["ETag", "Last-Modified", "both"]))
def test_two_versions_are_never_mixed(after: int, validators: str) -> None:
    """It is replaced by one of the same size after any number of requests."""

    def lie(answer: Answer, number: int) -> None:
        if number >= after:
            answer.headers["ETag"] = '"2"'
            answer.headers["Last-Modified"] = formatdate(1_200_000_000, usegmt=True)
        for name in {"ETag", "Last-Modified"} - {validators} if validators != "both" else ():
            del answer.headers[name]

    with served(lie, lambda number: OTHER if number >= after else ONE) as server:
        try:
            found = read_all(server.url)
        except blockpack.SourceError as error:
            assert "changed while it was read" in str(error)
        else:
            assert len({content.rjust(9, b"\0")[-1:] for content in found.values()}) <= 2
            assert found["film"][:1] * len(found["film"]) == found["film"]
            assert found["page"] == b"page %d" % found["film"][0]


@given(after=st.integers(1, 8))
def test_nor_are_those_of_other_filesystems(after: int) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/www.img", ONE)
    with blockpack.open_image("memory://www.img") as image:
        assert image.read("page") == b"page 1"
        content = image.content("film")
        for at in range(after):
            content.read_at(at * PAGE // 2, 10)
        memory.pipe("/www.img", OTHER)
        found = b""
        try:
            for at in range(0, content.size, 1000):
                found += content.read_at(at, 1000)
        except blockpack.SourceError as error:
            assert "changed while it was read" in str(error)
        assert not found.strip(b"\1")


def test_pages_are_bounded_however_much_is_read_at_once() -> None:
    size = 40 << 20
    with served(lambda answer, number: None, lambda number: big) as server:
        with open_url(server.url) as reader:
            assert reader.read_at(3, size) == big[3:]
            assert len(reader._pages.values()) <= MOST_PAGES
        assert server.requests <= 15


big = os.urandom(1 << 20) * 40
