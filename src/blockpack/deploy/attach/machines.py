"""How each machine wants to be told of its disks.

MirageOS numbers its devices from 1 in the order of its configuration, the first being xvdb; and
libvirt leaves ``vda`` to the disk that the domain boots from. So disks are numbered from b on.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from os.path import dirname
from xml.sax.saxutils import escape

from ...errors import BlockpackError, UsageError
from ..manifest.consumers import SECTOR, MiB
from .consumer import ArgumentConsumer, Consumer, ordinal
from .disks import Disk

NODE_NAME = 31
"""Characters in the longest name of a node of QEMU's."""

_SPECIAL = frozenset(',"[]')
"""What a path of Cloud Hypervisor's is quoted for."""

_QUOTE = {"'": "&apos;"}


class Xen(Consumer):
    """A domain of xl's: the ``disk`` of its configuration (xl-disk-configuration(5), xl.cfg(5)).

    ``target=`` takes the rest of a specification, commas and all, so it comes last.
    """

    def lines(self) -> Iterator[str]:
        """The list of disks."""
        head = "disk = [ "
        for disk in self.disks:
            access = "rw" if disk.writable else "ro"
            vdev = f"xvd{ordinal(1 + disk.number)}"
            text = f"format=raw, vdev={vdev}, access={access}, target={disk.path}"
            yield f"{head}'{escaped(text)}'{' ]' if disk is self.disks[-1] else ','}"
            head = " " * len(head)
        if not self.disks:
            yield f"{head}]"


def escaped(text: str) -> str:
    """Text between quotes of either kind in a configuration file of xl's (libxlu_cfg_l.l)."""
    for character in ("\\", "'", '"'):
        text = text.replace(character, f"\\{character}")
    return text


class Solo5(ArgumentConsumer):
    """solo5-hvt or solo5-spt: ``--block:NAME=PATH`` (tenders/hvt/hvt_module_blk.c, and spt's).

    A path ends at its first space, whatever the shell's quotes, and is opened to read and write.
    Sectors have 512 bytes, or what ``--block-sector-size:NAME`` says (since Solo5 0.7.4).
    """

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


class Albatross(Consumer):
    """albatross: blocks of its own, made by ``albatross-client`` (client/albatross_client.ml).

    A block is a copy of an image, a whole number of MiB large, that albatross keeps on its disk;
    its name is in lower case. ``create`` attaches a block to a device of a unikernel as
    ``--block DEVICE[:BLOCK][@SECTOR]``.
    """

    def lines(self) -> Iterator[str]:
        """The commands that make the blocks."""
        for disk in self.disks:
            words = disk.name.lower(), str(disk.size // MiB), f"--data={disk.path}"
            yield shlex.join(["albatross-client", "create-block", *words])

    def notes(self) -> Iterator[str]:
        """Adds the commands that fill the blocks again, and the options."""
        yield from super().notes()
        yield "after each later deployment, while the unikernel is stopped:"
        for disk in self.disks:
            words = disk.name.lower(), disk.path
            yield "  " + shlex.join(["albatross-client", "set-block", *words])
        yield "the unikernel is then started with these options of albatross-client create:"
        yield "  " + shlex.join(f"--block={self._block(disk)}" for disk in self.disks)

    @staticmethod
    def _block(disk: Disk) -> str:
        block = "" if disk.name == disk.name.lower() else f":{disk.name.lower()}"
        sector = "" if disk.sector_size == SECTOR else f"@{disk.sector_size}"
        return f"{disk.name}{block}{sector}"


class Qemu(ArgumentConsumer):
    """QEMU with virtio disks: ``-blockdev`` and ``-device`` (qemu-system-x86_64(1)).

    An option's value ends at a comma; one that belongs to it is written twice. Linux shows a disk's
    serial number as ``/dev/disk/by-id/virtio-SERIAL``.
    """

    by_serial = True

    def groups(self) -> Iterator[list[str]]:
        """A node and a device for each disk."""
        for disk in self.disks:
            # No volume has a hyphen in its name.
            node = disk.name if len(disk.name) <= NODE_NAME else f"volume-{disk.number}"
            read_only = "off" if disk.writable else "on"
            file = f"file.driver=file,file.filename={disk.path.replace(',', ',,')}"
            yield ["-blockdev", f"driver=raw,node-name={node},read-only={read_only},{file}"]
            size = disk.sector_size
            sectors = f"logical_block_size={size},physical_block_size={size}"
            yield ["-device", f"virtio-blk-pci,drive={node},serial={disk.serial},{sectors}"]


class Libvirt(Consumer):
    """A domain of libvirt's, with virtio disks (https://libvirt.org/formatdomain.html)."""

    by_serial = True

    def lines(self) -> Iterator[str]:
        """One element a disk, to go between ``<devices>`` and ``</devices>``."""
        for disk in self.disks:
            size = disk.sector_size
            yield "<disk type='file' device='disk'>"
            yield "  <driver name='qemu' type='raw'/>"
            yield f"  <source file='{escape(disk.path, _QUOTE)}'/>"
            yield f"  <blockio logical_block_size='{size}' physical_block_size='{size}'/>"
            yield f"  <target dev='vd{ordinal(1 + disk.number)}' bus='virtio'/>"
            if not disk.writable:
                yield "  <readonly/>"
            yield f"  <serial>{disk.serial}</serial>"
            yield "</disk>"


class Firecracker(Consumer):
    """A microVM of Firecracker's: the ``drives`` of a configuration file (--config-file), or of
    ``PUT /drives/{id}`` (src/firecracker/swagger/firecracker.yaml, Drive).
    """

    def lines(self) -> Iterator[str]:
        """An object to merge into the configuration file."""
        drives = []
        for disk in self.disks:
            how = {"is_root_device": False, "is_read_only": not disk.writable}
            drives.append({"drive_id": disk.name, "path_on_host": disk.path, **how})
        yield from json.dumps({"drives": drives}, indent=2).splitlines()


class CloudHypervisor(ArgumentConsumer):
    """Cloud Hypervisor: one ``--disk`` with all disks (its docs/device_model.md and ``--help``).

    Options end at commas, except between double quotes, and of those in a value each is written
    twice (its option_parser crate). A serial number of more than 20 bytes is shown to no guest.
    """

    by_serial = True

    def groups(self) -> Iterator[list[str]]:
        """The option, then one line a disk."""
        if self.disks:
            yield ["--disk"]
        for disk in self.disks:
            path = disk.path
            if not _SPECIAL.isdisjoint(path):
                path = '"' + path.replace('"', '""') + '"'
            read_only = "off" if disk.writable else "on"
            yield [f"path={path},readonly={read_only},serial={disk.serial}"]

    def warnings(self) -> Iterator[str]:
        """Adds what older ones do not understand."""
        yield from super().warnings()
        if not all(_SPECIAL.isdisjoint(disk.path) for disk in self.disks):
            yield "a quoted path needs Cloud Hypervisor 48 or later"
