"""Servers of their own processes: what is served, and by which socket."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.servers import Serve, blockpack


@pytest.fixture(name="serve")
def fixture_serve(tmp_path: Path) -> Iterator[Serve]:
    """Servers that are ended with the test, and must end well."""
    servers: list[subprocess.Popen[bytes]] = []

    def serve(*arguments: str | os.PathLike[str]) -> Path:
        socket = tmp_path / f"nbd{len(servers)}.sock"
        command = blockpack("serve", *arguments, "--socket", socket)
        log = open(tmp_path / f"nbd{len(servers)}.log", "wb")  # noqa: SIM115 - the server's
        servers.append(subprocess.Popen(command, stderr=log))
        log.close()
        until = time.monotonic() + 60
        while not socket.exists():
            assert servers[-1].poll() is None and time.monotonic() < until
            time.sleep(0.01)
        return socket

    yield serve
    for server in servers:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
