"""Connections: what they share, what each costs, who may stay, and what is left of them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import blockpack
from judges.programs import run
from repositories import GitRepository
from serving.client import EIO, Client
from serving.servers import connections_of, private_memory, serving, serving_program, uri

WAYS = ("processes", "threads")
MEBIBYTE = 1 << 20


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    for number in range(3000):
        directory = site / f"directory {number % 60}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"a long name of a page {number}").write_bytes(b"%d" % number * 100)
    return site


@pytest.fixture(name="image")
def fixture_image(site: Path) -> bytes:
    return blockpack.FatVolume().plan(blockpack.scan(site)).open().read()


def until(condition: Callable[[], object]) -> None:
    """Wait for what comes about soon, or never."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def all_of(client: Client, piece: int = MEBIBYTE) -> bytes:
    return b"".join(
        client.read(at, min(piece, client.size - at)) for at in range(0, client.size, piece)
    )


@pytest.mark.parametrize("way", WAYS)
def test_every_connection_reads_the_image(
    site: Path, image: bytes, tmp_path: Path, way: str
) -> None:
    with serving_program(site, tmp_path / "x.sock", way), ExitStack() as stack:
        clients = [stack.enter_context(Client(tmp_path / "x.sock")).go() for _ in range(3)]
        for piece, client in zip((4096, 100_000, MEBIBYTE), clients, strict=True):
            assert all_of(client, piece) == image


@pytest.mark.parametrize("of", ["", "git:"])
def test_what_one_connection_asked_for_is_not_made_again(
    site: Path, tmp_path: Path, of: str
) -> None:
    if of:
        repository = GitRepository.init(site)
        repository.git("add", ".")
        repository.git("commit", "--quiet", "--message=x")
    with serving_program(f"{of}{site}", tmp_path / "x.sock", "processes"):
        for piece in (65536, 4096, 512 << 10):
            with Client(tmp_path / "x.sock") as client:
                all_of(client.go(), piece)
    made = Counter((tmp_path / "made").read_text().splitlines())
    assert len(made) > 3000
    assert set(made.values()) == {1}


def test_a_connection_has_little_memory_of_its_own_whatever_it_reads(
    site: Path, tmp_path: Path
) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, "processes") as server, Client(socket) as client:
        client.go()
        for piece in (4096, MEBIBYTE):
            all_of(client, piece)
            (process,) = connections_of(server.pid)
            assert private_memory(process) < 3 * MEBIBYTE


@pytest.mark.parametrize("size", [4096, 262144])
def test_connections_read_side_by_side(site: Path, image: bytes, tmp_path: Path, size: int) -> None:
    copy, socket = tmp_path / "copy", tmp_path / "x.sock"
    with serving_program(site, socket, "processes"):
        ways = "--connections=4", f"--request-size={size}", "--requests=4"
        for _ in range(4):
            run("nbdcopy", [*ways, uri(socket), copy])
            assert copy.read_bytes() == image


@pytest.mark.parametrize("way", WAYS)
def test_each_thing_is_told_once(site: Path, tmp_path: Path, way: str) -> None:
    names = ["directory 7/a long name of a page 7", "directory 8/a long name of a page 8"]
    layout = blockpack.FatVolume().plan(blockpack.scan(site))
    places = {place.entry.path: place.offset for place in layout.placements()}
    with serving_program(site, tmp_path / "x.sock", way) as server:
        for number in range(3):
            for name in names:
                (site / name).write_bytes(b"x" * number)  # another change each time
            with Client(tmp_path / "x.sock") as client:
                client.go()
                for name in names * 4:
                    with pytest.raises(OSError, match="changed") as raised:
                        client.read(places[name] or 0, 100)
                    assert raised.value.errno == EIO
        assert server.stdout is not None
        told = [server.stdout.readline().decode() for _ in names]
        server.terminate()
        assert not server.stdout.read()
    assert [name in line for name, line in zip(names, told, strict=True)] == [True, True]


@pytest.mark.parametrize("way", WAYS)
def test_silent_clients_make_room_for_others(site: Path, tmp_path: Path, way: str) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, way, most=20, idle=0.2), ExitStack() as stack:
        silent = [stack.enter_context(Client(socket)) for _ in range(20)]
        for each in silent[10:]:
            each.go()
        time.sleep(0.3)
        busy = silent.pop()
        for _ in range(15):
            assert busy.read(0, 512)
            with Client(socket) as client:
                assert client.go().read(0, 512)
        assert busy.read(0, 512)
        assert silent[0].is_closed()


@pytest.mark.parametrize("way", WAYS)
def test_nobody_makes_room_who_is_not_silent(site: Path, tmp_path: Path, way: str) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, way, most=2, idle=60), Client(socket) as second:
        second.go()
        with Client(socket) as first, pytest.raises(TimeoutError):
            first.go()
            Client(socket, timeout=1)
        with Client(socket) as third:  # the first has gone
            assert third.go().size == second.size
        assert second.read(0, 512)


def test_three_hundred_idle_clients_keep_nobody_from_being_served(
    site: Path, tmp_path: Path
) -> None:
    socket = tmp_path / "x.sock"
    with serving(site, "--format", "tar", "--socket", socket), ExitStack() as stack:
        for number in range(300):
            idle = stack.enter_context(Client(socket))
            if number % 3 == 0:
                idle.go()
        with Client(socket) as client:
            assert client.go().read(0, 512)


def test_those_who_come_at_once_wait_for_their_turn(site: Path, tmp_path: Path) -> None:
    """libnbd's connections fail where a Unix socket has no room for who waits (connect(2))."""
    path = tmp_path / "x.sock"
    with serving(site, "--format", "tar", "--socket", path), ExitStack() as stack:
        for _ in range(300):
            idle = stack.enter_context(socket.socket(socket.AF_UNIX))
            idle.setblocking(False)
            idle.connect(str(path))
        run("nbdinfo", ["--size", uri(path)])


def test_a_killed_connection_is_that_alone(site: Path, tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, "processes"):
        with Client(socket) as first, Client(socket) as second:
            first.go(), second.go()
            process, _ = connections_of(first.server)
            os.kill(process, signal.SIGKILL)
            assert first.is_closed()
            until(lambda: len(connections_of(second.server)) == 1)
            assert second.read(0, 512)
        with Client(socket) as third:
            assert third.go().read(0, 512)


def test_a_killed_server_leaves_no_process(site: Path, tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, "processes") as server, ExitStack() as stack:
        clients = [stack.enter_context(Client(socket)) for _ in range(4)]
        for each in clients[1:]:
            each.go()
        clients[1].ask(0, 0, 32 << 20 if clients[1].size > 32 << 20 else clients[1].size)
        processes = connections_of(server.pid)
        assert len(processes) == 4
        server.kill()
        for each in clients[2:]:
            assert each.is_closed()
        clients[0].socket.close()
        clients[1].socket.close()
        until(lambda: not any(map(is_alive, processes)))


def descriptors(process: int) -> Iterator[str]:
    for each in Path(f"/proc/{process}/fd").iterdir():
        yield os.readlink(each)


def test_a_connection_has_no_descriptor_of_another(site: Path, tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    with serving_program(site, socket, "processes"), ExitStack() as stack:
        clients = [stack.enter_context(Client(socket)).go() for _ in range(5)]
        counts = {len(list(descriptors(each))) for each in connections_of(clients[0].server)}
        assert len(counts) == 1
