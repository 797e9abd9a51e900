"""libvirt: ``<disk>`` elements for a domain (https://libvirt.org/formatdomain.html).

``vda`` is left to the disk that the domain boots from. A guest finds a disk by its serial number.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from .consumer import Consumer, ordinal
from .disks import Disk

_QUOTE = {"'": "&apos;"}

_FIRST = 1
"""The number of the first disk: that of vdb."""


class Libvirt(Consumer):
    """A domain of libvirt's, with virtio disks."""

    by_serial = True

    def lines(self) -> Iterator[str]:
        """One element a disk, to go between ``<devices>`` and ``</devices>``."""
        for disk in self.disks:
            yield from _element(disk)


def _element(disk: Disk) -> Iterator[str]:
    size = disk.sector_size
    yield "<disk type='file' device='disk'>"
    yield "  <driver name='qemu' type='raw'/>"
    yield f"  <source file='{escape(disk.path, _QUOTE)}'/>"
    yield f"  <blockio logical_block_size='{size}' physical_block_size='{size}'/>"
    yield f"  <target dev='vd{ordinal(_FIRST + disk.number)}' bus='virtio'/>"
    if not disk.writable:
        yield "  <readonly/>"
    yield f"  <serial>{disk.serial}</serial>"
    yield "</disk>"
