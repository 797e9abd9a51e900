"""What Debian's pax, which comes from MirBSD, makes of a tar archive.

It complains of a global header with a record of more than 512 bytes. The times of directories
that it put files into later, and of symbolic links, are not looked at: their `mtime` is None.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from .programs import run_silent
from .tar_tools import Members, read_members


def pax_list(image: Path) -> list[bytes]:
    """The names of all members, as they stand there; pax has nothing to complain of."""
    return run_silent("pax", ["-f", image]).split(b"\n")[:-1]


def pax_read(image: Path) -> Members:
    """What pax extracts."""
    with TemporaryDirectory() as directory:
        output = run_silent("pax", ["-r", "-p", "p", "-f", image.resolve()], cwd=Path(directory))
        assert not output, f"pax said: {output!r}"
        return {
            path: member._replace(mtime=None) if member.kind in ("symlink", "directory") else member
            for path, member in read_members(os.fsencode(directory)).items()
        }
