"""albatross: blocks of its own, made by ``albatross-client`` (its client/albatross_client.ml).

A block is a copy of an image, a whole number of MiB large, that albatross keeps on its disk; its
name is in lower case. ``create`` attaches a block to a device of a unikernel as
``--block DEVICE[:BLOCK][@SECTOR]``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ..manifest.consumers import SECTOR, MiB
from .consumer import Consumer
from .disks import Disk


class Albatross(Consumer):
    """An albatross daemon and its client."""

    def lines(self) -> Iterator[str]:
        """The commands that make the blocks."""
        for disk in self.disks:
            size = str(disk.size // MiB)
            yield _client("create-block", _block(disk), size, f"--data={disk.path}")

    def notes(self) -> Iterator[str]:
        """Adds the commands that fill the blocks again, and the options."""
        yield from super().notes()
        yield "after each later deployment, while the unikernel is stopped:"
        for disk in self.disks:
            yield "  " + _client("set-block", _block(disk), disk.path)
        yield "the unikernel is then started with these options of albatross-client create:"
        yield "  " + shlex.join(f"--block={_device(disk)}" for disk in self.disks)


def _client(*words: str) -> str:
    return shlex.join(["albatross-client", *words])


def _block(disk: Disk) -> str:
    return disk.name.lower()


def _device(disk: Disk) -> str:
    block = "" if _block(disk) == disk.name else f":{_block(disk)}"
    sector = "" if disk.sector_size == SECTOR else f"@{disk.sector_size}"
    return f"{disk.name}{block}{sector}"
