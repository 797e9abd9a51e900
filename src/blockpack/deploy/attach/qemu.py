"""QEMU: ``-blockdev`` and ``-device`` (qemu-system-x86_64(1)).

An option's value ends at a comma; one that belongs to it is written twice. Nodes have names of up
to 31 characters. Linux shows a disk's serial number as ``/dev/disk/by-id/virtio-SERIAL``.
"""

from __future__ import annotations

from collections.abc import Iterator

from .consumer import ArgumentConsumer

NODE_NAME = 31
"""Characters in the longest name of a node."""


class Qemu(ArgumentConsumer):
    """QEMU with virtio disks."""

    by_serial = True

    def groups(self) -> Iterator[list[str]]:
        """A node and a device for each disk."""
        for disk in self.disks:
            # No volume has a hyphen in its name.
            node = disk.name if len(disk.name) <= NODE_NAME else f"volume-{disk.number}"
            read_only = "off" if disk.writable else "on"
            file = f"file.driver=file,file.filename={quoted(disk.path)}"
            yield ["-blockdev", f"driver=raw,node-name={node},read-only={read_only},{file}"]
            size = disk.sector_size
            sectors = f"logical_block_size={size},physical_block_size={size}"
            yield ["-device", f"virtio-blk-pci,drive={node},serial={disk.serial},{sectors}"]


def quoted(path: str) -> str:
    """A path in an option's value."""
    return path.replace(",", ",,")
