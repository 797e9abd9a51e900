"""Finding and running the external programs that judge images.

A program that is missing is skipped loudly on a developer's machine, with the reason. On CI
(``CI=true``) it fails the test instead: everything named here can be installed there, and a
judge that silently stays at home is worse than none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, NoReturn

import pytest

SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian keeps fsck.fat and mkfs.fat; not in an ordinary user's PATH."""

TIMEOUT = 120.0
"""Seconds after which a program is taken to hang."""


class Program(NamedTuple):
    """A program by the names that it goes by, first choice first, and its Debian package, or the
    script of ours that fetches it.
    """

    names: tuple[str, ...]
    package: str


PROGRAMS: Mapping[str, Program] = {
    "fsck.fat": Program(("fsck.fat", "dosfsck"), "dosfstools"),
    "mkfs.fat": Program(("mkfs.fat", "mkdosfs"), "dosfstools"),
    "mcopy": Program(("mcopy",), "mtools"),
    "mmd": Program(("mmd",), "mtools"),
    "7z": Program(("7zz", "7z", "7za"), "7zip"),
    "mkfs.ext4": Program(("mkfs.ext4",), "e2fsprogs"),
    "mkfs.btrfs": Program(("mkfs.btrfs",), "btrfs-progs"),
    "mkfs.xfs": Program(("mkfs.xfs",), "xfsprogs"),
    "mkfs.erofs": Program(("mkfs.erofs",), "erofs-utils"),
    "dump.erofs": Program(("dump.erofs",), "erofs-utils"),
    "fsck.erofs": Program(("fsck.erofs",), "erofs-utils"),
    "mkswap": Program(("mkswap",), "util-linux"),
    "parted": Program(("parted",), "parted"),
    "tar": Program(("gtar", "tar"), "tar"),
    "bsdtar": Program(("bsdtar",), "libarchive-tools"),
    "busybox": Program(("busybox",), "busybox"),
    "pax": Program(("pax",), "pax"),
    "zip": Program(("zip",), "zip"),
    "bash": Program(("bash",), "bash"),
    "zsh": Program(("zsh",), "zsh"),
    "fish": Program(("fish",), "fish"),
    "man": Program(("man",), "man-db"),
    "groff": Program(("groff",), "groff"),
    "mandoc": Program(("mandoc",), "mandoc"),
    "cpio": Program(("cpio",), "cpio"),
    "perl": Program(("perl",), "perl"),
    "mtype": Program(("mtype",), "mtools"),
    "mdir": Program(("mdir",), "mtools"),
    "mdel": Program(("mdel",), "mtools"),
    "mattrib": Program(("mattrib",), "mtools"),
    "mformat": Program(("mformat",), "mtools"),
    "mlabel": Program(("mlabel",), "mtools"),
    "grub-fstest": Program(("grub-fstest", "grub2-fstest"), "grub-common"),
    "fls": Program(("fls",), "sleuthkit"),
    "icat": Program(("icat",), "sleuthkit"),
    "fsstat": Program(("fsstat",), "sleuthkit"),
    "git": Program(("git",), "git"),
    "virsh": Program(("virsh",), "libvirt-clients"),
    "virt-xml-validate": Program(("virt-xml-validate",), "libvirt-clients"),
    "xmllint": Program(("xmllint",), "libxml2-utils"),
    "nbdcopy": Program(("nbdcopy",), "libnbd-bin"),
    "nbdinfo": Program(("nbdinfo",), "libnbd-bin"),
    "nbdkit": Program(("nbdkit",), "nbdkit"),
    "nbdfuse": Program(("nbdfuse",), "nbdfuse"),
    "nbdsh": Program(("nbdsh",), "python3-libnbd"),
    "qemu-io": Program(("qemu-io",), "qemu-utils"),
    "qemu-img": Program(("qemu-img",), "qemu-utils"),
    "bmaptool": Program(("bmaptool",), "bmap-tools"),
    "sfdisk": Program(("sfdisk",), "fdisk"),
    "fdisk": Program(("fdisk",), "fdisk"),
    "sgdisk": Program(("sgdisk",), "gdisk"),
    "partx": Program(("partx",), "util-linux"),
    "openssl": Program(("openssl",), "openssl"),
    "ldd": Program(("ldd",), "libc-bin"),
    "dmsetup": Program(("dmsetup",), "dmsetup"),
    "veritysetup": Program(("veritysetup",), "cryptsetup-bin"),
    "systemd-repart": Program(("systemd-repart",), "systemd"),
    "systemd-id128": Program(("systemd-id128",), "systemd"),
    "ocamlc": Program(("ocamlc",), "ocaml libcmdliner-ocaml-dev"),
    "make": Program(("make",), "make"),
    "ninja": Program(("ninja",), "ninja-build"),
    "blkid": Program(("blkid",), "util-linux"),
    "file": Program(("file",), "file"),
    "dune": Program(("dune",), "ocaml-dune"),
    "solo5-spt": Program(("solo5-spt",), "scripts/fetch-solo5"),
}

