"""What is attached to: the interface of consumers, and what they have in common.

What each asks of an image is in `manifest.consumers`, where manifests are held against it, too.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator

from ...errors import BlockpackError, ImageError, UsageError
from ..manifest.consumers import CONSUMERS, hints
from .disks import Deployed, Disk


class Consumer(ABC):
    """Something that attaches images; one instance for one deployment.

    `disks` are those that it can use, in the order of the manifest; `problems` is what is wrong
    with the others.
    """

    def __init__(self, name: str, deployed: Deployed) -> None:
        self.name = name
        self.rules = CONSUMERS[name]
        self.deployed = deployed
        self.disks: list[Disk] = []
        obstacles = list(self.obstacles())
        self.problems = [*deployed.problems, *obstacles]
        for disk in deployed.disks if not obstacles else ():
            refusals = [ImageError(disk.name, *each) for each in self.rules.refusals(disk)]
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
        """What belongs beside the lines, as comments."""
        if self.rules.copies:
            yield f"{self.name} copies images into blocks of its own"
        elif self.deployed.live:
            yield f"{self.deployed.name}: what is live, also after the next deployment"
        for disk in self.disks:
            if disk.encrypted:
                yield f"{disk.name}: encrypted; its key is {key_place(disk)}"

    def comment(self, note: str) -> str | None:
        """The line with a note among the others; None where there are no comments."""
        return f"# {note}"


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
