"""What UEFI firmware makes of FAT volumes: the driver of EDK II, in the OVMF that QEMU boots.

The firmware's own shell copies all that is in each volume to one more volume, made by mkfs.fat;
mtools tells what arrived there. The screen is not looked at: the shell writes over it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from judges.fat_tools import Contents, mtools_read
from judges.programs import on_ci, run, run_silent

FIRMWARES = (Path("/usr/share/ovmf/OVMF.fd"), Path("/usr/share/qemu/OVMF.fd"))
"""Where Debian has firmware and its variables in one file."""

BOOT_LOADER = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
"""systemd-boot, where Debian has it."""

SHELL = Path("/usr/share/efi-shell-x64/shellx64.efi")
"""The firmware's shell, where Debian has it: that of 2025.11 and later does not start its own."""

RESULTS_SIZE = 256 << 20
"""The size of the volume for results, in bytes; as a file on the host it is sparse."""

MOST = 8
"""Volumes for one boot: with a second digit, their order would be another one."""

TIMEOUT = 300.0
"""Seconds after which the firmware is taken to hang; without KVM it needs about ten."""


def firmware_read(images: Sequence[Path], scratch: Path) -> list[Contents]:
    """What the firmware reads in each of `images`; `scratch` is a directory for its own files.

    Asserts that it takes each of them for a FAT volume, and zeros for none, and comes to the end.
    """
    assert len(images) <= MOST
    results = scratch / "results.img"
    zeros = scratch / "zeros.img"
    zeros.write_bytes(bytes(1 << 20))
    _make_results(results, scratch, len(images))
    _boot(images, results, zeros)
    found = mtools_read(results)
    seen = [number for number in range(MOST + 2) if f"seen{number}" in found]
    assert seen == [*range(len(images) + 1)], "the firmware takes others for FAT volumes"
    assert found.get("done"), "the firmware did not come to the end"
    return [
        {
            path.removeprefix(f"{number}/"): data
            for path, data in found.items()
            if path.startswith(f"{number}/")
        }
        for number in range(len(images))
    ]


def _make_results(results: Path, scratch: Path, count: int) -> None:
    """A volume that has the script, and a directory for what is in each image."""
    with results.open("wb") as file:
        file.truncate(RESULTS_SIZE)
    run("mkfs.fat", ["-F32", "-s1", results])
    script = scratch / "startup.nsh"
    script.write_text("".join(f"{line}\r\n" for line in _script(count)))
    run_silent("mcopy", ["-i", results, script, "::/"])
    directories = [f"::/{number}" for number in range(count)]
    run_silent("mmd", ["-i", results, *directories, "::/EFI", "::/EFI/BOOT"])
    if SHELL.exists():
        run_silent("mcopy", ["-i", results, SHELL, "::/EFI/BOOT/BOOTX64.EFI"])


def _script(count: int) -> Iterator[str]:
    """The shell counts only what has a file system: results are the last one if all have."""
    own = f"FS{count}:"
    yield "@echo -off"
    yield f"if not exist {own}\\startup.nsh then"
    yield "  reset -s"
    yield "endif"
    for number in range(count + 2):
        yield f"if exist FS{number}:\\* then"
        yield f"  echo yes > {own}\\seen{number}"
        yield "endif"
    for number in range(count):
        yield f"cp -r FS{number}:\\ {own}\\{number}"
    yield f"echo done > {own}\\done"
    yield "reset -s"


def _boot(images: Sequence[Path], results: Path, zeros: Path) -> None:
    command = [_require_qemu(), "-bios", str(require_firmware()), "-accel", "tcg", "-m", "256"]
    command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    for number, image in enumerate(images):
        command += _disk(f"image{number}", image, "on")
    command += _disk("results", results, "off")
    command += _disk("zeros", zeros, "on")
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"no end within {TIMEOUT} s") from None
    said = (done.stdout + done.stderr).decode(errors="backslashreplace")
    assert done.returncode == 0, f"QEMU exited with {done.returncode}:\n{said}"


def _disk(name: str, image: Path, read_only: str) -> list[str]:
    path = str(image).replace(",", ",,")
    backend = f"if=none,id={name},format=raw,readonly={read_only},file={path}"
    return ["-drive", backend, "-device", f"virtio-blk-pci,drive={name}"]


def _require_qemu() -> str:
    found = shutil.which("qemu-system-x86_64")
    return found or _missing("QEMU is not installed (Debian: apt install qemu-system-x86)")


def require_boot_loader() -> Path:
    """The boot loader for an EFI system partition."""
    if not BOOT_LOADER.exists():
        _missing("systemd-boot is not installed (Debian: apt install systemd-boot-efi)")
    return BOOT_LOADER


def require_firmware() -> Path:
    """The firmware."""
    for path in FIRMWARES:
        if path.exists():
            return path
    _missing("OVMF is not installed (Debian: apt install ovmf)")


def _missing(what: str) -> NoReturn:
    reason = f"{what}; no firmware gives a verdict"
    if on_ci():
        pytest.fail(f"{reason}, which CI does not allow")
    pytest.skip(reason)