MODULES: Mapping[str, str] = {
    "pyfatfs.PyFatFS": "pyfatfs",
    "dissect.fat": "dissect.fat",
    "fatfs.wrapper": "fatfs-ng",
    "fatfs.esp32_wl": "fatfs-ng",
    "dulwich.pack": "dulwich",
    "dulwich.object_format": "dulwich",
}
"""The PyPI distribution of each Python module that judges."""


class Output(NamedTuple):
    """What a program that exited with status 0 wrote."""

    stdout: bytes
    stderr: bytes


def on_ci() -> bool:
    """Whether nothing installable may be skipped."""
    return os.environ.get("CI", "").lower() == "true"


def _missing(what: str, remedy: str) -> NoReturn:
    reason = f"{what} is not installed ({remedy}); this judge gives no verdict"
    if on_ci():
        pytest.fail(f"{reason}, which CI does not allow")
    pytest.skip(reason)


def find(program: str) -> str | None:
    """The path of `program`, one of `PROGRAMS`, or None if it is not installed."""
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATHS))
    for name in PROGRAMS[program].names:
        if found := shutil.which(name, path=search):
            return found
    return None


def require(program: str) -> str:
    """The path of `program`; where it is missing the test is skipped, or fails on CI, unless no
    package has it.
    """
    package = PROGRAMS[program].package
    if path := find(program):
        return path
    if package.startswith("scripts/"):
        pytest.skip(f"{program} is missing: {package} could not fetch it")
    return _missing(program, f"Debian: apt install {package}")


def require_module(name: str) -> ModuleType:
    """The module `name`, one of `MODULES`; where it is missing, as `require`."""
    try:
        with warnings.catch_warnings():
            # PyFilesystem warns about its own pkg_resources, which is no matter of the image.
            warnings.simplefilter("ignore")
            return import_module(name)
    except ImportError as error:
        return _missing(f"{name} ({error})", f"pip install {MODULES[name]}")


def run(
    program: str,
    arguments: Sequence[str | bytes | Path],
    *,
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float = TIMEOUT,
) -> Output:
    """Run `program` with `arguments` and assert that it exited with status 0 in time.

    The locale is C.UTF-8 and the time zone UTC, whatever those of the machine are.
    """
    command = [require(program), *arguments]
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # mtools would refuse geometries that only a floppy drive cares for.
        "MTOOLS_SKIP_CHECK": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{program} did not end within {timeout} s: {command}") from None
    shown = (done.stdout + done.stderr).decode(errors="backslashreplace")
    assert done.returncode == 0, f"{program} exited with {done.returncode}:\n{shown}"
    return Output(done.stdout, done.stderr)


def run_silent(
    program: str,
    arguments: Sequence[str | bytes | Path],
    *,
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float = TIMEOUT,
) -> bytes:
    """`run`, and assert that nothing was written to standard error; return standard output."""
    output = run(program, arguments, cwd=cwd, stdin=stdin, timeout=timeout)
    complaint = output.stderr.decode(errors="backslashreplace")
    assert not output.stderr, f"{program} complained:\n{complaint}"
    return output.stdout
