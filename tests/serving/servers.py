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


def uri(socket: Path, name: str = "") -> str:
    """Where clients find an export of the server at a socket."""
    return f"nbd+unix:///{name}?socket={socket}"


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


_PROGRAM = """
import os, sys, threading
import blockpack
from attrs import evolve
from blockpack.serving import server
source, socket, threads, most, idle, made = sys.argv[1:]
server.MOST_CONNECTIONS, server.LEAST_IDLE = int(most), float(idle)
layout = blockpack.FatVolume().plan(blockpack.scan(source))
record = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def noting(run):
    def make(start, stop):
        for item in range(start, stop):
            os.write(record, f"{run.start} {item}\\n".encode())
        return run.make(start, stop)
    return evolve(run, parts=make)

layout = evolve(layout, runs=tuple(map(noting, layout.runs)))

def ready(addresses):
    os.truncate(made, 0)
    print("serving", flush=True)

def serve():
    blockpack.serve(layout, socket, ready=ready, log=lambda text: print(text, flush=True))

if threads == "threads":
    threading.Thread(target=serve, daemon=True).start()
    sys.stdin.read()
else:
    serve()
"""


@contextmanager
def serving_program(
    site: Path | str, socket: Path, how: str, *, most: int = 256, idle: float = 1.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that serves a site as FAT, from its first thread or, if that is `how`, from another
    of its ``threads``; `most` connections at a time.

    It prints what it has to tell, and notes in the file ``made`` beside the socket what it
    makes from then on.
    """
    words = [str(site), str(socket), how, str(most), str(idle), str(socket.with_name("made"))]
    command = [sys.executable, "-c", _PROGRAM, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"serving\n"
            yield server
        finally:
            server.kill()


def connections_of(server: int) -> list[int]:
    """The processes of a server's connections, the oldest first."""
    return list(map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split()))


def private_memory(process: int) -> int:
    """Bytes that a process shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
