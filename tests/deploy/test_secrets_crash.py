"""A crash right after a command loses no secret: what replaces one is on the disk before that."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage
import pytest

from deploy.deployments import write_files
from deploy.secret_deployments import IN_CIPHER, identity, manifest, run, sealed

SECRET = b"Xq7/wombat-of-the-night/9fLz|%06d" % 7 * 2000

MOUNT_OPTIONS = {"ext4": "loop", "xfs": "loop,nouuid", "btrfs": "loop"}


class Disk:
    """A file system in the file `image`, mounted at `place`."""

    def __init__(self, image: Path, place: Path, kind: str) -> None:
        self.image, self.place, self.kind = image, place, kind
        place.mkdir()

    @contextmanager
    def mounted(self) -> Iterator[bool]:
        words: list[str | Path] = ["mount", "-o", MOUNT_OPTIONS[self.kind], self.image, self.place]
        is_mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0
        try:
            yield is_mounted
        finally:
            if is_mounted:
                subprocess.run(["umount", self.place], check=True)


@pytest.fixture(name="disk", params=MOUNT_OPTIONS)
def fixture_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    if os.geteuid():
        pytest.skip("mounting a disk takes root")
    with open(tmp_path / "disk", "wb") as file:
        file.truncate(320 << 20)
    quiet = "-qF" if request.param == "ext4" else "-qf"
    subprocess.run([f"mkfs.{request.param}", quiet, tmp_path / "disk"], check=True)
    return Disk(tmp_path / "disk", tmp_path / "mounted", request.param)


def after_a_crash(disk: Disk, own: str, *words: str | Path) -> Iterator[tuple[str, bytes]]:
    """The files of the secret on what the disk is right after the command, with their plain bytes.

    The disk's bytes are copied while it is in use, and what is only in memory is in no copy.
    """
    copy = Disk(disk.image.with_name("copy"), disk.place.with_name("crashed"), disk.kind)
    recipient = own.splitlines()[1].rpartition(" ")[2]
    with disk.mounted() as is_mounted:
        if not is_mounted:
            pytest.skip("no disk can be mounted here")
        write_files(
            disk.place / "d",
            {
                "blockpack.toml": manifest(recipient, IN_CIPHER),
                "vault/plain": SECRET,
                "vault/old.age": sealed(SECRET, recipient),
            },
        )
        subprocess.run(["sync", "-f", disk.place], check=True)
        editor = "open(__import__('sys').argv[1], 'ab').write(b'edited')"
        env = {"EDITOR": shlex.join([sys.executable, "-c", editor])}
        done = run("secrets", *words, "--deployment", disk.place / "d", env=env)
        kept = disk.kind == "btrfs" and "--remove" in words
        assert done.returncode == (5 if kept else 0), done.stderr
        told = b"removed, but btrfs keeps on the disk what it overwrites"
        assert (told in done.stderr) == kept
        subprocess.run(["cp", "--sparse=always", disk.image, copy.image], check=True)
    key = pyrage.x25519.Identity.from_str(own.splitlines()[-1])
    with copy.mounted() as is_mounted:
        assert is_mounted
        for path in (copy.place / "d/vault").iterdir():
            data = path.read_bytes()
            try:
                plain = pyrage.decrypt(data, [key]) if path.suffix == ".age" else data
            except pyrage.DecryptError:
                plain = b"damaged"
            yield path.name, bytes(plain)


def test_what_is_removed_is_encrypted_on_the_disk(disk: Disk, tmp_path: Path) -> None:
    identity(tmp_path / "identity")
    own = (tmp_path / "identity").read_text()
    found = dict(after_a_crash(disk, own, "encrypt", "--remove", disk.place / "d/vault/plain"))
    assert found == {"plain.age": SECRET, "old.age": SECRET}


@pytest.mark.parametrize("command", ["edit", "rekey"])
def test_what_is_replaced_is_whole_on_the_disk(disk: Disk, tmp_path: Path, command: str) -> None:
    identity(tmp_path / "identity")
    own = (tmp_path / "identity").read_text()
    with_identity = ("--identity", str(tmp_path / "identity"))
    named = [disk.place / "d/vault/old.age"] if command == "edit" else []
    found = dict(after_a_crash(disk, own, command, *named, *with_identity))
    assert found["old.age"] == SECRET + (b"edited" if command == "edit" else b"")
