"""Whatever bytes a client sends, the server answers or leaves, and nothing escapes."""

from __future__ import annotations

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import blockpack
from blockpack.serving import handshake, wire
from blockpack.serving.export import Export
from blockpack.serving.transmission import converse

TREE = blockpack.scan(".", exclude=["*"])
TREE.add("a", b"some bytes" * 500)
EXPORTS = {b"": Export.of("", blockpack.TarVolume(size="64K").plan(TREE))}

numbers = st.integers(0, 20) | st.integers(0, (1 << 32) - 1)
names = st.sampled_from([b"", b"x", b"base:allocation", b"base:"]) | st.binary(max_size=20)
strings = st.tuples(numbers | st.none(), names).map(
    lambda pair: struct.pack(">I", len(pair[1]) if pair[0] is None else pair[0]) + pair[1]
)
payloads = st.lists(strings | st.binary(max_size=8), max_size=4).map(b"".join)


def option(number: int, payload: bytes, length: int | None) -> bytes:
    announced = len(payload) if length is None else length
    return struct.pack(">8sII", b"IHAVEOPT", number, announced) + payload


options = st.builds(option, numbers, payloads, st.none() | st.none() | numbers)
GO = option(7, struct.pack(">IH", 0, 0), None)
requests = st.builds(
    lambda magic, flags, command, offset, length: struct.pack(
        ">IHHQQI", magic, flags, command, 1, offset, length
    ),
    st.just(0x25609513) | st.just(0x25609513) | numbers,
    st.integers(0, 0xFFFF),
    st.integers(0, 12),
    st.integers(0, 70_000) | st.integers(0, (1 << 64) - 1),
    st.integers(0, 70_000) | numbers,
)
conversations = st.tuples(
    st.sampled_from([b"\0\0\0\3", b"\0\0\0\1"]) | st.binary(max_size=4),
    st.lists(options, max_size=4).map(b"".join),
    st.sampled_from([GO, option(8, b"", None) + GO, b""]),
    st.lists(requests | st.binary(max_size=40), max_size=6).map(b"".join),
).map(b"".join)


def conversation(said: bytes) -> bytes:
    """What the server answers to all that a client says before it listens, and then leaves."""
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []

    def client() -> None:
        with ours:
            ours.settimeout(20)
            sender = threading.Thread(target=_say, args=(ours, said), daemon=True)
            sender.start()
            while data := ours.recv(1 << 16):
                heard.append(data)
            sender.join()

    thread = threading.Thread(target=client)
    thread.start()
    with theirs:
        converse(wire.Wire(theirs), EXPORTS, lambda *_: None)
    thread.join()
    return b"".join(heard)


def _say(connection: socket.socket, said: bytes) -> None:
    try:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
    except OSError:  # the server left first
        pass


@given(conversations)
def test_whatever_a_client_says_it_is_answered_or_left(said: bytes) -> None:
    assert conversation(said).startswith(b"NBDMAGICIHAVEOPT")


@given(st.lists(requests.filter(lambda data: data[:4] == b"\x25\x60\x95\x13"), max_size=8))
def test_nothing_but_the_image_is_ever_read(asked: list[bytes]) -> None:
    begun = conversation(b"\0\0\0\3" + GO)
    answer = conversation(b"\0\0\0\3" + GO + b"".join(asked))[len(begun) :]
    expected = EXPORTS[b""].reader.read_at(0, 1 << 16)
    while answer:
        magic, error, _ = struct.unpack(">IIQ", answer[:16])
        assert magic == 0x67446698
        answer = answer[16:]
        _, _, command, _, offset, length = struct.unpack(">IHHQQI", asked.pop(0))
        if error or command != 0:
            continue
        assert answer[:length] == expected[offset : offset + length]
        answer = answer[length:]


@pytest.mark.parametrize("said", [b"", b"\0\0\0\3", b"\0\0\0\3" + GO[:10]], ids=repr)
def test_a_handshake_that_is_not_finished_is_left(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "DEADLINE", 0.2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(said)
        converse(wire.Wire(theirs), EXPORTS, lambda *_: None)


def test_a_client_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.2)
    ours, theirs = socket.socketpair()
    request = struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 1 << 16)
    with ours, theirs:
        ours.sendall(b"\0\0\0\3" + GO + request * 100)
        converse(wire.Wire(theirs), EXPORTS, lambda *_: None)
