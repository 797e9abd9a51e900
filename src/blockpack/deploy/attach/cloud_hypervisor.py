"""Cloud Hypervisor: one ``--disk`` with all disks (its docs/device_model.md and ``--help``).

Options end at commas, except between double quotes, and of those in a value each is written twice
(its option_parser crate). A serial number of more than 20 bytes is shown to no guest at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from .consumer import ArgumentConsumer

_SPECIAL = frozenset(',"[]')


class CloudHypervisor(ArgumentConsumer):
    """A machine of Cloud Hypervisor's."""

    by_serial = True

    def groups(self) -> Iterator[list[str]]:
        """The option, then one line a disk."""
        if self.disks:
            yield ["--disk"]
        for disk in self.disks:
            read_only = "off" if disk.writable else "on"
            yield [f"path={quoted(disk.path)},readonly={read_only},serial={disk.serial}"]

    def warnings(self) -> Iterator[str]:
        """Adds what older ones do not understand."""
        yield from super().warnings()
        if any(quoted(disk.path) != disk.path for disk in self.disks):
            yield "a quoted path needs Cloud Hypervisor 48 or later"


def quoted(path: str) -> str:
    """A path as an option's value."""
    if _SPECIAL.isdisjoint(path):
        return path
    return '"' + path.replace('"', '""') + '"'
