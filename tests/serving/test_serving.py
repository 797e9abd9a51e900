"""What is served is what would have been written, to every client that we did not write."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import blockpack
from blockpack.workers.pool import signals_held
from judges.programs import require
from serving.client import BLOCK_STATUS, EIO, Client
from serving.servers import Serve, serving, uri
from serving.servers import blockpack as command

FORMATS = {
    "tar": ("--format", "tar"),
    "aligned tar": ("--format", "tar", "--align", "4096"),
    "fat": ("--format", "fat"),
    "fat32": ("--format", "fat", "--fat-type", "32"),
    "docteur": ("--format", "git"),
    "pack": ("--format", "git", "--container", "pack"),
    "bundle": ("--format", "git", "--container", "bundle"),
    "erofs": ("--format", "erofs"),
    "tar and erofs": ("--format", "tar", "--erofs"),
    "room": ("--format", "tar", "--size", "8M"),
}


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "media").mkdir(parents=True)
    for number in range(300):
        (site / f"page{number:03}.html").write_bytes(os.urandom(number * 7))
    (site / "media" / "film").write_bytes(os.urandom(3_000_001))
    with open(site / "media" / "sparse", "wb") as file:
        file.truncate(2 << 20)
    return site


@pytest.mark.parametrize("options", FORMATS.values(), ids=list(FORMATS))
def test_what_nbdcopy_gets_is_what_pack_writes(
    serve: Serve, site: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    nbdcopy = require("nbdcopy")
    packed, served = tmp_path / "packed", tmp_path / "served"
    subprocess.run(command("pack", site, packed, "-q", *options), check=True)
    socket = serve(site, *options)
    subprocess.run([nbdcopy, uri(socket), served], check=True)
    assert served.read_bytes() == packed.read_bytes()


def test_a_large_blob_of_a_commit_is_read_in_any_order(serve: Serve, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    content = os.urandom(5_000_000)
    repository.mkdir()
    (repository / "film").write_bytes(content)
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    layout = blockpack.TarVolume().plan(blockpack.scan(f"git:{repository}@HEAD"))
    ((_, at),) = [(place.entry, place.offset) for place in layout.placements()]
    assert at is not None
    socket = serve(f"git:{repository}@HEAD", "--format", "tar")
    with Client(socket) as client:
        client.go()
        for start in (4_900_000, 10, 2_500_000, 0):
            assert client.read(at + start, 5000) == content[start : start + 5000]


def test_holes_are_told(serve: Serve, site: Path) -> None:
    socket = serve(site, "--format", "tar", "--size", "64M")
    found = subprocess.run(
        [require("nbdinfo"), "--map", uri(socket)], check=True, capture_output=True, text=True
    )
    *_, last = found.stdout.splitlines()
    assert "hole,zero" in last


def test_a_source_that_changed_is_an_error_where_it_is_alone(
    serve: Serve, site: Path, tmp_path: Path
) -> None:
    layout = blockpack.FatVolume().plan(blockpack.scan(site))
    places = {place.entry.path: place.offset for place in layout.placements()}
    socket = serve(site, "--format", "fat")
    film = site / "media" / "film"
    planned = film.rename(tmp_path / "film")
    film.write_bytes(b"shorter")
    changed, sound = places["media/film"], places["page299.html"]
    assert changed is not None and sound is not None
    with Client(socket) as client:
        client.go()
        with pytest.raises(OSError, match="changed") as raised:
            client.read(changed, 512)
        assert raised.value.errno == EIO
        assert str(tmp_path) not in str(raised.value)
        assert client.read(sound, 2093) == (site / "page299.html").read_bytes()
        assert client.read(0, 512)[510:] == b"\x55\xaa"
        planned.rename(film)
        assert client.read(changed, 512) == film.read_bytes()[:512], "it is there again"
    assert str(film) in (tmp_path / "nbd0.log").read_text()


def test_a_socket_is_its_owners_alone_and_gone_with_the_server(serve: Serve, site: Path) -> None:
    socket = serve(site, "--format", "tar")
    assert socket.stat().st_mode & 0o777 == 0o600


def test_a_socket_that_nobody_serves_is_replaced(site: Path, tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    for _ in range(2):
        with serving(site, "--format", "tar", "--socket", socket), Client(socket) as client:
            assert client.go().size
    assert socket.exists()


def test_what_is_in_use_or_no_socket_is_not_replaced(
    serve: Serve, site: Path, tmp_path: Path
) -> None:
    used = serve(site, "--format", "tar")
    plain = tmp_path / "file"
    plain.write_text("precious")
    unreachable = tmp_path / ("a" * 108)  # unix(7): sun_path has 108 bytes, with the NUL
    for path in (used, plain, unreachable):
        done = subprocess.run(
            command("serve", site, "--format", "tar", "--socket", path),
            check=False,
            capture_output=True,
        )
        assert done.returncode == 5
    assert not unreachable.exists()
    assert plain.read_text() == "precious"
    with Client(used) as client:
        assert client.go().size


def test_a_request_is_answered_before_the_server_ends(site: Path, tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    with serving(site, "--format", "tar", "--socket", socket) as process:
        with Client(socket) as idle, Client(socket) as client:
            idle.go()
            size = client.go(structured=False).size
            client.ask(0, 0, size & ~511)
            assert client.receive(16)  # the reply is on its way
            process.send_signal(signal.SIGTERM)
            assert len(client.receive(size & ~511)) == size & ~511
            assert client.is_closed()
            assert idle.is_closed()
        assert process.wait(20) == 0
    assert not socket.exists()


def test_an_image_that_is_elsewhere_is_to_be_fetched_first(tmp_path: Path) -> None:
    with pytest.raises(blockpack.UsageError, match="in no file of this machine"):
        blockpack.serve("https://www.example/www.img", tmp_path / "x.sock")


def test_a_signal_leaves_no_socket_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that comes as soon as the socket has its name."""

    class Ended(BaseException):
        pass

    def end(*_: object) -> None:
        raise Ended

    def rename(*names: str) -> None:
        named(*names)
        os.kill(os.getpid(), signal.SIGTERM)

    named = os.rename
    monkeypatch.setattr(os, "rename", rename)
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(Ended):
            blockpack.serve(blockpack.FatVolume().plan(blockpack.Tree()), tmp_path / "x.sock")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not any(tmp_path.iterdir())


