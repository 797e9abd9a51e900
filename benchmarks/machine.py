"""The machine and the programs, in general terms: enough to compare, nothing that identifies."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

_NUMBER = re.compile(r"\d+(\.\d+)+|^\d+$", re.M)

PEERS = {
    "GNU tar": ("tar", "--version"),
    "bsdtar": ("bsdtar", "--version"),
    "mkfs.fat": ("mkfs.fat", "--help"),
    "mtools": ("mcopy", "--version"),
    "git": ("git", "--version"),
    "coreutils": ("cp", "--version"),
    "btrfs-progs": ("mkfs.btrfs", "--version"),
    "veritysetup": ("veritysetup", "--version"),
    "genimage": ("genimage", "--version"),
    "xfsprogs": ("mkfs.xfs", "-V"),
}


def describe(directory: Path) -> dict[str, str]:
    """Cores, memory, kernel, and the file system of `directory`."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = _NUMBER.search(platform.release())
    return {
        "cores": f"{len(os.sched_getaffinity(0))} ({platform.machine()})",
        "memory": f"{memory / (1 << 30):.0f} GiB",
        "kernel": f"{platform.system()} {kernel[0] if kernel else ''}".strip(),
        "file system": _file_system(directory),
        "system": _distribution(),
    }


def versions(blockpack: Sequence[str]) -> dict[str, str]:
    """The version of each program that is installed."""
    found = {
        "blockpack": _version((*blockpack, "--version")),
        "Python": platform.python_version(),
        "isal": metadata.version("isal") if find_spec("isal") else "",
    }
    for name, command in PEERS.items():
        found[name] = _version(command)
    return {name: version for name, version in found.items() if version}


def _version(command: Sequence[str]) -> str:
    """The first thing that looks like a version in what the command prints; empty if none."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except OSError:
        return ""
    match = _NUMBER.search(done.stdout + done.stderr)
    return match[0] if match else ""


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def _file_system(directory: Path) -> str:
    """The type of the file system that holds `directory`."""
    here = directory.resolve()
    candidates = [(point, kind) for point, kind in _mounts() if here.is_relative_to(point)]
    # The deepest mount point holds it; of several on the same point, the last one mounted.
    return max(enumerate(candidates), key=lambda item: (len(item[1][0].parts), item[0]))[1][1]


def _mounts() -> Iterator[tuple[Path, str]]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        yield Path(point.encode().decode("unicode_escape")), kind
