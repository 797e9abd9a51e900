"""Clients that we did not write, and what they add: libnbd, QEMU, nbdkit, nbdfuse."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import blockpack
from judges.programs import require, run
from serving.servers import Serve, uri

FORMATS = {
    "tar": ("--format", "tar", "--size", "8M"),
    "fat": ("--format", "fat", "--cluster-size", "32K", "--fat-type", "16"),
    "fat32": ("--format", "fat", "--fat-type", "32"),
    "docteur": ("--format", "git"),
}


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "media").mkdir(parents=True)
    for number in range(100):
        (site / f"Page {number}.html").write_bytes(os.urandom(number * 70))
    (site / "media" / "film").write_bytes(os.urandom(1_000_001))
    with open(site / "media" / "sparse", "wb") as file:
        file.truncate(2 << 20)
    return site


@pytest.fixture(name="image")
def fixture_image(site: Path) -> bytes:
    """What all of them are to read."""
    return blockpack.FatVolume().plan(blockpack.scan(site)).open().read()


@pytest.fixture(name="socket")
def fixture_socket(serve: Serve, site: Path) -> Path:
    return serve(site, "--format", "fat")


@contextmanager
def until_there(words: Sequence[str | Path], path: Path) -> Iterator[None]:
    """A program while it runs, from when `path` is there."""
    with subprocess.Popen(words) as program:
        try:
            until = time.monotonic() + 20
            while not path.exists():
                assert program.poll() is None and time.monotonic() < until
                time.sleep(0.02)
            yield
        finally:
            program.terminate()


@contextmanager
def nbdkit(tmp_path: Path, *words: str) -> Iterator[Path]:
    """nbdkit in front of a server; its socket."""
    front = tmp_path / "front.sock"
    with until_there([require("nbdkit"), "-f", "-U", front, *words], front):
        yield front


@contextmanager
def file_of(address: str, tmp_path: Path) -> Iterator[Path]:
    """The device at `address` as nbdfuse shows it."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse here, so nbdfuse cannot mount")
    shown = tmp_path / "device.img"
    shown.touch()  # mounted over
    fuse = subprocess.Popen([require("nbdfuse"), shown, address])
    try:
        until = time.monotonic() + 20
        while not shown.stat().st_size:
            assert fuse.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        yield shown
    finally:
        subprocess.run(["umount", shown], check=True)
        fuse.wait(20)


ASKED = """
import errno

def error_of(call, *words, **named):
    try:
        call(*words, **named)
    except nbd.Error as error:
        return error.errno

size = h.get_size()
assert h.is_read_only() and h.can_multi_conn() and h.can_df() and h.can_flush() in (0, 1)
assert h.can_meta_context("base:allocation")
h.set_strict_mode(0)  # ask for what the server did not offer
for call, words in (
    (h.pwrite, (bytes(512), 0)), (h.trim, (512, 0)), (h.zero, (512, 0)),
    (h.trim, (1 << 31, 0)), (h.zero, (512, size)),
):
    for flags in (0, nbd.CMD_FLAG_FUA, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO, 1 << 9):
        assert error_of(call, *words, flags=flags) == "EPERM", (call, flags)
assert error_of(h.cache, 512, 0) == "EINVAL"
assert error_of(h.flush) is None
assert error_of(h.flush, flags=nbd.CMD_FLAG_FUA) == "EINVAL"
assert error_of(h.pread, 512, 0, flags=nbd.CMD_FLAG_FUA) == "EINVAL"
assert error_of(h.pread, 512, size) == "EINVAL"
assert error_of(h.pread, 0, 0) == "EINVAL"
assert error_of(h.block_status, 512, size, lambda *_: 0) == "EINVAL"

at = holes = 0
while at < size:
    found = []
    h.block_status(size - at, at, lambda _, begin, entries, error: found.extend(entries))
    assert found
    for length, status in zip(found[::2], found[1::2]):
        if status:
            assert status == nbd.STATE_HOLE | nbd.STATE_ZERO
            assert not any(h.pread(min(length, 1 << 20), at))
            holes += length
        at += length
assert at == size
print(size, holes)
"""


@pytest.mark.parametrize("options", FORMATS.values(), ids=list(FORMATS))
def test_libnbd_gets_an_answer_to_whatever_it_asks(
    serve: Serve, site: Path, options: tuple[str, ...]
) -> None:
    address = uri(serve(site, *options))
    asked = [require("nbdsh"), "--base-allocation", "-u", address, "-c", ASKED]
    path = {"PATH": "/usr/bin:/bin"}  # it takes the first Python there is, and needs the system's
    found = subprocess.run(asked, check=False, capture_output=True, text=True, env=path)
    assert found.returncode == 0, found.stderr
    size, holes = map(int, found.stdout.split())
    assert size > 1_000_000 and (holes > 0) == (options[1] != "git")


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("size", ["4096", "262144", "33554432"])
def test_nbdcopy_may_ask_in_any_way(
    socket: Path, image: bytes, tmp_path: Path, connections: int, size: str
) -> None:
    copy = tmp_path / "copy"
    ways = f"--connections={connections}", f"--request-size={size}", "--requests=16"
    run("nbdcopy", [*ways, uri(socket), copy])
    assert copy.read_bytes() == image


