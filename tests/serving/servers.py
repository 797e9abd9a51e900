"""The command that serves, and how a test asks for a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Serve = Callable[..., Path]
"""Begins to serve what the arguments of the command say; the path of the socket."""


def blockpack(*arguments: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
    """The command line of blockpack with these arguments."""
    return [sys.executable, "-m", "blockpack", *arguments]


@contextmanager
def serving(*arguments: str | os.PathLike[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it serves; killed at the end if it still does."""
    with subprocess.Popen(blockpack("serve", *arguments), stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None
            assert b"serving" in server.stderr.readline()
            yield server
        finally:
            server.kill()


_THREADED = """
import sys, threading
import blockpack
from blockpack.serving import server
source, socket, most = sys.argv[1:]
server.MOST_CONNECTIONS = int(most)
layout = blockpack.TarVolume().plan(blockpack.scan(source))
told = {"ready": lambda _: print("serving", flush=True)}
threading.Thread(target=blockpack.serve, args=(layout, socket), kwargs=told, daemon=True).start()
sys.stdin.read()
"""


@contextmanager
def serving_from_threads(site: Path, socket: Path, most: int = 256) -> Iterator[None]:
    """A program that has threads, and serves a site from one; `most` connections at a time."""
    command = [sys.executable, "-c", _THREADED, str(site), str(socket), str(most)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"serving\n"
            yield
        finally:
            server.kill()
