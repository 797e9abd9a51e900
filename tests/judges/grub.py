"""What GRUB's own drivers make of a FAT or tar image, run by grub-fstest.

- Of a FAT name without a long name GRUB shows the short name in lower case, whatever is stored
  (`grub_fat_spelling`); it finds files whatever their case.
- Of tar it knows no pax headers: each is a directory ``PaxHeaders`` to it. GNU's long names are
  read. A link is shown as the file that it leads to.
- ``ls -l`` passes over what it cannot open, like a link to nowhere, or shows question marks (2.14):
  `grub_read` lets it do neither.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from .fat_tools import Contents
from .programs import run_silent

FileSystem = Literal["fat", "tarfs"]

_ENTRY = re.compile(r"(DIR|\d+) +\d{14} (.*)", re.S)
_SHORT = re.compile(r"[^a-z. ]{1,8}(\.[^a-z. ]{1,3})?")


def grub_read(image: Path, file_system: FileSystem) -> Contents:
    """What GRUB lists and reads of `image`; asserts that it takes it for a `file_system`."""
    told = _grub(image, "ls", "(loop0)").decode()
    assert f"Filesystem type {file_system}" in told, f"GRUB tells: {told.strip()}"
    contents: Contents = {}
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        for name, is_directory in _listed(image, f"{parent}/"):
            path = f"{parent}/{name}"
            assert path[1:] not in contents, f"GRUB lists {path!r} twice"
            contents[path[1:]] = None if is_directory else _grub(image, "cat", path)
            if is_directory:
                waiting.append(path)
    return contents


def grub_fat_spelling(path: str) -> str:
    """`path` as GRUB shows it if names that are plain upper-case 8.3 have no long name."""
    return "/".join(part.lower() if _SHORT.fullmatch(part) else part for part in path.split("/"))


def _listed(image: Path, directory: str) -> list[tuple[str, bool]]:
    """The names in a directory, and whether each is a directory."""
    long = _grub(image, "ls", "-l", directory).decode()
    entries = []
    for line in filter(None, long.split("\n")):
        if line.startswith("?"):
            continue
        found = _ENTRY.fullmatch(line)
        assert found, f"GRUB lists {line!r} in {directory!r}"
        name = found[2]
        assert name.endswith("/") == (found[1] == "DIR"), f"GRUB lists {line!r}"
        entries.append((name.removesuffix("/"), found[1] == "DIR"))
    shown = "".join(f"{name}{'/' * is_directory} " for name, is_directory in entries)
    short = _grub(image, "ls", directory).decode()
    assert short.strip("\n") == shown, f"GRUB lists {short!r}, and opens of them {shown!r}"
    return entries


def _grub(image: Path, *command: str) -> bytes:
    # It looks for the image from its own root, and takes what begins with a dash for its own.
    return run_silent("grub-fstest", [image.resolve(), "--", *command])
