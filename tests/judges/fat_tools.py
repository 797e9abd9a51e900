"""What FAT programs that we did not write make of an image.

Every reader returns a `Contents`: the path of each file with its bytes, and of each directory,
empty ones too, with None. Paths are relative and joined by ``/``; the root is left out.

mtools and 7-Zip copy files out, so no name may be longer than 255 bytes in UTF-8. Both have
characters that they spell in a way of their own: compare what they read with
`mtools_spelling` and `sevenzip_spelling` of the names. pyfatfs and dissect.fat ignore the
lower-case bits of short names, and read those in code page 437.
"""

from __future__ import annotations

import calendar
import os
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .programs import require_module, run_silent

Contents = dict[str, bytes | None]

_FSCK_SUMMARY = re.compile(r".*: \d+ files, \d+/\d+ clusters")
_7Z_COMPLAINT = re.compile(r"^\s*(warning|error)s?\b", re.I | re.M)


def fsck(image: Path) -> None:
    """Assert that ``fsck.fat -n`` finds nothing at all to say about `image`."""
    output = run_silent("fsck.fat", ["-n", image]).decode()
    version, *complaints, summary = output.splitlines()
    sound = version.startswith("fsck.fat ") and _FSCK_SUMMARY.fullmatch(summary)
    assert sound and not complaints, f"fsck.fat complained:\n{output}"


def mtools_read(image: Path) -> Contents:
    """What mtools copies out of `image`."""
    with TemporaryDirectory() as directory:
        run_silent("mcopy", ["-s", "-n", "-i", image, "::/", directory])
        return _contents(Path(directory))


def mtools_spelling(path: str) -> str:
    """`path` as mtools copies it out: each character beyond the BMP becomes ``__``."""
    return "".join("__" if ord(character) > 0xFFFF else character for character in path)


def sevenzip_read(image: Path) -> tuple[Contents, dict[str, int]]:
    """What 7-Zip extracts of `image`, and the time (as in `fat_volume`) that it lists of each."""
    with TemporaryDirectory() as directory:
        output = run_silent("7z", ["x", "-tFAT", "-bd", f"-o{directory}", "--", image])
        assert_7zip_content(output)
        contents = _contents(Path(directory))
    listed = sevenzip_times(run_silent("7z", ["l", "-tFAT", "-slt", "--", image]))
    assert listed.keys() == contents.keys(), "7-Zip lists other names than it extracts"
    return contents, listed


def sevenzip_spelling(path: str) -> str:
    """`path` as 7-Zip spells it: U+EF80 to U+EFFF stand for the bytes 0x80 to 0xFF.

    As these bytes are seldom UTF-8, they become surrogate escapes.
    """
    raw = b"".join(
        bytes((ord(character) - 0xEF00,))
        if 0xEF80 <= ord(character) <= 0xEFFF
        else character.encode("utf-8", "surrogateescape")
        for character in path
    )
    return raw.decode("utf-8", "surrogateescape")


def assert_7zip_content(output: bytes) -> None:
    """Assert that 7-Zip, which may exit with 0 all the same, had no complaint."""
    text = output.decode(errors="backslashreplace")
    assert "Everything is Ok" in text, f"7-Zip did not say that all is well:\n{text}"
    assert not _7Z_COMPLAINT.search(text), f"7-Zip complained:\n{text}"


def sevenzip_times(listing: bytes) -> dict[str, int]:
    """The path and time of each entry in the output of ``7z l -slt``."""
    # Short names come in code page 437, but only paths and times are looked at.
    head, _, entries = listing.decode(errors="surrogateescape").partition("\n----------\n")
    assert not _7Z_COMPLAINT.search(head), f"7-Zip complained:\n{head}"
    times = {}
    for entry in filter(None, entries.strip("\n").split("\n\n")):
        fields = dict(line.split(" = ", 1) for line in entry.split("\n") if " = " in line)
        modified = time.strptime(fields["Modified"][:19], "%Y-%m-%d %H:%M:%S")
        times[fields["Path"]] = calendar.timegm(modified)
    return times


def pyfatfs_read(image: Path) -> Contents:
    """What pyfatfs reads of `image`."""
    module = require_module("pyfatfs.PyFatFS")
    contents: Contents = {}
    with module.PyFatFS(str(image), read_only=True) as volume:
        waiting = [""]
        while waiting:
            parent = waiting.pop()
            for name in volume.listdir(f"/{parent}"):
                path = f"{parent}/{name}" if parent else name
                assert path not in contents, f"pyfatfs lists {path!r} twice"
                if volume.isdir(f"/{path}"):
                    contents[path] = None
                    waiting.append(path)
                else:
                    contents[path] = volume.readbytes(f"/{path}")
    return contents


def dissect_read(image: Path) -> Contents:
    """What dissect.fat reads of `image`."""
    module = require_module("dissect.fat")
    contents: Contents = {}
    with image.open("rb") as file:
        waiting: list[tuple[str, Any]] = [("", module.FATFS(file).root)]
        while waiting:
            parent, directory = waiting.pop()
            for entry in directory.iterdir():
                if entry.is_volume_id() or entry.name in (".", ".."):
                    continue
                path = f"{parent}/{entry.name}" if parent else entry.name
                assert path not in contents, f"dissect.fat lists {path!r} twice"
                if entry.is_directory():
                    contents[path] = None
                    waiting.append((path, entry))
                else:
                    contents[path] = entry.open().read() if entry.size else b""
    return contents


def _contents(root: Path) -> Contents:
    """The directories and files below `root`."""
    contents: Contents = {}
    for parent, directories, files in os.walk(root):
        for name in directories:
            contents[(Path(parent) / name).relative_to(root).as_posix()] = None
        for name in files:
            path = Path(parent) / name
            contents[path.relative_to(root).as_posix()] = path.read_bytes()
    return contents