def test_qemu_reads_what_is_there_and_writes_nothing(
    socket: Path, image: bytes, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(image)
    copy = tmp_path / "copy.qcow2"
    run("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "-m", "16", "-W", uri(socket), copy])
    run("qemu-img", ["compare", copy, plain])
    found = run("qemu-io", ["-r", "-f", "raw", "-c", "read -P 0xaa 511 1", uri(socket)])
    assert b"read 1/1 bytes" in found.stdout and b"failed" not in found.stdout
    refused = subprocess.run(
        [require("qemu-io"), "-f", "raw", "-c", "write 0 512", uri(socket)],
        check=False,
        capture_output=True,
    )
    assert refused.returncode


def test_nbdinfo_knows_what_it_is(serve: Serve, tmp_path: Path) -> None:
    blockpack.write(blockpack.FatVolume(fat_type=12).plan(blockpack.Tree()), tmp_path / "a.img")
    found = run("nbdinfo", [uri(serve(tmp_path / "a.img"))]).stdout
    assert b"is_read_only: true" in found and b"can_multi_conn: true" in found
    assert b"DOS/MBR boot sector" in found  # file(1) of it


FILTERS = {
    "cow": (),
    "rate": ("rate=100M",),
    "cache": (),
    "readahead": (),
    "blocksize": ("minblock=4096", "maxdata=64K"),
}


@pytest.mark.parametrize("name", FILTERS)
def test_nbdkit_filters_what_is_served(
    socket: Path, image: bytes, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "copy"
    words = f"--filter={name}", "nbd", f"socket={socket}", *FILTERS[name]
    with nbdkit(tmp_path, *words) as front:
        run("nbdcopy", [uri(front), copy])
    assert copy.read_bytes() == image


def test_nbdkit_lets_in_who_has_the_key(socket: Path, image: bytes, tmp_path: Path) -> None:
    keys = tmp_path / "keys.psk"
    keys.write_text(f"alice:{secrets.token_hex(32)}\n")
    copy = tmp_path / "copy"
    words = "--tls=require", f"--tls-psk={keys}", "nbd", f"socket={socket}"
    with nbdkit(tmp_path, *words) as front:
        without = subprocess.run(
            [require("nbdcopy"), uri(front), str(copy)], check=False, capture_output=True
        )
        assert without.returncode
        address = uri(front).replace("nbd+unix://", "nbds+unix://alice@")
        run("nbdcopy", [f"{address}&tls-psk-file={keys}", copy])
    assert copy.read_bytes() == image


def test_fsck_finds_a_sound_file_system_through_nbdfuse(
    socket: Path, image: bytes, tmp_path: Path
) -> None:
    with file_of(uri(socket), tmp_path) as shown:
        run("fsck.fat", ["-n", shown])


def test_firecracker_opens_what_nbdfuse_shows(socket: Path, image: bytes, tmp_path: Path) -> None:
    """As it does it itself for a drive with ``is_read_only``: its size by lseek(2), then reads at
    multiples of 512 bytes (src/vmm/src/devices/virtio/block/virtio/device.rs).
    """
    with file_of(uri(socket), tmp_path) as shown:
        drive = os.open(shown, os.O_RDONLY | os.O_CLOEXEC)
        try:
            assert os.lseek(drive, 0, os.SEEK_END) == len(image)
            for at in range(0, len(image), 64 << 10):
                assert os.pread(drive, 64 << 10, at) == image[at : at + (64 << 10)]
        finally:
            os.close(drive)


def test_solo5_opens_what_nbdfuse_shows_of_a_copy_on_write(
    socket: Path, image: bytes, tmp_path: Path
) -> None:
    """As its tenders do it: to read and write, the size by lseek(2), then a sector at a time
    (tenders/common/block_attach.c, tenders/hvt/hvt_module_blk.c).
    """
    with nbdkit(tmp_path, "--filter=cow", "nbd", f"socket={socket}") as front:  # noqa: SIM117
        with file_of(uri(front), tmp_path) as shown:
            block = os.open(shown, os.O_RDWR)
            try:
                assert os.lseek(block, 0, os.SEEK_END) == len(image)
                assert os.pread(block, 512, 512) == image[512:1024]
                assert os.pwrite(block, b"n" * 512, 512) == 512
                assert os.pread(block, 1024, 512) == b"n" * 512 + image[1024:1536]
            finally:
                os.close(block)
    copy = tmp_path / "copy"
    run("nbdcopy", [uri(socket), copy])
    assert copy.read_bytes() == image  # nothing came through


def test_an_image_is_served_as_it_is(serve: Serve, tmp_path: Path, image: bytes) -> None:
    """Also one that is encrypted, which looks like chance."""
    for name, data in (("www", image), ("secret", os.urandom(8192))):
        path = tmp_path / f"{name}.img"
        path.write_bytes(data)
        socket = serve(path, "--name", name)
        words = "compare", "-f", "raw", "-F", "raw", uri(socket, name), str(path)
        assert b"identical" in run("qemu-img", words).stdout
