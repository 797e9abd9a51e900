"""QEMU boots with what `attach` prints: Linux finds each image by its volume's name, and reads it.

The arguments go through a shell, as they would in a script, and the images lie in a directory whose
name means something to the shell and to QEMU.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import blockpack
from cli.running import process
from deploy.attach.builds import FILES, built, live
from vm.machine import require_machine

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


def test_linux_reads_what_was_attached(tmp_path: Path) -> None:
    machine = require_machine()
    odd = tmp_path / 'o\'dd, $HOME = "ü" ,,'
    volumes = {
        "site": blockpack.FatVolume(profile="mirage"),  # sectors of 4096
        "media": blockpack.TarVolume(),
    }
    root = live(odd / "live", volumes)
    dist = built(odd / "dist", {"notes": blockpack.TarVolume(free=1 << 20)})
    before = (dist / "notes.img").read_bytes()
    found = machine.run(
        SCRIPT, [], tmp_path, [*printed(root), *printed(dist, "--writable", "notes")]
    )
    for name in ("site", "media", "notes"):
        read = {
            path.removeprefix(f"{name}/"): data
            for path, data in found.items()
            if path.startswith(f"{name}/")
        }
        assert read == FILES, name
        place = dist if name == "notes" else root / "current"
        assert int(found[f"{name}.size"]) * 512 == (place / f"{name}.img").stat().st_size
    assert {name: found[f"{name}.ro"] for name in ("site", "media", "notes")} == {
        "site": b"1\n",
        "media": b"1\n",
        "notes": b"0\n",
    }
    assert [found[f"{name}.sector"] for name in ("site", "media")] == [b"4096\n", b"512\n"]
    assert "media.lost" not in found
    after = (dist / "notes.img").read_bytes()
    assert after[512:517] == b"sign\n" and after[:512] == before[:512]
