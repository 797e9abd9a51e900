"""What The Sleuth Kit, made to examine disks, makes of a FAT volume.

It shows what other readers pass over: entries that were deleted, and files that no directory
leads to. A volume that was made in one go has neither, and `sleuthkit_read` fails on one.
"""

from __future__ import annotations

import re
from pathlib import Path

from .fat_tools import Contents
from .programs import run_silent

_ENTRY = re.compile(r"(?P<kind>[rdvV]/[rdvV]) (?P<number>\d+):\t(?P<path>.*)")
_LABEL = " (Volume Label Entry)"
_VIRTUAL = ("v/v", "V/V")
"""What The Sleuth Kit adds of its own: the boot sector, the FATs, and where it puts orphans."""


def sleuthkit_read(image: Path) -> Contents:
    """What The Sleuth Kit finds in the volume; nothing in it was deleted or is lost."""
    contents: Contents = {}
    for line in _run("fls", "-r", "-p", image).decode().splitlines():
        found = _ENTRY.fullmatch(line)
        assert found, f"The Sleuth Kit found: {line}"
        kind, path = found["kind"], found["path"]
        if kind in _VIRTUAL or path.endswith(_LABEL):
            continue
        assert path not in contents, f"The Sleuth Kit lists {path!r} twice"
        contents[path] = None if kind == "d/d" else _run("icat", image, found["number"])
    return contents


def sleuthkit_label(image: Path) -> str | None:
    """The label in the root directory, if there is one."""
    for line in _run("fls", image).decode().splitlines():
        if line.endswith(_LABEL):
            return line.partition("\t")[2].removesuffix(_LABEL).rstrip()
    return None


def sleuthkit_facts(image: Path) -> dict[str, str]:
    """What fsstat tells, by its own words: ``File System Type``, ``Cluster Size`` and so on."""
    lines = _run("fsstat", image).decode("utf-8", "replace").splitlines()
    return {
        key.strip("* "): value.strip()
        for key, colon, value in (line.partition(":") for line in lines)
        if colon
    }


def _run(program: str, *arguments: str | Path) -> bytes:
    return run_silent(program, ["-f", "fat", *arguments])
