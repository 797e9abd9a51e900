"""What is attached to: the interface of consumers, and what they have in common.

What each asks of an image is in `manifest.consumers`, where manifests are held against it, too.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from ...errors import BlockpackError, UsageError
from ...formats.registry import FORMATS
from ...layers.verity.hash_tree import SUPERBLOCK
from ..manifest.consumers import CONSUMERS, SECTOR, hints
from ..record import HashTreeRecord
from .disks import Deployed, Disk

UNKNOWN = "DEVICE"
"""Stands for a device of which nobody knows how a guest calls it."""


class Consumer(ABC):
    """Something that attaches images; one instance for one deployment.

    `disks` are those that it can use, in the order of the manifest; `problems` is what is wrong
    with the others. Those `by_serial` show a disk's serial number to a guest's udev.
    """

    by_serial: ClassVar[bool] = False

    def __init__(self, name: str, deployed: Deployed) -> None:
        self.name = name
        self.rules = CONSUMERS[name]
        self.deployed = deployed
        self.disks: list[Disk] = []
        obstacles = list(self.obstacles())
        self.problems = [*deployed.problems, *obstacles]
        for disk in deployed.disks if not obstacles else ():
            refusals = list(self.rules.refusals(disk))
            self.problems += refusals
            if not refusals:
                self.disks.append(disk)

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """The lines that attach the disks."""

    def arguments(self) -> list[str] | None:
        """The same as arguments of a program, unquoted; None where it has a file for it."""
        return None

    def obstacles(self) -> Iterator[BlockpackError]:
        """What keeps the consumer from using any of the disks."""
        most = self.rules.most
        if most is not None and len(self.deployed.disks) > most:
            rule = f"a unikernel has {most} devices at most"
            yield UsageError("", rule, "name the volumes of each one", "only=NAME")

    def warnings(self) -> Iterator[str]:
        """What a user should hear of, though the lines are right."""
        for disk in self.disks:
            if disk.in_clear:
                yield (
                    f"{disk.name}: holds secrets in clear, in RAM: "
                    "deploy again after the host restarts, before the machine does"
                )
        for name, hint in hints([self.name], self.disks):
            yield f"{name}: {hint}"
        if self.rules.writes and not all(disk.writable for disk in self.disks):
            yield self.rules.writes

    def notes(self) -> Iterator[str]:
        """What belongs beside the lines, for people."""
        if self.rules.copies:
            yield f"{self.name} copies images into blocks of its own"
        elif self.deployed.live:
            yield f"{self.deployed.name}: what is live, also after the next deployment"
        for disk in self.disks:
            if disk.encrypted:
                yield f"{disk.name}: encrypted; its key is {key_place(disk)}"
            if disk.verity is not None:
                yield from verity_notes(disk, disk.verity, self.device_of(disk))
            elif self.by_serial and disk.format in FORMATS and not disk.encrypted:
                root_type = FORMATS[disk.format].volume_class().root_type
                arguments = f"root={self.device_of(disk)} rootfstype={root_type} ro"
                if root_type:
                    yield f"{disk.name}: as a guest's root, by the kernel's arguments {arguments}"

    def device_of(self, disk: Disk) -> str:
        """What a guest that runs Linux calls the disk; a word where nobody knows."""
        return f"/dev/disk/by-id/virtio-{disk.serial}" if self.by_serial else UNKNOWN


class ArgumentConsumer(Consumer):
    """A consumer that is a program with arguments."""

    @abstractmethod
    def groups(self) -> Iterator[list[str]]:
        """The arguments, unquoted; those that belong on one line together."""

    def arguments(self) -> list[str]:
        """All arguments, unquoted."""
        return [argument for group in self.groups() for argument in group]

    def lines(self) -> Iterator[str]:
        """The arguments as a shell takes them; all lines but the last go on."""
        lines = [shlex.join(group) for group in self.groups()]
        yield from (f"{line} \\" for line in lines[:-1])
        yield from lines[-1:]


def verity_notes(disk: Disk, tree: HashTreeRecord, device: str) -> Iterator[str]:
    """How a guest opens a disk so that each block is checked: for people."""
    name, root = disk.name, tree.root_hash
    if tree.hash_offset is None:
        yield f"{name}: systemd checks each block if the kernel is told roothash={root}"
        return
    offset = tree.hash_offset
    opening = f"veritysetup open --hash-offset={offset} {device} {name} {device} {root}"
    yield f"{name}: each block is checked in /dev/mapper/{name} after: {opening}"
    told = {"data": device, "hash": device, "options": f"hash-offset={offset}"}
    arguments = [f"roothash={root}", *(f"systemd.verity_root_{key}={told[key]}" for key in told)]
    yield f"{name}: or as systemd's root, by the kernel's arguments {' '.join(arguments)}"
    yield f'{name}: or by the kernel itself, by dm-mod.create="{name},,,ro,{verity_table(tree)}"'


def verity_table(tree: HashTreeRecord, device: str = UNKNOWN) -> str:
    """The line of device-mapper's table (the kernel's device-mapper/verity.rst); `device` is one
    that the kernel knows before there is any udev, as /dev/vda.
    """
    assert tree.hash_offset is not None and tree.data_blocks and tree.data_block_size
    assert tree.hash_block_size
    first = -(-(tree.hash_offset + SUPERBLOCK.size) // tree.hash_block_size)
    sectors = tree.data_blocks * tree.data_block_size // SECTOR
    sizes = f"{tree.data_block_size} {tree.hash_block_size} {tree.data_blocks} {first}"
    hashes = f"{tree.hash_algorithm} {tree.root_hash} {tree.hash_salt or '-'}"
    return f"0 {sectors} verity 1 {device} {device} {sizes} {hashes}"


def key_place(disk: Disk) -> str:
    """Where the key of an encrypted disk is, for people."""
    return f"in {disk.key}" if disk.key is not None else "the one that the build was given"


def ordinal(number: int) -> str:
    """The letters at the end of a disk's name: a, b, …, z, aa, ab, … from 0 on."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters
