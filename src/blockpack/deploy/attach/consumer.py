"""What is attached to: the interface of consumers, and what they have in common."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from ...errors import BlockpackError, ImageError
from .disks import Deployed, Disk

SECTOR = 512
"""Bytes in the smallest sector, of which every image is a multiple."""


class Consumer(ABC):
    """Something that attaches images; one instance for one deployment."""

    follows: ClassVar[bool] = True
    """Whether the lines for what is live are right after the next deployment, too."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed

    @property
    def disks(self) -> Sequence[Disk]:
        """The disks in the order of the manifest."""
        return self.deployed.disks

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """The lines that attach the disks."""

    def arguments(self) -> list[str] | None:
        """The same as arguments of a program, unquoted; None where it has a file for it."""
        return None

    def problems(self) -> Iterator[BlockpackError]:
        """All that keeps the consumer from using the disks."""
        for disk in self.disks:
            if not disk.size or disk.size % SECTOR:
                rule = f"its size is not a multiple of {SECTOR} bytes, which every device is"
                yield unusable(disk, rule, "build again, with pad = 4096")

    def warnings(self) -> Iterator[str]:
        """What a user should hear of, though the lines are right."""
        for disk in self.disks:
            if disk.in_clear:
                yield (
                    f"{disk.name}: holds secrets in clear, in RAM: "
                    "deploy again after the host restarts, before the machine does"
                )

    def notes(self) -> Iterator[str]:
        """What belongs beside the lines, as comments."""
        if self.deployed.live and self.follows:
            yield f"{self.deployed.name}: what is live, also after the next deployment"
        for disk in self.disks:
            if disk.encrypted:
                yield f"{disk.name}: encrypted; its key is {key_place(disk)}"

    def comment(self, note: str) -> str | None:
        """The line with a note among the others; None where there are no comments."""
        return f"# {note}"


class ArgumentConsumer(Consumer):
    """A consumer that is a program, and is told by its arguments."""

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


def key_place(disk: Disk) -> str:
    """Where the key of an encrypted disk is, for people."""
    return f"in {disk.key}" if disk.key is not None else "the one that the build was given"


def unusable(disk: Disk, rule: str, remedy: str) -> ImageError:
    """The error for a disk that a consumer cannot use; says nothing of a secret's size."""
    return ImageError(disk.name, rule, remedy)


def fixed_sectors(disks: Iterable[Disk], size: int, whose: str) -> Iterator[BlockpackError]:
    """A problem for each encrypted disk that was made for other sectors than `whose` of `size`."""
    for disk in disks:
        if disk.encrypted and disk.sector_size != size:
            rule = f"is encrypted in sectors of {disk.sector_size} bytes, and {whose} has {size}"
            yield unusable(disk, rule, f"build it with sector-size = {size}")


def ordinal(number: int) -> str:
    """The letters at the end of a disk's name: a, b, …, z, aa, ab, … from 0 on."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters
