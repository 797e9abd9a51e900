"""A machine's disks as `attach` prints them.

The arguments go through a shell, as they would in a script, and the images lie in a directory whose
name means something to the shell and to QEMU.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import blockpack
from cli.running import process
from deploy.attach.builds import built, live
from vm.machine import Part

SCRIPT = r"""
look() {
    disk=$(readlink -f "/disks/$1")
    cat "/sys/block/${disk##*/}/ro" >"$1.ro"
    cat "/sys/block/${disk##*/}/queue/logical_block_size" >"$1.sector"
    cat "/sys/block/${disk##*/}/size" >"$1.size"
}
for name in site media notes; do look $name; done
mount -t vfat -o ro /disks/site /mnt
mkdir site media notes
cp -r /mnt/. site
umount /mnt
tar x -f /disks/media -C media
tar x -f /disks/notes -C notes
dd if=/dev/zero of=/disks/media bs=512 count=1 conv=notrunc 2>/dev/null && echo written >media.lost
echo sign | dd of=/disks/notes bs=512 seek=1 conv=notrunc 2>/dev/null
sync
true
"""


def printed(place: Path, *options: str) -> list[str]:
    """What a shell makes of the lines that ``attach --for qemu`` prints for `place`."""
    lines = process("attach", place, "--for", "qemu", *options).out
    told = subprocess.run(
        ["sh", "-c", b"set -- " + b"\n".join(_arguments(lines)) + b'\nprintf "%s\\0" "$@"'],
        capture_output=True,
        check=True,
    )
    return told.stdout.decode().rstrip("\0").split("\0")


def _arguments(lines: bytes) -> list[bytes]:
    return [line for line in lines.splitlines() if not line.startswith(b"#")]


@contextmanager
def part(scratch: Path) -> Iterator[Part]:
    """Two volumes of a live deployment, in ``site.img`` and ``media.img``, and one of a build in
    ``notes.img`` that the machine writes to.
    """
    odd = scratch / 'o\'dd, $HOME = "ü" ,,'
    volumes = {
        "site": blockpack.FatVolume(profile="mirage"),  # sectors of 4096
        "media": blockpack.TarVolume(),
    }
    root = live(odd / "live", volumes)
    dist = built(odd / "dist", {"notes": blockpack.TarVolume(free=1 << 20)})
    for name in volumes:
        (scratch / f"{name}.img").symlink_to(root / "current" / f"{name}.img")
    (scratch / "notes.img").symlink_to(dist / "notes.img")
    (scratch / "before.img").write_bytes((dist / "notes.img").read_bytes())
    yield Part(SCRIPT, arguments=[*printed(root), *printed(dist, "--writable", "notes")])
