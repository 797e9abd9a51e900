"""The rows of the table that are about serving: by NBD, beside nbdkit."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree, which

import contestants as by
import dataset
import targets
from contestants import Contestant
from stage import GIB, Skipped, Stage, Work, Works, site, size_text

READER = Path(__file__).with_name("nbd_reader.py")
PATIENCE = 60.0
NEEDED = ("nbdkit", "nbdcopy")


@contextmanager
def _served(command: Sequence[str], socket: Path) -> Iterator[None]:
    """A server, from when its socket is there until the end."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + PATIENCE
            while not socket.exists():
                if server.poll() is not None or time.monotonic() > until:
                    raise Skipped(f"{command[0]} does not serve")
                time.sleep(0.01)
            yield
        finally:
            server.kill()


def _ours(stage: Stage, tree: Path, socket: Path, *options: str) -> list[str]:
    return [*stage.program, "serve", "-q", str(tree), *options, "--socket", str(socket)]


def _nbdkit(socket: Path, *plugin: str) -> list[str]:
    return ["nbdkit", "-f", "-r", "-U", str(socket), *plugin]


def _copied(name: str, where: Path | str) -> Contestant:
    uri = f"nbd+unix:///?socket={where}" if isinstance(where, Path) else where
    return Contestant(
        name=name,
        command=("nbdcopy", uri, "null:"),
        shown=f"nbdcopy ({name}) null:",
        ours=name.startswith("blockpack"),
        needs=("nbdcopy",),
    )


def _random(name: str, socket: Path, reads: int, depth: int) -> Contestant:
    options = f"--reads {reads} --depth {depth}"
    return Contestant(
        name=name,
        command=(sys.executable, "-I", "-S", str(READER), str(socket), *options.split()),
        shown=f"nbd_reader.py ({name}) {options}",
        ours=name.startswith("blockpack"),
    )


def _first_read(name: str, server: Sequence[str], socket: Path) -> Contestant:
    return Contestant(
        name=name,
        command=(sys.executable, "-I", "-S", str(READER), str(socket), "--", *server),
        shown=f"nbd_reader.py -- {name}",
        ours=name.startswith("blockpack"),
        outputs=(socket,),
    )


def small(stage: Stage) -> Works:
    """Many small files, as FAT and as tar."""
    _require_programs()
    count = stage.scale.small_files
    with stage.room("serve-small", 4 * GIB) as room, ExitStack() as servers:
        tree = site(stage, room)
        tar, fat, file, floppy = (
            room / f"{name}.sock" for name in ("tar", "fat", "file", "floppy")
        )
        image = room / "ours.tar"
        pack = by.blockpack(stage.program, tree, image, "--format", "tar", name="blockpack pack")
        options = "--format", "fat", "--fat-type", "32"
        pack_fat = by.blockpack(
            stage.program, tree, room / "ours.img", *options, name="blockpack pack"
        )
        start = _ours(stage, tree.path, room / "first.sock", *options)
        peer = _nbdkit(room / "peer.sock", "floppy", f"dir={tree.path}")
        yield Work(
            "serve-start",
            f"{count:,} small files: from the start to the first read",
            (
                _first_read("blockpack serve", start, room / "first.sock"),
                _first_read("nbdkit floppy", peer, room / "peer.sock"),
                pack_fat,
            ),
            (
                targets.at_most("blockpack serve", "blockpack pack", 0.5),
                targets.at_most("blockpack serve", "nbdkit floppy", 2),
            ),
        )
        stage.make(pack)
        servers.enter_context(_served(_ours(stage, tree.path, tar, "--format", "tar"), tar))
        servers.enter_context(_served(_ours(stage, tree.path, fat, *options), fat))
        servers.enter_context(_served(_nbdkit(file, "file", str(image)), file))
        servers.enter_context(_served(_nbdkit(floppy, "floppy", f"dir={tree.path}"), floppy))
        for kind, ours, other, name, factor in (
            ("FAT", fat, floppy, "nbdkit floppy", 1.0),
            ("tar", tar, file, "nbdkit file", 2.5),
        ):
            yield Work(
                f"serve-{kind.lower()}",
                f"{count:,} small files, served as {kind} and copied",
                (_copied("blockpack serve", ours), _copied(name, other)),
                (targets.at_most("blockpack serve", name, factor),),
            )
        for depth, factor in ((1, 2.0), (16, 1 / 0.35)):
            yield Work(
                f"serve-random-{depth}",
                f"{count:,} small files: 20,000 random reads of 4 KiB, {depth} at a time",
                (
                    _random("blockpack serve", tar, 20_000, depth),
                    _random("nbdkit file", file, 20_000, depth),
                ),
                (targets.at_most("blockpack serve", "nbdkit file", round(factor, 2)),),
            )


def large(stage: Stage) -> Works:
    """One large file."""
    _require_programs()
    size = stage.scale.read_file
    with stage.room("serve-large", 3 * size + GIB) as room, ExitStack() as servers:
        stage.say("  making a large file")
        tree = dataset.random_file(room / "large", size)
        start = _ours(stage, tree.path, room / "first.sock", "--format", "tar")
        yield Work(
            "serve-large-start",
            f"{size_text(size)} file: from the start to the first read",
            (_first_read("blockpack serve", start, room / "first.sock"),),
            (targets.within("blockpack serve", 0.15),),
        )
        image, ours, file = room / "ours.tar", room / "ours.sock", room / "file.sock"
        stage.make(by.blockpack(stage.program, tree, image, "--format", "tar"))
        ports = "127.0.0.1:10911", "127.0.0.1:10912"
        both = _ours(stage, tree.path, ours, "--format", "tar", "--listen", ports[0])
        servers.enter_context(_served(both, ours))
        servers.enter_context(_served(_nbdkit(file, "file", str(image)), file))
        address, port = ports[1].split(":")
        tcp = ["nbdkit", "-f", "-r", "-i", address, "-p", port, "file", str(image)]
        server = servers.enter_context(subprocess.Popen(tcp))
        servers.callback(server.kill)
        for kind, pair, factor in (
            ("a Unix socket", (ours, file), 1.0),
            ("TCP", tuple(f"nbd://{each}/" for each in ports), 1.2),
        ):
            yield Work(
                f"serve-large-{'tcp' if kind == 'TCP' else 'unix'}",
                f"{size_text(size)} file, served by {kind} and copied",
                (_copied("blockpack serve", pair[0]), _copied("nbdkit file", pair[1])),
                (targets.at_most("blockpack serve", "nbdkit file", factor),),
            )
        yield Work(
            "serve-large-random",
            f"{size_text(size)} file: 20,000 random reads of 4 KiB",
            (
                _random("blockpack serve", ours, 20_000, 1),
                _random("nbdkit file", file, 20_000, 1),
            ),
            (targets.at_most("blockpack serve", "nbdkit file", 1.43),),
        )
        rmtree(tree.path)


def _require_programs() -> None:
    absent = [name for name in NEEDED if which(name) is None]
    if absent:
        raise Skipped(f"{', '.join(absent)} is not installed")
