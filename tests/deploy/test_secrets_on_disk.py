"""What is on a disk after builds of secret volumes, by every byte of its file system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.secret_deployments import (
    IN_CIPHER,
    NAME,
    found_in,
    identity,
    sealed,
    secret_deployment,
)

BLOCK = b"Jv3|koala-at-noon|%020d|" % 7
"""What the secret is made of; small enough to be found, whatever the blocks of the disk."""

SECRET = b"".join(b"Jv3|koala-at-noon|%020d|" % n for n in range(1 << 18))
"""About 11 MB, so that there is a middle to be killed in."""

_GIT = '"git"\ncontainer = "pack"\n'
"""What reads it can be given an encrypted device."""

_STOPPED_BEFORE_THE_END = """
import os, signal, sys
from blockpack.deploy.building import secret_volumes as volumes
def transfer(layout, path, descriptor, real=volumes._transfer):
    real(layout, path, descriptor)
    os.fsync(descriptor)
    os.kill(os.getpid(), signal.SIGKILL)
volumes._transfer = transfer
from blockpack.cli import command
sys.argv[0] = "blockpack"
command()
"""


@pytest.fixture(name="disk")
def fixture_disk(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A file system of its own in a file: where it is mounted, and the file."""
    if os.geteuid():
        pytest.skip("mounting a disk takes root")
    image, place = tmp_path / "disk", tmp_path / "mounted"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield place, image
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def on_disk(place: Path, image: Path, what: bytes) -> bool:
    """Whether `what` is anywhere on the disk, after all is written to it."""
    subprocess.run(["sync", "-f", place], check=True)
    with open(image, "rb") as file:
        before = b""
        while data := file.read(1 << 20):
            if what in before + data:
                return True
            before = data[-len(what) :]
    return False


def deployment(tmp_path: Path, disk: Path, options: str = "") -> tuple[Path, Path]:
    """A deployment on the disk, and an identity that is not there."""
    recipient = identity(tmp_path / "identity")
    files = {f"vault/{NAME}.age": sealed(SECRET, recipient)}
    volumes = IN_CIPHER.replace('"tar"', options) if options else IN_CIPHER
    return secret_deployment(disk / "d", recipient, volumes, files), tmp_path / "identity"


def command(place: Path, own: Path, disk: Path, script: str | None = None) -> list[str | Path]:
    program: list[str | Path] = ["-m", "blockpack"] if script is None else ["-c", script]
    words: list[str | Path] = ["build", place, "--out", disk / "dist", "--identity", own]
    return [sys.executable, *program, *words]


def environment(disk: Path) -> dict[str, str]:
    (disk / "tmp").mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(disk / "tmp")}


def test_what_is_looked_for_would_be_found(disk: tuple[Path, Path]) -> None:
    (disk[0] / "plain").write_bytes(SECRET)
    assert on_disk(*disk, BLOCK)
    (disk[0] / "plain").unlink()
    assert on_disk(*disk, BLOCK)


@pytest.mark.parametrize("options", ["", '"fat"', _GIT, f"{_GIT}compression = 0"])
def test_a_build_leaves_no_plaintext_on_a_disk(
    tmp_path: Path, disk: tuple[Path, Path], options: str
) -> None:
    place, own = deployment(tmp_path, disk[0], options)
    done = subprocess.run(command(place, own, disk[0]), env=environment(disk[0]), check=False)
    assert done.returncode == 0
    assert not on_disk(*disk, BLOCK)
    assert list((disk[0] / "tmp").iterdir()) == []


def test_a_build_that_is_killed_leaves_no_plaintext_on_a_disk(
    tmp_path: Path, disk: tuple[Path, Path]
) -> None:
    place, own = deployment(tmp_path, disk[0])
    words = command(place, own, disk[0], _STOPPED_BEFORE_THE_END)
    done = subprocess.run(words, env=environment(disk[0]), check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = (disk[0] / "dist").glob(".blockpack-secret-*")
    assert (left / "keys.img").stat().st_size > len(SECRET)
    assert not on_disk(*disk, BLOCK)
    begun = time.monotonic()
    for delay in (0.2, 0.4, 0.6, 0.9):
        process = subprocess.Popen(command(place, own, disk[0]), env=environment(disk[0]))
        time.sleep(delay)
        process.kill()
        process.wait()
    assert time.monotonic() - begun < 60
    assert not on_disk(*disk, BLOCK)
    assert subprocess.run(command(place, own, disk[0]), check=False).returncode == 0
    assert list((disk[0] / "dist").glob(".blockpack-*.tmp")) == []
    assert not found_in((disk[0] / "dist/keys.img").read_bytes(), BLOCK)


@pytest.mark.parametrize("kill", [True, False])
def test_an_image_in_clear_that_is_retired_is_overwritten(
    tmp_path: Path, disk: tuple[Path, Path], kill: bool
) -> None:
    """On ext4, without a journal of data, wiping does what it says; also what a kill left."""
    place, own = deployment(tmp_path, disk[0])
    text = (place / "blockpack.toml").read_text()
    clear = text.replace('cipher = "aes-ccm"', "allow_persistent = true")
    (place / "blockpack.toml").write_text(clear)
    words = command(place, own, disk[0], _STOPPED_BEFORE_THE_END if kill else None)
    subprocess.run(words, env=environment(disk[0]), check=False)
    assert on_disk(*disk, BLOCK)
    (place / "blockpack.toml").write_text(text)
    subprocess.run(command(place, own, disk[0]), env=environment(disk[0]), check=True)
    assert not on_disk(*disk, BLOCK)
