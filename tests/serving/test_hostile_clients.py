"""Whatever a client sends, it gets an error or is left, and the others are served meanwhile."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from serving import client as nbd
from serving.client import Client, counted
from serving.servers import Serve, blockpack, connections_of, private_memory


@pytest.fixture(name="socket")
def fixture_socket(serve: Serve, tmp_path: Path) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    (site / "a").write_bytes(os.urandom(100_000))
    return serve(site, "--format", "tar", "--pad", "1M")


REFUSED = {
    "past the end": (nbd.READ, 1 << 20, 1, 0, nbd.EINVAL),
    "over the end": (nbd.READ, (1 << 20) - 1, 2, 0, nbd.EINVAL),
    "overflowing": (nbd.READ, (1 << 64) - 1, 2, 0, nbd.EINVAL),
    "of nothing": (nbd.READ, 0, 0, 0, nbd.EINVAL),
    "with an odd flag": (nbd.READ, 0, 1, 1 << 9, nbd.EINVAL),
    "status without context": (nbd.BLOCK_STATUS, 0, 512, 0, nbd.EINVAL),
    "trim": (nbd.TRIM, 0, 512, 0, nbd.EPERM),
    "zeroes": (nbd.WRITE_ZEROES, 0, 512, 0, nbd.EPERM),
    "unknown": (99, 0, 512, 0, nbd.EINVAL),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("structured", [False, True])
def test_a_refused_request_leaves_the_connection_as_it_is(
    socket: Path, case: tuple[int, int, int, int, int], structured: bool
) -> None:
    command, offset, length, flags, error = case
    with Client(socket) as client:
        client.go(structured=structured)
        client.ask(command, offset, length, flags=flags)
        assert client.reply().error == error
        assert len(client.read(0, 512)) == 512


def test_a_write_is_refused_and_its_data_passed_over(socket: Path) -> None:
    with Client(socket) as client:
        client.go()
        client.ask(nbd.WRITE, 0, 100_000)
        client.send(bytes(100_000))
        assert client.reply().error == nbd.EPERM
        assert len(client.read(0, 512)) == 512


def test_requests_that_come_together_are_answered_one_by_one(socket: Path) -> None:
    """Also if what is written looks like requests, and the last one comes in two pieces."""

    def request(command: int, cookie: int, length: int = 512) -> bytes:
        return struct.pack(">IHHQQI", 0x25609513, 0, command, cookie, 0, length)

    data = request(nbd.READ, 9) * 4
    written = request(nbd.WRITE, 2, len(data)) + data
    sent = request(nbd.READ, 1) + written + request(nbd.TRIM, 3) + request(nbd.READ, 4)
    with Client(socket) as client:
        client.go()
        client.send(sent[:-10])
        replies = [client.reply() for _ in range(3)]
        client.send(sent[-10:])
        replies.append(client.reply())
    answered = [(reply.cookie, reply.error) for reply in replies]
    assert answered == [(1, 0), (2, nbd.EPERM), (3, nbd.EPERM), (4, 0)]


ENDED: dict[str, Callable[[Client], object]] = {
    "bad magic": lambda client: client.ask(nbd.READ, 0, 512, magic=1),
    "endless write": lambda client: client.ask(nbd.WRITE, 0, 1 << 31),
    "leave": lambda client: client.ask(nbd.DISCONNECT),
}


@pytest.mark.parametrize("what", ENDED)
def test_the_server_leaves_who_does_not_keep_to_the_protocol(socket: Path, what: str) -> None:
    with Client(socket) as client:
        client.go()
        ENDED[what](client)
        assert client.is_closed()


def test_too_much_at_once_is_refused(serve: Serve, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    socket = serve(site, "--format", "tar", "--size", "64M")
    with Client(socket) as client:
        client.go(structured=False)
        client.ask(nbd.READ, 0, (32 << 20) + 1)
        assert client.reply().error == nbd.EINVAL
        client.ask(nbd.READ, 0, 32 << 20)
        assert not any(client.reply(32 << 20).data)


OPTIONS = {
    "unknown": (77, b"", nbd.ERR_UNSUP),
    "TLS": (nbd.STARTTLS, b"", nbd.ERR_UNSUP),
    "list with data": (nbd.LIST, b"x", nbd.ERR_INVALID),
    "structured with data": (nbd.STRUCTURED, b"x", nbd.ERR_INVALID),
    "no name": (nbd.GO, b"", nbd.ERR_INVALID),
    "another name": (nbd.GO, counted(b"other") + bytes(2), nbd.ERR_UNKNOWN),
    "name longer than data": (nbd.GO, struct.pack(">I", 900) + b"x", nbd.ERR_INVALID),
    "giant name": (nbd.GO, counted(bytes(5000)) + bytes(2), nbd.ERR_TOO_BIG),
    "lying count": (nbd.INFO, counted(b"") + struct.pack(">H", 9), nbd.ERR_INVALID),
    "more than announced": (nbd.INFO, counted(b"") + bytes(3), nbd.ERR_INVALID),
    "context without structure": (nbd.SET_META, counted(b"") + bytes(4), nbd.ERR_INVALID),
    "too much": (77, bytes(70_000), nbd.ERR_TOO_BIG),
}


@pytest.mark.parametrize("case", OPTIONS.values(), ids=list(OPTIONS))
def test_a_refused_option_leaves_the_handshake_as_it_is(
    socket: Path, case: tuple[int, bytes, int]
) -> None:
    option, data, error = case
    with Client(socket) as client:
        assert client.option(option, data)[-1].kind == error
        assert client.go().size == 1 << 20


def test_exports_are_listed_and_the_oldest_way_in_works(socket: Path) -> None:
    with Client(socket) as client:
        names = [reply.data for reply in client.option(nbd.LIST) if reply.kind == nbd.SERVER]
        assert names == [counted(b"")]
        assert client.option(nbd.ABORT)[-1].kind == nbd.ACK
        assert client.is_closed()
    for flags, zeros in ((3, 0), (1, 124)):
        with Client(socket, flags) as client:
            client.send(struct.pack(">8sII", b"IHAVEOPT", nbd.EXPORT_NAME, 0))
            size, told = struct.unpack(">QH", client.receive(10))
            assert (size, told & 3) == (1 << 20, 3)
            client.receive(zeros)
            client.ask(nbd.READ, 0, 512)
            assert len(client.reply(512).data) == 512


def test_the_context_is_that_of_the_export_that_was_chosen(socket: Path) -> None:
    with Client(socket) as client:
        client.go(allocation=True)
        client.ask(nbd.BLOCK_STATUS, 0, 1 << 20)
        payload = client.reply().data
        (context,) = struct.unpack(">I", payload[:4])
        found = list(struct.iter_unpack(">II", payload[4:]))
        assert context == 1
        assert sum(length for length, _ in found) == 1 << 20
        assert found[-1][1] == 3
        client.ask(nbd.BLOCK_STATUS, 0, 1 << 20, flags=8)
        assert len(client.reply().data) == 4 + 8


def test_a_large_request_takes_no_more_memory_than_a_small_one(
    serve: Serve, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    content = os.urandom(20 << 20)
    (site / "a").write_bytes(content)
    socket = serve(site, "--format", "tar")
    for structured in (True, False):
        with Client(socket) as client:
            client.go(structured=structured)
            *_, child = connections_of(client.server)
            before = private_memory(child)
            client.ask(nbd.READ, 0, 16 << 20, flags=0)
            client.receive(4096)  # it is at work on the rest
            assert private_memory(child) - before < 1 << 20


def test_one_chunk_is_promised_up_to_what_is_sent_at_once(serve: Serve, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "a").write_bytes(os.urandom(3 << 20))
    with Client(serve(site, "--format", "tar")) as client:
        client.go()
        for length, error in ((64 << 10, 0), (2 << 20, nbd.EOVERFLOW)):
            client.ask(nbd.READ, 0, length, flags=4)
            assert client.reply().error == error


def test_a_server_without_descriptors_to_spare_goes_on(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "a").write_bytes(b"a" * 10_000)
    socket = tmp_path / "x.sock"
    few = ["prlimit", "--nofile=20:20"]
    command = blockpack("serve", site, "--format", "tar", "--socket", socket)
    with subprocess.Popen([*few, *command], stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None and b"serving" in server.stderr.readline()
            clients = []
            with suppress(EOFError, TimeoutError, OSError):
                for _ in range(40):
                    clients.append(Client(socket, timeout=0.5))
            assert server.poll() is None and 0 < len(clients) < 40
            for each in clients:
                each.socket.close()
            until = time.monotonic() + 20
            while True:
                try:
                    with Client(socket) as client:
                        assert len(client.go().read(0, 512)) == 512
                        break
                except (EOFError, OSError):
                    assert time.monotonic() < until
        finally:
            server.terminate()
        assert server.wait(20) == 0


def test_a_half_closed_connection_is_answered_and_ended(socket: Path) -> None:
    with Client(socket) as client:
        client.go()
        client.ask(nbd.READ, 0, 512)
        client.socket.shutdown(1)
        assert client.reply().data
        assert client.is_closed()
