"""albatross: blocks of its own, made by ``albatross-client`` (its client/albatross_client.ml).

A block is a copy of an image, a whole number of MiB large, that albatross keeps on its disk; its
name is in lower case. ``create`` attaches a block to a device of a unikernel as
``--block DEVICE[:BLOCK][@SECTOR]``.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from ...errors import BlockpackError
from .consumer import SECTOR, Consumer, unusable
from .disks import Disk

MiB = 1 << 20


class Albatross(Consumer):
    """An albatross daemon and its client."""

    follows = False
    """Blocks are copies, which are made again after each deployment."""

    def lines(self) -> Iterator[str]:
        """The commands that make the blocks, those that fill them again, and the options."""
        client = "albatross-client"
        for disk in self.disks:
            size = str(disk.size // MiB)
            command = [client, "create-block", _block(disk), size, f"--data={disk.path}"]
            yield shlex.join(command)
        yield "# after each later deployment, while the unikernel is stopped:"
        for disk in self.disks:
            yield "# " + shlex.join([client, "set-block", _block(disk), disk.path])
        yield "# the unikernel is then started with these options of albatross-client create:"
        yield "# " + shlex.join(f"--block={_device(disk)}" for disk in self.disks)

    def problems(self) -> Iterator[BlockpackError]:
        """Adds sizes and names that albatross has not, and secrets that it would keep in clear."""
        yield from super().problems()
        names = Counter(map(_block, self.disks))
        for disk in self.disks:
            if disk.size % MiB:
                rule = "albatross' blocks are whole MiB, and its size is not"
                remedy = 'build it with pad = "1M"'
                if disk.record.container == "docteur":  # it is read to its end, whatever is there
                    remedy = "use tar, for nothing may be added to an image for docteur"
                yield unusable(disk, rule, remedy)
            if names[_block(disk)] > 1:
                rule = "another volume has that name in lower case, which is what albatross takes"
                yield unusable(disk, rule, "give it another name")
            if disk.in_clear:
                rule = "holds secrets in clear, and albatross would copy them to a disk"
                yield unusable(disk, rule, 'build it with cipher = "aes-ccm"')

    def warnings(self) -> Iterator[str]:
        """Adds that nothing is read-only here."""
        yield from super().warnings()
        if not all(disk.writable for disk in self.disks):
            yield "albatross attaches blocks to read and write; a unikernel may change its copy"

    def notes(self) -> Iterator[str]:
        """Adds what becomes of the images."""
        yield "albatross copies images into blocks of its own"
        yield from super().notes()


def _block(disk: Disk) -> str:
    return disk.name.lower()


def _device(disk: Disk) -> str:
    block = "" if _block(disk) == disk.name else f":{_block(disk)}"
    sector = "" if disk.sector_size == SECTOR else f"@{disk.sector_size}"
    return f"{disk.name}{block}{sector}"
