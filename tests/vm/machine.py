"""A virtual machine: a real Linux kernel that reads images as block devices.

QEMU boots Debian's kernel (from `scripts/fetch-kernel`) with an initial RAM disk that holds
busybox and the kernel's modules, and no other file system. In it a shell script looks at the
images; what it leaves in ``/results`` comes back as a tar archive, on a disk of its own: a
serial port takes microseconds a byte, and mixes the kernel's words with the script's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from judges.programs import on_ci

KERNEL = Path(__file__).parents[2] / ".cache" / "kernel"
"""What `scripts/fetch-kernel` makes: ``vmlinuz``, and ``modules`` with their ``order``; beside it
those of other suites.
"""

OWN = "own"
"""The suite that the machine runs."""

KVM = Path("/dev/kvm")

KVM_PATIENCE = 3.0
"""Seconds within which KVM has started a boot sector if it works; QEMU takes half of one."""

BOOT_SECTOR = bytes.fromhex("ba0105 b010 ee f4").ljust(510, b"\0") + b"\x55\xaa"
"""mov dx, 0x501; mov al, 16; out dx, al; hlt: it ends QEMU with status 16 · 2 + 1."""

MEMORY = 256
"""The machine's in MiB."""

TIMEOUT = 400.0
"""Seconds after which the machine is taken to hang: far more than is needed without KVM."""

RESULTS_SIZE = 256 << 20
"""The size of the disk for results, in bytes; as a file on the host it is sparse."""

OPTIONS = "console=ttyS0 quiet panic=-1 no_timer_check"
"""The kernel's command line."""

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ LC_ALL=C.UTF-8 TZ=UTC
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
exec </dev/null >/dev/console 2>&1
while read -r module; do
    insmod "/modules/$module" || poweroff -f
done </modules/order
for block in /sys/block/vd*; do
    read -r name <"$block/serial"
    ln -s "/dev/${block##*/}" "/disks/$name"
done
# The kernel finds namespaces in its own time, and since 6.12 in any order.
while read -r number; do
    until [ -e "/sys/block/nvme0n$number/nsid" ]; do sleep 0.1; done
    read -r namespace <"/sys/block/nvme0n$number/nsid"
    ln -s "/dev/nvme0n$number" "/namespaces/$namespace"
done </numbers
cd /results
sh /script >output 2>errors
echo $? >status
tar c . >/disks/results
sync
poweroff -f
"""


class Disk(NamedTuple):
    """An image as a read-only disk of the machine: ``/disks/NAME``.

    `sector_size` is the logical block's, in bytes.
    """

    name: str
    image: Path
    sector_size: int = 512


class Part(NamedTuple):
    """A test's part of a boot: a script for the shell, and what is attached for it.

    The script starts in a directory of its own below ``/results``. `arguments` are QEMU's.
    """

    script: str
    disks: Sequence[Disk] = ()
    arguments: Sequence[str] = ()


class Machine(NamedTuple):
    """What a boot takes: QEMU, a busybox that needs no library, and a kernel."""

    qemu: str
    busybox: Path
    kernel: Path

    def run(
        self, script: str, disks: Sequence[Disk], scratch: Path, arguments: Sequence[str] = ()
    ) -> dict[str, bytes]:
        """Boot, run `script` with `disks` attached, and return the files in ``/results``.

        `arguments` are more of QEMU's: disks that it gets in another way. The script starts
        there. Asserts that the machine switched itself off in time, and that the script exited
        with status 0 and wrote nothing to standard error. `scratch` is a directory for the
        machine's own files, among them the kernel's ``console.log``.
        """
        names = [disk.name for disk in disks]
        return self._seen([*self._kernel(script, scratch, names), *arguments], disks, scratch)

    def run_from(self, firmware: Path, arguments: Sequence[str], scratch: Path) -> dict[str, bytes]:
        """The same for what the `firmware` starts from a disk that QEMU gets by `arguments`: the
        `kernel` with an `initrd` and `OPTIONS`.
        """
        return self._seen(["-bios", str(firmware), *arguments], [], scratch)

    def _seen(
        self, arguments: Sequence[str], disks: Sequence[Disk], scratch: Path
    ) -> dict[str, bytes]:
        found = self._boot(arguments, disks, scratch)
        errors = found["errors"].decode(errors="backslashreplace")
        assert found["status"] == b"0\n" and not errors, f"the script failed:\n{errors}"
        return found

    def _boot(
        self, arguments: Sequence[str], disks: Sequence[Disk], scratch: Path
    ) -> dict[str, bytes]:
        """The files in ``/results``, whatever became of the script."""
        results = scratch / "results.img"
        with results.open("wb") as file:
            file.truncate(RESULTS_SIZE)
        console = scratch / "console.log"
        console.touch()
        command = [self.qemu, "-accel", accelerator(self.qemu)]
        command += [*_hardware(disks, results, console), *arguments]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {TIMEOUT} s:\n{_tail(console)}") from None
        said = done.stdout.decode(errors="backslashreplace")
        assert done.returncode == 0, f"QEMU exited with {done.returncode}:\n{said}"
        found = _results(results)
        assert found, f"the machine gave no results:\n{said}{_tail(console)}"
        return found

    def _kernel(self, script: str, scratch: Path, names: Sequence[str]) -> list[str]:
        """QEMU's arguments to start the kernel by itself."""
        initrd = scratch / "initrd"
        initrd.write_bytes(self.initrd(script, names))
        kernel = str(self.kernel / "vmlinuz")
        return ["-kernel", kernel, "-initrd", str(initrd), "-append", OPTIONS]

    def initrd(self, script: str, names: Sequence[str] = ()) -> bytes:
        """The initial RAM disk that runs `script`, with the `names` of the controller's disks."""
        return b"".join(_cpio(self._nodes(script, names)))

    def _nodes(self, script: str, names: Sequence[str]) -> Iterator[_Node]:
        own = ("bin", "disks", "mnt", "modules", "namespaces", "results")
        for directory in (*own, "dev", "proc", "sys"):
            yield _Node(directory, 0o040755)
        for number, name in enumerate(names, start=1):
            yield _Node(f"disks/{name}", 0o120777, f"/namespaces/{number}".encode())
        numbers = "".join(f"{number}\n" for number in range(1, len(names) + 1))
        yield _Node("numbers", 0o100644, numbers.encode())
        # The kernel opens it for the first process, before anything is mounted.
        yield _Node("dev/console", 0o020600, device=(5, 1))
        yield _Node("bin/busybox", 0o100755, self.busybox.read_bytes())
        for module in sorted((self.kernel / "modules").iterdir()):
            yield _Node(f"modules/{module.name}", 0o100644, module.read_bytes())
        yield _Node("init", 0o100755, INIT.encode())
        yield _Node("script", 0o100644, script.encode())


