"""Xen's xl: the ``disk`` of a domain's configuration (xl-disk-configuration(5), xl.cfg(5)).

``target=`` takes the rest of a specification, commas and all, so it comes last. MirageOS numbers
its devices from 1 in the order of its configuration, the first being xvdb.
"""

from __future__ import annotations

from collections.abc import Iterator

from .consumer import Consumer, ordinal
from .disks import Disk

_FIRST = 1
"""The number of the first disk: that of xvdb."""


class Xen(Consumer):
    """A domain of xl's."""

    def lines(self) -> Iterator[str]:
        """The list of disks."""
        specifications = [quoted(_specification(disk)) for disk in self.disks]
        if not specifications:
            yield "disk = [ ]"
            return
        for number, text in enumerate(specifications):
            head = "disk = [ " if number == 0 else " " * 9
            tail = " ]" if number == len(specifications) - 1 else ","
            yield f"{head}{text}{tail}"


def quoted(text: str) -> str:
    """A string of a configuration file (libxlu_cfg_l.l)."""
    return f"'{escaped(text)}'"


def escaped(text: str) -> str:
    """Text between quotes of either kind in a configuration file."""
    for character in ("\\", "'", '"'):
        text = text.replace(character, f"\\{character}")
    return text


def _specification(disk: Disk) -> str:
    access = "rw" if disk.writable else "ro"
    vdev = f"xvd{ordinal(_FIRST + disk.number)}"
    return f"format=raw, vdev={vdev}, access={access}, target={disk.path}"
