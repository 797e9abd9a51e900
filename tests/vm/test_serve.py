"""A kernel reads a disk that was never written: QEMU connects to the socket that is served."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from serving.servers import serving
from vm.machine import require_machine

SCRIPT = r"""
mount -t vfat -o ro /disks/www /mnt
cd /mnt
find . -type f | sort | while read -r file; do sha256sum "$file"; done >/results/digests
cd /
umount /mnt
"""


def test_a_machine_boots_with_a_disk_that_is_served(tmp_path: Path) -> None:
    machine = require_machine()
    site = tmp_path / "site"
    site.mkdir()
    for number in range(40):
        (site / f"Page {number}").write_bytes(os.urandom(number * 999))
    socket = tmp_path / "www.sock"
    with serving(site, "--format", "fat", "--socket", socket):
        node = f"driver=nbd,node-name=www,read-only=on,server.type=unix,server.path={socket}"
        disk = ["-blockdev", node, "-device", "virtio-blk-pci,drive=www,serial=www"]
        found = machine.run(SCRIPT, [], tmp_path, disk)
    digests = {
        line[66:].removeprefix("./"): line[:64] for line in found["digests"].decode().splitlines()
    }
    assert digests == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in site.iterdir()
    }
