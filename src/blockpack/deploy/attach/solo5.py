"""Solo5's tenders: ``--block:NAME=PATH`` (its tenders/hvt/hvt_module_blk.c, and spt's).

A path ends at its first space, whatever the shell's quotes, and is opened to read and write.
Sectors have 512 bytes, or what ``--block-sector-size:NAME`` says (since Solo5 0.7.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from os.path import dirname

from ...errors import BlockpackError, UsageError
from ..manifest.consumers import SECTOR
from .consumer import ArgumentConsumer


class Solo5(ArgumentConsumer):
    """solo5-hvt or solo5-spt, whose options are alike."""

    def groups(self) -> Iterator[list[str]]:
        """A disk a line."""
        for disk in self.disks:
            group = [f"--block:{disk.name}={disk.path}"]
            if disk.sector_size != SECTOR:
                group.append(f"--block-sector-size:{disk.name}={disk.sector_size}")
            yield group

    def obstacles(self) -> Iterator[BlockpackError]:
        """Adds paths that a tender does not take."""
        yield from super().obstacles()
        for directory in sorted({dirname(disk.path) for disk in self.deployed.disks}):
            if " " in directory:  # no path has other white space, and no file's name has any
                rule = "Solo5 cuts a path at its first space"
                yield UsageError(directory, rule, "use a directory without spaces, or a link to it")