@cache
def accelerator(qemu: str) -> str:
    """What QEMU runs machines by: KVM if that works. In some virtual machines it is there, and
    then hangs.
    """
    if not os.access(KVM, os.R_OK | os.W_OK):
        return "tcg"
    with tempfile.NamedTemporaryFile() as disk:
        disk.write(BOOT_SECTOR)
        disk.flush()
        command = [qemu, "-accel", "kvm", "-nodefaults", "-no-user-config", "-display", "none"]
        command += [
            "-device",
            "isa-debug-exit,iobase=0x501",
            "-drive",
            f"format=raw,file={disk.name}",
        ]
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, timeout=KVM_PATIENCE, check=False)
            return "kvm" if done.returncode == 33 else "tcg"
    return "tcg"


def require_machine(suite: str = OWN) -> Machine:
    """The machine, with the kernel of one of Debian's suites; where a part of it is missing the
    test is skipped, or fails on CI.
    """
    kernel = KERNEL if suite == OWN else KERNEL.with_name(f"{KERNEL.name}-{suite}")
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        _missing("QEMU is not installed (Debian: apt install qemu-system-x86)")
    busybox = shutil.which("busybox")
    if busybox is None or _is_dynamic(Path(busybox)):
        _missing("no static busybox is installed (Debian: apt install busybox-static)")
    if not (kernel / "vmlinuz").exists():
        what = f"there is no kernel ({suite}) to boot"
        _missing(f"{what} (scripts/fetch-kernel fetches one, or says why not)")
    return Machine(qemu, Path(busybox), kernel)


def _missing(what: str) -> NoReturn:
    reason = f"{what}; no kernel gives a verdict"
    if on_ci():
        pytest.fail(f"{reason}, which CI does not allow")
    pytest.skip(reason)


def _is_dynamic(program: Path) -> bool:
    """Whether a program names a dynamic linker, which it does near its beginning."""
    with program.open("rb") as file:
        return b"/ld-linux" in file.read(4096)


def _hardware(disks: Sequence[Disk], results: Path, console: Path) -> Iterator[str]:
    """QEMU's arguments for all but what is booted."""
    yield from ("-m", str(MEMORY), "-no-reboot", "-nodefaults", "-no-user-config")
    yield from ("-display", "none", "-serial", f"file:{console}")
    yield from _drive(Disk("results", results), "off", "virtio-blk-pci,serial=results")
    # On one controller: kernels under TCG take a quarter of a second for each PCI device.
    yield from ("-device", "nvme,id=disks,serial=disks")
    for number, disk in enumerate(disks, start=1):
        yield from _drive(disk, "on", f"nvme-ns,bus=disks,nsid={number}")


def _drive(disk: Disk, read_only: str, device: str) -> Iterator[str]:
    name, size = disk.name, disk.sector_size
    backend = f"if=none,id={name},format=raw,readonly={read_only},file={_quoted(disk.image)}"
    blocks = f"logical_block_size={size},physical_block_size={size}"
    yield from ("-drive", backend, "-device", f"{device},drive={name},{blocks}")


def _quoted(path: Path) -> str:
    """A path in one of QEMU's options, which end at commas."""
    return str(path).replace(",", ",,")


def _results(disk: Path) -> dict[str, bytes]:
    """The files in the archive on `disk`; none if nothing was written to it."""
    found = {}
    with tarfile.open(disk, "r:") as archive:
        for member in archive:
            if file := archive.extractfile(member):
                found[os.path.normpath(member.name)] = file.read()
    return found


def _tail(log: Path) -> str:
    lines = log.read_bytes().decode(errors="backslashreplace").splitlines()
    return "\n".join(lines[-40:])


class _Node(NamedTuple):
    """One entry of an initial RAM disk; `device` is the number of a character device."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def _cpio(nodes: Iterable[_Node]) -> Iterator[bytes]:
    """A cpio archive of the kind that the kernel unpacks (newc; the kernel's buffer-format.rst).

    Thirteen numbers in hexadecimal follow the magic: inode, mode, owner, group, links, time,
    size, device (two), device that it is (two), length of the name, checksum.
    """
    for number, node in enumerate([*nodes, _Node("TRAILER!!!", 0)], start=1):
        name = node.path.encode() + b"\0"
        fields = (number, node.mode, 0, 0, 1, 0, len(node.data), 0, 0, *node.device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + name, node.data):
            yield part.ljust(-(-len(part) // 4) * 4, b"\0")
