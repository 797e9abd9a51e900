"""One boot of Linux serves all tests that need one: each has its part of it.

Kernels of other suites are booted for what depends on the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from vm import attached, erofs, served, verity, volumes
from vm.machine import OWN, Disk, Machine, Part

PARTS: Mapping[str, Callable[[Path], AbstractContextManager[Part]]] = {
    "volumes": volumes.part,
    "attached": attached.part,
    "served": served.part,
    "erofs": erofs.part,
    "verity": verity.part,
}
"""Each prepares a part in a directory of its own, and ends what the machine needs no more."""

ELSEWHERE = ("erofs",)
"""The parts that other kernels than the machine's own have, too."""


class Boot(NamedTuple):
    """What came of a part: its files in the machine by their names, and its directory here."""

    reports: Mapping[str, bytes]
    scratch: Path

    def sums(self, name: str) -> dict[str, str]:
        """The SHA-256 of each path below ``.`` that ``sha256sum`` told in a report."""
        lines = (line.split("  ", 1) for line in self.reports[name].decode().splitlines())
        return {path.removeprefix("./"): digest for digest, path in lines}


class Booted(Protocol):
    """Gives what came of a part."""

    def __call__(self, name: str, suite: str = OWN) -> Boot:
        """Of the part of that name, by the kernel of that suite."""


def run_parts(machine: Machine, scratch: Path, suite: str) -> dict[str, Boot]:
    """What comes of each part in one boot; in one that fails, its ``status`` and ``errors``."""
    parts = {name: PARTS[name] for name in (PARTS if suite == OWN else ELSEWHERE)}
    lines: list[str] = []
    disks: list[Disk] = []
    arguments: list[str] = []
    for name in parts:
        (scratch / name).mkdir()
    with ExitStack() as stack:
        for name, prepare in parts.items():
            part = stack.enter_context(prepare(scratch / name))
            lines += [f"mkdir {name}", f"(cd {name}", part.script, f") 2>{name}/errors"]
            lines += [f"echo $? >{name}/status"]
            disks += part.disks
            arguments += part.arguments
        found = machine.run("\n".join([*lines, ""]), disks, scratch, arguments)
    return {
        name: Boot(
            {
                path.removeprefix(f"{name}/"): data
                for path, data in found.items()
                if path.startswith(f"{name}/")
            },
            scratch / name,
        )
        for name in parts
    }
