"""Servers of their own processes: what is served, and by which socket."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.running import begun
from serving.servers import Serve


@pytest.fixture(name="serve")
def fixture_serve(tmp_path: Path) -> Iterator[Serve]:
    """Servers that are ended with the test, and must end well."""
    servers: list[int] = []

    def serve(*arguments: str | os.PathLike[str]) -> Path:
        socket = tmp_path / f"nbd{len(servers)}.sock"
        words = ["serve", *(os.fspath(word) for word in arguments), "--socket", str(socket)]
        told = socket.with_suffix(".log")
        with open(os.devnull, "r+b") as nothing, told.open("wb") as log:
            server = begun(words, (nothing.fileno(), nothing.fileno(), log.fileno()))
        servers.append(server)
        until = time.monotonic() + 60
        while not socket.exists():
            if ended(server):
                servers.remove(server)
                raise AssertionError(told.read_text())
            assert time.monotonic() < until
            time.sleep(0.01)
        return socket

    yield serve
    for server in servers:
        os.kill(server, signal.SIGTERM)
    until = time.monotonic() + 30
    for server in servers:
        while not (end := ended(server)):
            assert time.monotonic() < until
            time.sleep(0.001)
        assert end == (server, 0)


def ended(process: int) -> tuple[int, int] | None:
    """The id and status of a process that has ended."""
    found = os.waitpid(process, os.WNOHANG)
    return found if found[0] else None
