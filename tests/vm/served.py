"""A disk that was never written: QEMU connects to the socket at which it is served."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.servers import serving
from vm.machine import Part

SCRIPT = r"""
mount -t vfat -o ro /disks/www /mnt
(cd /mnt && find . -type f -exec sha256sum {} +) >digests
umount /mnt
"""


@contextmanager
def part(scratch: Path) -> Iterator[Part]:
    """The files of ``site``, served while the machine runs."""
    site = scratch / "site"
    site.mkdir()
    for number in range(40):
        (site / f"Page {number}").write_bytes(os.urandom(number * 999))
    socket = scratch / "www.sock"
    with serving(site, "--format", "fat", "--socket", socket):
        node = f"driver=nbd,node-name=www,read-only=on,server.type=unix,server.path={socket}"
        disk = ["-blockdev", node, "-device", "virtio-blk-pci,drive=www,serial=www"]
        yield Part(SCRIPT, arguments=disk)
