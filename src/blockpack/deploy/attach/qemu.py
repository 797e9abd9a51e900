"""QEMU: ``-blockdev`` and ``-device`` (qemu-system-x86_64(1)).

An option's value ends at a comma; one that belongs to it is written twice. Nodes have names of up
to 31 characters, and the guest sees up to 20 of a disk's serial number (virtio's specification,
5.2.6.1), which Linux shows as ``/dev/disk/by-id/virtio-SERIAL``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from .consumer import ArgumentConsumer
from .disks import Disk

NODE_NAME = 31
"""Characters in the longest name of a node."""

SERIAL = 20
"""Characters of a serial number that a guest sees."""


class Qemu(ArgumentConsumer):
    """QEMU with virtio disks."""

    def groups(self) -> Iterator[list[str]]:
        """A node and a device for each disk."""
        for disk in self.disks:
            node = disk.name if len(disk.name) <= NODE_NAME else f"volume{disk.number}"
            read_only = "off" if disk.writable else "on"
            file = f"file.driver=file,file.filename={quoted(disk.path)}"
            yield ["-blockdev", f"driver=raw,node-name={node},read-only={read_only},{file}"]
            yield ["-device", f"virtio-blk-pci,drive={node},serial={serial(disk)},{_sectors(disk)}"]

    def warnings(self) -> Iterator[str]:
        """Adds what the guest cannot tell apart."""
        yield from super().warnings()
        yield from unclear_serials(self.disks)


def quoted(path: str) -> str:
    """A path in an option's value."""
    return path.replace(",", ",,")


def serial(disk: Disk) -> str:
    """The serial number by which a guest finds the disk."""
    return disk.name[:SERIAL]


def unclear_serials(disks: Sequence[Disk]) -> Iterator[str]:
    """A warning for each disk whose serial number is that of another one, too."""
    counts = Counter(map(serial, disks))
    for disk in disks:
        if counts[serial(disk)] > 1:
            rule = f"guests see {SERIAL} characters of a name, and another disk's begins alike"
            yield f"{disk.name}: {rule}; give it a shorter name"


def _sectors(disk: Disk) -> str:
    size = disk.sector_size
    return f"logical_block_size={size},physical_block_size={size}"