def test_a_signal_that_a_thread_lets_through_waits_as_well() -> None:
    class Ended(BaseException):
        pass

    def end(*_: object) -> None:
        raise Ended

    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    before = signal.signal(signal.SIGTERM, end)
    steps = 0
    try:
        with pytest.raises(Ended), signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(100_000):
                steps += 1
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
        done.set()
        thread.join()
    assert steps == 100_000


def test_whoever_started_it_may_ignore_the_end_of_its_children(site: Path, tmp_path: Path) -> None:
    """What a process ignores (SIGCHLD), those that it starts ignore too (execve(2))."""
    socket = tmp_path / "x.sock"
    ignoring = ["env", "--ignore-signal=CHLD"]
    with subprocess.Popen(
        [*ignoring, *command("serve", site, "--format", "tar", "--socket", socket)],
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stderr is not None and b"serving" in server.stderr.readline()
        copied = subprocess.run([require("nbdcopy"), uri(socket), tmp_path / "copy.img"])
        server.terminate()
        assert not server.stderr.read()
    assert copied.returncode == 0


def test_an_image_that_changes_is_an_error(serve: Serve, tmp_path: Path) -> None:
    """Also where it had a hole, of which nothing is read to answer."""
    image = tmp_path / "www.img"
    blockpack.write(blockpack.FatVolume(free=4 << 20).plan(blockpack.Tree()), image)
    with Client(serve(image)) as client:
        client.go(allocation=True)
        assert len(client.read(0, 512)) == 512
        with open(image, "r+b") as file:
            file.seek(2 << 20)
            file.write(b"other")
        os.utime(image, (1, 1))
        for at in (0, 2 << 20):
            with pytest.raises(OSError, match="changed"):
                client.read(at, 512)
            client.ask(BLOCK_STATUS, at, 512)
            assert client.reply().error == EIO


def test_a_socket_whose_server_takes_nobody_for_now_is_in_use(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "full.sock"
    with socket.socket(socket.AF_UNIX) as other, ExitStack() as stack:
        other.bind(str(path))
        other.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(str(path))
        words = command("serve", site, "--format", "tar", "--socket", path)
        found = subprocess.run(words, check=False, capture_output=True, timeout=60)
    assert found.returncode == 5 and b"another process" in found.stderr


def test_a_socket_may_have_any_name(site: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.sock"
    with serving(site, "--format", "tar", "--socket", os.fsdecode(path)):
        assert os.path.exists(path)


def test_systemd_may_open_the_socket(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "passed.sock"
    start = (
        "import os, socket, sys\n"
        "listener = socket.socket(socket.AF_UNIX)\n"
        "listener.bind(sys.argv[1]); listener.listen()\n"
        "os.dup2(listener.fileno(), 3); os.set_inheritable(3, True)\n"
        "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
    )
    command = [sys.executable, "-c", start, str(path), "-m", "blockpack", "serve", str(site)]
    with subprocess.Popen([*command, "--format", "tar"], stderr=subprocess.PIPE) as server:
        try:
            assert server.stderr is not None and b"serving" in server.stderr.readline()
            with Client(path) as client:
                assert client.go().size
        finally:
            server.terminate()


MANIFEST = """
[deployment]
name = "www"
[volumes.site]
source = "site"
format = "fat"
[volumes.media]
source = "site/media"
format = "tar"
"""


def exports_of(socket: Path) -> dict[str, int]:
    found = subprocess.run(
        [require("nbdinfo"), "--list", "--json", uri(socket)], check=True, capture_output=True
    )
    return {
        each["export-name"]: each["export-size"] for each in json.loads(found.stdout)["exports"]
    }


def test_volumes_of_a_deployment_are_exports_by_name(
    serve: Serve, site: Path, tmp_path: Path
) -> None:
    top = site.parent
    (top / "blockpack.toml").write_text(MANIFEST)
    git = ["git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "site", "blockpack.toml"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    built, root = tmp_path / "built", tmp_path / "root"
    subprocess.run(command("build", f"git:{top}@HEAD", "--out", built, "-q"), check=True)
    subprocess.run(command("deploy", f"{top}@HEAD", "--to", root, "-q"), check=True)
    sizes = {name: (built / f"{name}.img").stat().st_size for name in ("site", "media")}
    for source in (f"git:{top}@HEAD", str(built), str(root)):
        socket = serve(source)
        assert exports_of(socket) == sizes, source
        for name in sizes:
            copy = tmp_path / "copy"
            subprocess.run([require("nbdcopy"), uri(socket, name), copy], check=True)
            assert copy.read_bytes() == (built / f"{name}.img").read_bytes(), source
