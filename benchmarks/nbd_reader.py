"""A small NBD client: random reads, or one read as soon as a server answers.

A program of its own, run by a bare interpreter, so that what it costs is little and the same for
every server. Reads of 4 KiB, `depth` of them under way at a time. What follows ``--`` is a server
to be started first and ended at last; it starts while this one imports what it needs.
"""

from __future__ import annotations

import os
import sys

server = 0
if "--" in sys.argv:
    command = sys.argv[sys.argv.index("--") + 1 :]
    server = os.posix_spawnp(command[0], command, os.environ)

import argparse  # noqa: E402
import random  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402
import time  # noqa: E402

SIZE = 4096
PATIENCE = 60.0


def connect(path: str) -> socket.socket:
    """A connection to the Unix socket at `path`, once somebody serves it."""
    until = time.monotonic() + PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
        except OSError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.002)
        else:
            return connection


def agree(connection: socket.socket) -> int:
    """Agree on the default export; its size in bytes."""
    receive(connection, 18)
    connection.sendall(struct.pack(">I", 3) + struct.pack(">8sII", b"IHAVEOPT", 1, 0))
    size, _ = struct.unpack(">QH", receive(connection, 10))
    return int(size)


def receive(connection: socket.socket, count: int) -> bytes:
    """The next `count` bytes."""
    data = connection.recv(count, socket.MSG_WAITALL)
    if len(data) != count:
        raise EOFError("the server left")
    return data


def read(connection: socket.socket, offsets: list[int], depth: int) -> None:
    """Read `SIZE` bytes at each of the offsets."""
    asked = 0
    for answered in range(len(offsets)):
        while asked < len(offsets) and asked - answered < depth:
            connection.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 0, offsets[asked], SIZE))
            asked += 1
        _, error, _ = struct.unpack(">IIQ", receive(connection, 16))
        if error:
            raise OSError(error, "the server cannot read")
        receive(connection, SIZE)


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--reads", type=int, default=1)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("server", nargs="*", help="a server to start first, and to end at last")
    arguments = parser.parse_args()
    try:
        with connect(arguments.socket) as connection:
            blocks = agree(connection) // SIZE
            chosen = random.Random(1)
            offsets = [chosen.randrange(blocks) * SIZE for _ in range(arguments.reads)]
            read(connection, offsets, arguments.depth)
    finally:
        if server:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)


if __name__ == "__main__":
    main()
