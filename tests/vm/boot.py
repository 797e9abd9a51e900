"""One boot of Linux serves all tests that need one: each has its part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from vm import attached, served, volumes
from vm.machine import Disk, Machine, Part

PARTS: Mapping[str, Callable[[Path], AbstractContextManager[Part]]] = {
    "volumes": volumes.part,
    "attached": attached.part,
    "served": served.part,
}
"""Each prepares a part in a directory of its own, and ends what the machine needs no more."""


class Boot(NamedTuple):
    """What came of a part: its files in the machine by their names, and its directory here."""

    reports: Mapping[str, bytes]
    scratch: Path

    def sums(self, name: str) -> dict[str, str]:
        """The SHA-256 of each path below ``.`` that ``sha256sum`` told in a report."""
        lines = (line.split("  ", 1) for line in self.reports[name].decode().splitlines())
        return {path.removeprefix("./"): digest for digest, path in lines}


def run_parts(machine: Machine, scratch: Path) -> dict[str, Boot]:
    """What comes of each part in one boot; in one that fails, its ``status`` and ``errors``."""
    lines: list[str] = []
    disks: list[Disk] = []
    arguments: list[str] = []
    for name in PARTS:
        (scratch / name).mkdir()
    with ExitStack() as stack:
        for name, prepare in PARTS.items():
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
        for name in PARTS
    }
