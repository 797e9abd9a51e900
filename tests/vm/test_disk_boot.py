"""A disk that one command made boots: firmware, boot loader, kernel, and data in a partition.

OVMF finds systemd-boot in the EFI system partition, that starts Debian's kernel from there, and the
kernel's first process reads a tar from the second partition and checks every SHA-256 in it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from blockpack.deploy.attach import consumer_for
from blockpack.deploy.attach.disks import deployed
from deploy.deployments import write_files
from vm.firmware import require_boot_loader, require_firmware
from vm.machine import OPTIONS, require_machine

MANIFEST = """
[deployment]
name = "machine"

[volumes.boot]
source = "boot"
format = "fat"
profile = "uefi"

[volumes.site]
source = "site"
format = "tar"

[disks.machine]
[[disks.machine.partitions]]
volume = "boot"
type = "esp"
name = "EFI"

[[disks.machine.partitions]]
volume = "site"
size = "16M"
flags = ["read-only"]
"""

ENTRY = f"""\
title Debian
linux /vmlinuz
initrd /initrd
options {OPTIONS}
"""

SCRIPT = r"""
disk=$(readlink /disks/machine)
cat /sys/class/block/${disk##*/}2/uevent >partition
ls /sys/firmware/efi >firmware
mount -t tmpfs tmpfs /mnt
tar -xf "${disk}2" -C /mnt
cd /mnt
sha256sum -c -s SHA256SUMS && echo all >/results/checked
find . -type f | sort | xargs sha256sum >/results/sums
"""

PAGES = {
    "index.html": b"<h1>It boots</h1>\n",
    "empty": b"",
    **{f"pages/{number:03}.html": b"%d\n" % number * number * 40 for number in range(100)},
    "media/film.bin": hashlib.shake_128(b"film").digest(3 << 20),
}


def test_a_disk_boots_and_its_data_are_whole(tmp_path: Path) -> None:
    machine, firmware, loader = require_machine(), require_firmware(), require_boot_loader()
    sums = {path: hashlib.sha256(data).hexdigest() for path, data in PAGES.items()}
    listed = "".join(f"{digest}  {path}\n" for path, digest in sums.items()).encode()
    sums["SHA256SUMS"] = hashlib.sha256(listed).hexdigest()
    boot = {
        "EFI/BOOT/BOOTX64.EFI": loader.read_bytes(),
        "loader/loader.conf": b"timeout 0\n",
        "loader/entries/debian.conf": ENTRY.encode(),
        "vmlinuz": (machine.kernel / "vmlinuz").read_bytes(),
        "initrd": machine.initrd(SCRIPT),
    }
    deployment = write_files(tmp_path / "deployment", {"blockpack.toml": MANIFEST.encode()})
    write_files(deployment / "boot", boot)
    write_files(deployment / "site", {**PAGES, "SHA256SUMS": listed})
    command = [sys.executable, "-m", "blockpack", "build"]
    subprocess.run([*command, deployment, "--out", tmp_path / "dist"], check=True)

    attached = consumer_for("qemu", deployed(tmp_path / "dist")).arguments()
    found = machine.run_from(firmware, attached or [], tmp_path)
    assert found["checked"] == b"all\n"
    seen = (line.split("  ./") for line in found["sums"].decode().splitlines())
    assert {path: digest for digest, path in seen} == sums
    assert b"PARTNAME=site" in found["partition"]
    assert found["firmware"]  # the kernel was started by UEFI, and by nothing else
